//! `throng top`: a live view of a running hub, from what the hub tells operators over HTTP.
//!
//! It depends on the routes of the hub and on nothing else of it, so it can show a hub on another machine, and of
//! another version. Public are [`run`], and what tests need to render a screen without a terminal.

mod options;

mod client;
mod cluster;
mod sample;
mod snapshot;

mod cluster_view;
mod columns;
mod screen;
mod units;
mod view;

mod event_loop;

pub use options::{HubUrl, HubUrlError, Options, UnsendableKey};
pub use sample::Sample;
pub use screen::{Medium, Screen};
pub use snapshot::Snapshot;
pub use view::printed;

use clap::Parser;
use client::HubClient;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Columns and lines of a printed snapshot: as wide as most pages, with room for ten connections and ten channels.
const PRINTED_SIZE: (u16, u16) = (120, 38);

/// Runs the command line `throng top`. Shows the hub until the user quits, or prints one snapshot.
pub fn run(arguments: Vec<OsString>, medium: Medium) -> ExitCode {
    let options = match Options::try_parse_from(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Err(error) = options.key() {
        let _ = writeln!(io::stderr(), "throng top: {error}");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        if options.once || !io::stdout().is_terminal() {
            runtime.block_on(print(&options))
        } else {
            runtime.block_on(event_loop::run(&options, medium))
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "throng top: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one snapshot as text. Takes as long as the interval, because rates need two samples.
async fn print(options: &Options) -> anyhow::Result<()> {
    let client = HubClient::new(options)?;
    let mut screen = Screen::new(options.url.to_string(), Medium::Printed);
    let first = client.sample().await?;
    screen.show(client.snapshot(Some(&first), screen.sorts(), options.interval).await?);
    let _ = io::stdout().lock().write_all(printed(&screen, PRINTED_SIZE).as_bytes());
    Ok(())
}
