//! Counters: what the hub did, as plain numbers that cost nothing per delivery.
//!
//! A shard counts in a plain [`ShardCounts`] of its own and [publishes](ShardMetrics::publish) it at the end of a pass.

use crate::protocol::CloseReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the counters once: as plain numbers, as atomics, and as a list for the metrics page.
macro_rules! shard_counts {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident,)+) => {
        /// What one shard did since the process started.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct ShardCounts {
            $($(#[doc = $help])+ pub $name: u64,)+
            /// Connections that we closed, by [`CloseReason::index`].
            pub closes: [u64; CloseReason::LABELS.len()],
        }

        /// What one shard did, as others may read it; alone on its cache lines, since shards run on different cores.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct ShardMetrics {
            $($name: AtomicU64,)+
            closes: [AtomicU64; CloseReason::LABELS.len()],
        }

        impl ShardMetrics {
            /// Makes the counts visible to others.
            // Relaxed throughout: each number stands for itself.
            pub fn publish(&self, counts: &ShardCounts) {
                $(self.$name.store(counts.$name, Ordering::Relaxed);)+
                for (metric, count) in self.closes.iter().zip(counts.closes) {
                    metric.store(count, Ordering::Relaxed);
                }
            }

            /// Returns the counts of the last pass.
            pub fn read(&self) -> ShardCounts {
                ShardCounts {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    closes: std::array::from_fn(|reason| self.closes[reason].load(Ordering::Relaxed)),
                }
            }
        }

        /// Every number of a shard: its name, its kind, its help text and how it is read.
        pub const SHARD_COUNTS: &[(&str, Kind, &str, fn(&ShardCounts) -> u64)] = &[
            $((stringify!($name), Kind::$kind, concat!($($help),+), |counts| counts.$name),)+
        ];
    };
}

/// Whether a number only grows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

shard_counts! {
    #[doc = "Connections of the shard."]
    Gauge connections,
    #[doc = "Channels with subscribers on the shard."]
    Gauge audiences,
    #[doc = "Connections that are parked on a full socket, or closing."]
    Gauge parked,
    #[doc = "Publications that the shard appended to a log."]
    Counter publications,
    #[doc = "Publications written to a subscriber, or to its lane as the rest of a frame."]
    Counter deliveries,
    #[doc = "Writes offered to a socket."]
    Counter sends,
    #[doc = "Bytes that sockets took."]
    Counter bytes,
    #[doc = "Times that a connection was parked on a full socket."]
    Counter parks,
    #[doc = "Publications that the policy skip passed over."]
    Counter skipped,
    #[doc = "Passes of the shard."]
    Counter passes,
    #[doc = "Times that a command, or a socket that takes bytes again, woke the shard."]
    Counter wakes,
}

/// The counters of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    shards: Box<[Arc<ShardMetrics>]>,
    /// Handshakes refused.
    pub refusals: AtomicU64,
    /// Connections ended by a bug in what reads them.
    pub connection_panics: AtomicU64,
    /// Shards restarted after a bug.
    pub shard_restarts: AtomicU64,
}

impl Metrics {
    /// Returns the counters of a hub with that many shards.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Arc::default()).collect(), ..Self::default() }
    }

    /// Returns the counters of each shard.
    pub fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }

    /// Adds one to a counter.
    pub fn count(counter: &AtomicU64) {
        // Relaxed: the number stands for itself.
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
