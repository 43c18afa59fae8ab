//! Observing: the server's process, its metrics page, the kernel's tables, and this machine.

pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod server;
pub(crate) mod stalls;
pub(crate) mod syscalls;
pub(crate) mod watch;
