//! A watch: samples the server's and the kernel's memory during a run, and keeps the peaks.

use super::host::{slab_bytes, stolen_ticks, tcp_memory_bytes};
use super::server::{Cpu, ServerProcess};
use crate::clock::seconds;
use crate::measure::Memory;
use anyhow::Result;

/// The server's process, if known, and the peaks so far.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) server: Option<ServerProcess>,
    rss_peak: u64,
    tcp_peak: u64,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) server: Option<Cpu>,
    pub(crate) stolen: (u64, u64),
}

impl Moment {
    /// Returns the CPU time that the server has used since `before`, in seconds.
    pub(crate) fn cpu_seconds_since(&self, before: &Self) -> Option<f64> {
        let (before, after) = before.server.zip(self.server)?;
        Some(seconds(before.total_ns, after.total_ns))
    }
}

impl Watch {
    /// Starts to watch the process `pid`, if one is named.
    ///
    /// # Errors
    ///
    /// Fails when there is no such process.
    pub(crate) fn new(pid: Option<u32>) -> Result<Self> {
        Ok(Self { server: pid.map(ServerProcess::new).transpose()?, rss_peak: 0, tcp_peak: 0 })
    }

    /// Reads all counters.
    pub(crate) fn moment(&mut self) -> Moment {
        let server = self.server.as_mut().and_then(ServerProcess::cpu);
        Moment { server, stolen: stolen_ticks() }
    }

    /// Reads all memory figures. Not for moments that are timed: Pss takes milliseconds.
    pub(crate) fn memory(&self) -> Memory {
        let server = self.server.as_ref();
        Memory {
            server_rss: self.rss(),
            server_pss: server.and_then(ServerProcess::pss_bytes).unwrap_or_default(),
            kernel_tcp: tcp_memory_bytes(),
            kernel_slab: slab_bytes(),
        }
    }

    /// Reads the memory figures that have peaks.
    pub(crate) fn sample(&mut self) {
        self.rss_peak = self.rss_peak.max(self.rss());
        self.tcp_peak = self.tcp_peak.max(tcp_memory_bytes());
    }

    /// Returns the server's resident memory; 0 if its process is not known.
    pub(crate) fn rss(&self) -> u64 {
        self.server.as_ref().and_then(ServerProcess::rss_bytes).unwrap_or_default()
    }

    /// Returns the largest resident memory that the server ever had; 0 if its process is not known.
    pub(crate) fn rss_peak_ever(&self) -> u64 {
        self.server.as_ref().and_then(ServerProcess::rss_peak_bytes).unwrap_or_default()
    }

    /// Returns the peaks (RSS, kernel TCP memory) since the last call, and begins anew.
    pub(crate) fn take_peaks(&mut self) -> (u64, u64) {
        self.sample();
        (std::mem::take(&mut self.rss_peak), std::mem::take(&mut self.tcp_peak))
    }
}
