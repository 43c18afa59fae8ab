//! A comparison: several servers under one scenario, in interleaved rounds, so that a disturbance of the machine
//! affects all of them.
//!
//! A run in a comparison is a command line that a user could type: the program starts itself again, with the server's
//! address and process number, and reads the report back. Each run has a server of its own, freshly started.
//!
//! # When something fails
//!
//! - A run without `PASS` is kept, counted and named in the first lines; its figures count unless they are invalid.
//! - A server that does not start ends the comparison in the first round; later it is a failed run, since hours of
//!   figures are worth more than a clean end.
//! - Ctrl-C ends the children and shows the results so far.

// From the command line to the runs.
mod command;
mod plan;
mod rounds;

// One run: a server, the generator, and their processes.
mod generator;
mod interrupt;
mod process;
mod server;
mod workspace;

// The output.
mod json;
mod rows;
mod stats;
mod summary;
mod table;

pub(crate) use command::{CompareArgs, run};
