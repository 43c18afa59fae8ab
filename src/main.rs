//! The program: reads the environment, sets the allocator, exits. Only this file may do so.

use mimalloc::MiMalloc;
use std::env;
use std::process::ExitCode;
use throng::cli::{ProcessEnv, run};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let (arguments, variables) = (env::args_os().collect(), env::vars_os().map(|(name, _)| name).collect());
    run(ProcessEnv { arguments, variables, exit_now })
}

#[expect(clippy::exit, reason = "a second Ctrl-C ends the process at once")]
fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
