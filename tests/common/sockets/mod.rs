//! What benches on real sockets share: a room of subscribers, their peers in another process, CPU time in turns.

#![allow(dead_code, reason = "each bench uses its part")]

mod duel;
mod peers;
mod room;

use std::io::Write;

pub(crate) use duel::Duel;
pub(crate) use peers::Peers;
pub(crate) use room::Room;

/// Returns whether each body runs once and nothing is measured: cargo says `--bench` when it is for real.
pub(crate) fn is_test() -> bool {
    !std::env::args().any(|argument| argument == "--bench")
}

/// Prints a line of a bench's own table, unless nothing is measured.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    if !is_test() {
        writeln!(std::io::stdout(), "{line}").expect("there is a standard output");
    }
}
