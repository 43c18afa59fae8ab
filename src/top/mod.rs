//! `throng top`: a live view of a running hub, from what the hub tells an operator over HTTP.
//!
//! It knows nothing of the hub but its routes: it can look at one on another machine, and of another version.

mod ask;
mod live;
mod look;
mod options;
mod sample;
mod screen;
mod units;
mod view;

pub use look::Look;
pub use options::{Options, Place};
pub use sample::Sample;
pub use screen::{Medium, Screen};
pub use view::draw;

use ask::{Asker, Trouble};
use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Size of a look that is printed: what fits a wide page, and shows ten connections and ten channels.
const PRINTED: (u16, u16) = (120, 38);

/// Looks at a hub until told to stop, or once.
pub fn run(arguments: Vec<OsString>, medium: Medium) -> ExitCode {
    let options = match Options::try_parse_from(arguments) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let looked = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        if options.once || !io::stdout().is_terminal() {
            runtime.block_on(print(&options))
        } else {
            runtime.block_on(live::run(&options, medium))
        }
    });
    match looked {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "throng top: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints one look as text. It takes as long as it counts: rates need two moments.
async fn print(options: &Options) -> anyhow::Result<()> {
    let asker = Asker::new(options);
    let mut screen = Screen::new(options.url.to_string(), Medium::Printed);
    let first = asker.metrics().await.map_err(Trouble::into_error)?;
    let look = asker.look(Some(&first), screen.sort(), options.interval).await.map_err(Trouble::into_error)?;
    screen.show(look);
    let _ = io::stdout().lock().write_all(printed(&screen, PRINTED)?.as_bytes());
    Ok(())
}

/// Returns a screen of that many columns and lines as text.
///
/// # Errors
///
/// None in practice: memory takes what is drawn.
pub fn printed(screen: &Screen, (width, height): (u16, u16)) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    let frame = terminal.draw(|frame| draw(frame, screen))?;
    let mut text = String::new();
    for y in 0..height {
        let line: String = (0..width).map(|x| frame.buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text.trim_end().to_owned() + "\n")
}
