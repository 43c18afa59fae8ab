//! The program: what only a process may do, its environment, its allocator and its end.

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

#[expect(clippy::exit, reason = "the second signal means: now")]
fn exit_now(code: i32) -> ! {
    std::process::exit(code)
}
