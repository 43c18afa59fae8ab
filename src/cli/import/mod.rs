//! `throng import`: makes a file of settings from the one of another server, and says what it cannot say.

mod reasons;

mod key;
mod keys;
mod proxy_keys;

mod document;
mod go;
mod source;

mod draft;
mod given;
mod notes;
mod proxy;

mod conversion;

mod access;
mod cluster;
mod hooks;
mod listening;
mod namespaces;
mod proxies;
mod rpc;
mod settings;
mod tokens;

mod page;

use super::exit::{EXIT_FAILURE, EXIT_USAGE, fail_with, fail_with_usage, print_text};
use crate::config::Config;
use clap::{Args, Parser, Subcommand};
use conversion::Conversion;
use source::Source;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the file of settings that corresponds to the one of another server.
#[derive(Debug, Parser)]
#[command(name = "throng import", bin_name = "throng import", version, max_term_width = 120)]
struct Options {
    #[command(subcommand)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Server {
    /// Centrifugo v5 or v6, JSON, YAML or TOML.
    #[command(
        after_help = "The file is printed to standard output, and what you have to decide to standard error; both \
                      are in the file as comments. Environment variables CENTRIFUGO_... are not read: write what they \
                      set into the file first. Exit code 0 if a file is printed, 2 if not.\n\ndocs/from-centrifugo.md \
                      says of every key what becomes of it."
    )]
    Centrifugo(Centrifugo),
}

#[derive(Args, Debug)]
struct Centrifugo {
    /// Configuration of Centrifugo: config.json, config.yaml, config.toml.
    #[arg(value_name = "FILE", required_unless_present = "table")]
    file: Option<PathBuf>,

    /// Print the table of all keys of Centrifugo instead, in Markdown.
    #[arg(long, conflicts_with = "file")]
    table: bool,
}

/// Prints the file of settings that corresponds to another one.
pub(super) fn import(arguments: Vec<OsString>) -> ExitCode {
    let Server::Centrifugo(options) = match Options::try_parse_from(arguments) {
        Ok(options) => options.server,
        Err(error) => return fail_with_usage(&error),
    };
    let Some(path) = options.file else { return print_text(&page::page()) };
    let settings = match document::read(&path) {
        Ok(settings) => settings,
        Err(error) => return fail_with(EXIT_USAGE, &error),
    };
    let Some(source) = Source::new(&settings) else {
        let text = format!("{}: not one of its keys is one of Centrifugo; is it the right file?", path.display());
        return fail_with(EXIT_USAGE, &text);
    };
    let (dialect, count) = (source.dialect.name(), source.count);
    let conversion = convert(source);
    let file = written(&path, dialect, &conversion);
    // Each value is checked when it is set; this is about values that do not fit each other.
    if let Err(error) = Config::from_toml(&file) {
        let text = format!("{}: no file can be made of it: {error}", path.display());
        return fail_with(EXIT_FAILURE, &text);
    }
    // If standard error is closed, the comments of the file say it.
    let _ = std::io::stderr().write_all(summary(&path, dialect, count, &conversion).as_bytes());
    print_text(&file)
}

fn convert(source: Source) -> Conversion {
    let mut conversion = Conversion::new(source);
    let has_internal = conversion.convert_listening();
    conversion.convert_access(has_internal);
    let connect = conversion.convert_connect_proxy();
    let may_everything = conversion.convert_tokens(connect);
    conversion.convert_settings();
    let namespaces = conversion.convert_namespaces(may_everything);
    conversion.convert_hooks(&namespaces);
    conversion.convert_cluster();
    conversion.finish();
    conversion
}

/// Returns the file, with its comments.
fn written(path: &Path, dialect: &str, conversion: &Conversion) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut file = format!(
        "# Settings of throng, made by `throng import centrifugo` from {}, a file of Centrifugo {dialect}.\n# Check it \
         with `throng check-config FILE`. The comment after a value says which key it comes from, if that has\n# \
         another name. What the file of Centrifugo leaves out is Centrifugo's default.\n",
        name.escape_debug()
    );
    for (heading, paragraphs) in [
        ("To decide, because the file below does not say it:", conversion.notes.decisions()),
        ("Not in the file below, and nothing to do:", conversion.notes.others()),
    ] {
        if paragraphs.is_empty() {
            continue;
        }
        // Writing to a string does not fail, here and below.
        let _ = write!(file, "#\n# {heading}\n#\n");
        for line in paragraphs.iter().flat_map(|text| notes::item(text)) {
            let _ = writeln!(file, "# {line}");
        }
    }
    file + "\n" + conversion.draft.to_toml().trim_start()
}

/// Returns what the user has to decide, and how much was read.
fn summary(path: &Path, dialect: &str, count: usize, conversion: &Conversion) -> String {
    let decisions = conversion.notes.decisions();
    let name = path.display();
    let mut text = format!("throng: {name}: Centrifugo {dialect}, {count} keys, {} to decide", decisions.len());
    text.push_str(if decisions.is_empty() { "\n" } else { ":\n" });
    for line in decisions.iter().flat_map(|decision| notes::item(decision)) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

#[cfg(test)]
mod tests;
