//! The program: what only a process may do, its environment, its allocator and its end.

use clap::Parser;
use mimalloc::MiMalloc;
use std::process::ExitCode;
use throng::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    throng::cli::run(Config::parse(), exit_now)
}

#[expect(clippy::exit, reason = "the second signal means: now")]
fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
