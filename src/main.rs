//! The program: reads the environment, sets the allocator, exits. Only this file may do so.

use mimalloc::MiMalloc;
use std::env;
use std::process::ExitCode;
use throng::cli::{ProcessEnv, run};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run(ProcessEnv { arguments: env::args_os().collect(), variables: env::vars_os().collect(), exit_now })
}

#[expect(clippy::exit, reason = "a second Ctrl-C ends the process at once")]
fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
