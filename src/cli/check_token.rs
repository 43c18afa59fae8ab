//! `throng check-token`: what is in a token, and whether a hub with these settings accepts it now.

use super::exit::{EXIT_FAILURE, EXIT_USAGE, fail_with};
use super::token_sources;
use crate::auth::parts::Parts;
use crate::auth::{Claims, TokenError, Verifier};
use crate::config::Config;
use crate::operation::tokens::unix_seconds;
use clap::Parser;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// Most bytes of standard input that are read: a token is much shorter.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Show what is in a token, and whether a hub with these settings accepts it now.
#[derive(Debug, Parser)]
#[command(name = "throng check-token", bin_name = "throng check-token", version, max_term_width = 120)]
#[command(after_help = "Exit code 0 if the token is valid, 1 if not, 2 if the settings or arguments cannot be used. \
                  The keys of --jwks-url are not read by this command.")]
struct Options {
    /// The token, or - to read it from standard input. Arguments are visible in process lists.
    #[arg(value_name = "TOKEN")]
    token: String,

    /// TOML file with the settings; without it the one that THRONG_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Checks a token.
pub(super) fn check_token(arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>) -> ExitCode {
    let sources = token_sources::read(arguments, variables, |options: &Options| options.config.as_deref());
    let (options, config) = match sources {
        Ok(sources) => sources,
        Err(code) => return code,
    };
    let token = match read(&options.token) {
        Ok(token) => token,
        Err(error) => return fail_with(EXIT_USAGE, &format_args!("standard input cannot be read: {error}")),
    };
    let verifier = match Verifier::new(&config.tokens, &config.token_keys) {
        Ok(verifier) => verifier,
        Err(error) => return fail_with(EXIT_USAGE, &error),
    };
    let now = unix_seconds();
    let (verdict, code) = match verifier.verify(&[], token.trim(), now) {
        Ok(claims) => (accepted(&claims, &config, now), ExitCode::SUCCESS),
        Err(error) => (refused(error, &config), ExitCode::from(EXIT_FAILURE)),
    };
    // A reader that is gone needs no output.
    let _ = std::io::stdout().lock().write_all(format!("{}{verdict}\n", contents(token.trim())).as_bytes());
    code
}

fn read(argument: &str) -> std::io::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Returns header and claims, whether they are genuine or not.
fn contents(token: &str) -> String {
    Parts::parse(token).map_or_else(
        |_| String::new(),
        |parts| {
            let pretty = |part| format!("{:#}", serde_json::Value::Object(part));
            format!("header: {}\nclaims: {}\n", pretty(parts.header), pretty(parts.claims))
        },
    )
}

fn accepted(claims: &Claims, config: &Config, now: u64) -> String {
    let user =
        claims.user.as_ref().map_or_else(|| "an anonymous client".to_owned(), |user| format!("user {}", user.as_str()));
    let end = match claims.connection_expires {
        None => "the connection does not expire".to_owned(),
        Some(at) => {
            let (time, left) = (UNIX_EPOCH + Duration::from_secs(at), Duration::from_secs(at.saturating_sub(now)));
            let (time, left) = (humantime::format_rfc3339_seconds(time), humantime::format_duration(left));
            format!("the connection expires {time}, in {left}")
        }
    };
    let warning = match config.tokens.token_insecure {
        true => " (the signature is not checked: --token-insecure)",
        false => "",
    };
    format!("valid: {user}; {end}{warning}")
}

fn refused(error: TokenError, config: &Config) -> String {
    let advice = match error {
        TokenError::UnknownKey if config.tokens.jwks_url.is_some() => {
            "; it may be in the key set of --jwks-url, which this command does not read"
        }
        _ => "",
    };
    format!("not valid: {error}{advice}")
}
