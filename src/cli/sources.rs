//! The sources of this process's settings, and what their defaults depend on.

use crate::config::Sources;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;

/// Returns the sources of this process's settings.
pub(super) fn of_process(arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>) -> Sources {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Sources::new(arguments, variables, cores, raise_descriptor_limit())
}

/// Raises the soft limit on descriptors to the hard limit, and returns it. The soft limit protects programs that cannot
/// handle many descriptors; a hub needs them.
fn raise_descriptor_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // If it is not allowed, the hub starts with fewer connections.
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    if is_raised { maximum } else { current }.unwrap_or(u64::MAX)
}
