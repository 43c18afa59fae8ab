//! What holds for a frame of commands, whatever is in it.

use crate::protocol::centrifuge::{Command, Format, Malformed, Request, commands};

/// Reads a frame: it is commands, or it is refused at one place; the same each time.
///
/// # Panics
///
/// If that does not hold.
pub fn check(format: Format, frame: &[u8]) {
    let read: Vec<Result<Command, Malformed>> = commands(format, frame).collect();
    // Every command takes a byte at least.
    assert!(read.len() <= frame.len(), "{} commands of {} bytes", read.len(), frame.len());
    let refused = read.iter().position(Result::is_err);
    assert!(refused.is_none_or(|at| at + 1 == read.len()), "something was read after what was refused");
    assert_eq!(commands(format, frame).collect::<Vec<_>>(), read);
    for Command { id, request } in read.into_iter().flatten() {
        // An answer to a ping has no id, or it would be a command that is not known.
        assert!(id == 0 || request != Request::Pong);
    }
}
