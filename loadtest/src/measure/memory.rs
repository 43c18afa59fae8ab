//! Memory: what the server and the kernel use at one moment.

use serde::{Deserialize, Serialize};

/// Memory, in bytes. The server's is 0 if its process is not known.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) server_rss: u64,
    pub(crate) server_pss: u64,
    /// Buffers of all TCP sockets of the machine.
    pub(crate) kernel_tcp: u64,
    /// Objects of the kernel, sockets among them.
    pub(crate) kernel_slab: u64,
}
