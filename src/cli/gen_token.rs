//! `throng gen-token`: makes a token with a secret of the settings, to try a hub without an issuer.

use super::exit::{EXIT_USAGE, fail_with, print_text};
use super::token_sources;
use crate::auth::sign::sign;
use crate::config::{Config, TokenKeyConfig};
use crate::operation::tokens::unix_seconds;
use clap::Parser;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Print a token for a user, signed with the first secret among the [[token_key]] tables of the settings.
#[derive(Debug, Parser)]
#[command(name = "throng gen-token", bin_name = "throng gen-token", version, max_term_width = 120)]
#[command(
    after_help = "The token names --token-audience and --token-issuer if they are set. Exit code 0 if a token is \
                  printed, 2 if the settings have no secret for it."
)]
struct Options {
    /// The user, as the claim sub. Without it the token is for an anonymous client.
    #[arg(long, value_name = "USER", default_value = "", hide_default_value = true)]
    user: String,

    /// Time for which the token is valid, and after which its connection ends.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: Duration,

    /// Channel in which the client begins. May be given several times.
    #[arg(long = "channel", value_name = "NAME")]
    channels: Vec<String>,

    /// ID of the key to sign with.
    #[arg(long, value_name = "ID")]
    kid: Option<String>,

    /// TOML file with the settings; without it the one that THRONG_CONFIG names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints a token.
pub(super) fn gen_token(arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>) -> ExitCode {
    let sources = token_sources::read(arguments, variables, |options: &Options| options.config.as_deref());
    let (options, config) = match sources {
        Ok(sources) => sources,
        Err(code) => return code,
    };
    let Some((key, secret)) = secret(&config, options.kid.as_deref()) else {
        return fail_with(EXIT_USAGE, &no_secret(options.kid.as_deref()));
    };
    match sign(key.algorithm, key.kid.as_deref(), secret.as_bytes(), &claims(&options, &config)) {
        Ok(token) => print_text(&format!("{token}\n")),
        Err(error) => fail_with(EXIT_USAGE, &error),
    }
}

/// Returns the first key that can sign, of this ID if one is given.
fn secret<'a>(config: &'a Config, kid: Option<&str>) -> Option<(&'a TokenKeyConfig, &'a str)> {
    let keys = config.token_keys.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid);
    keys.into_iter().find_map(|key| Some((key, key.secret.as_ref()?.as_str())))
}

fn no_secret(kid: Option<&str>) -> String {
    let which = kid.map_or_else(String::new, |kid| format!(" with the ID {kid}"));
    format!(
        "there is no [[token_key]]{which} that has a secret, and a public key cannot sign; name a file with --config \
         that has one, for example:\n\n[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"...\"   # openssl rand -hex 32"
    )
}

fn claims(options: &Options, config: &Config) -> Value {
    let now = unix_seconds();
    let mut claims = json!({ "sub": options.user, "iat": now, "exp": now.saturating_add(options.ttl.as_secs()) });
    if !options.channels.is_empty() {
        claims["channels"] = options.channels.clone().into();
    }
    for (name, value) in [("aud", &config.tokens.token_audience), ("iss", &config.tokens.token_issuer)] {
        if let Some(value) = value {
            claims[name] = value.as_str().into();
        }
    }
    claims
}
