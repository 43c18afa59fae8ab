//! Counters: what the hub did, as plain numbers that cost nothing per delivery.
//!
//! A shard counts in a plain [`ShardCounts`] of its own and [publishes](ShardMetrics::publish) it at the end of a pass.

use crate::protocol::CloseReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Upper bounds of the buckets that latencies are counted in, in microseconds: from what a few writes take to what no
/// outbox lasts.
///
/// The preferred numbers of ISO 3's series R5. A quantile that is estimated from buckets can be wrong by the ratio of
/// two neighbours, here at most 1.6.
pub const LATENCY_BOUNDS: [u64; 26] = [
    100, 160, 250, 400, 630, 1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000,
    160_000, 250_000, 400_000, 630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000,
];

impl ShardCounts {
    /// Counts publications whose last write came so many microseconds after the arrival of the oldest of them.
    pub fn count_latency(&mut self, microseconds: u64, publications: u64) {
        // The sum tells that something was counted, so nothing takes no time.
        let microseconds = microseconds.max(1);
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < microseconds);
        self.latency[bucket] += publications;
        self.latency_sum += microseconds * publications;
    }
}

/// Declares the counters once: as plain numbers, as atomics, and as a list for the metrics page.
macro_rules! shard_counts {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident,)+) => {
        /// What one shard did since the process started.
        #[derive(Clone, Debug, Default, Eq, PartialEq)]
        pub struct ShardCounts {
            $($(#[doc = $help])+ pub $name: u64,)+
            /// Connections that we closed, by [`CloseReason::index`].
            pub closes: [u64; CloseReason::LABELS.len()],
            /// Publications by the time from their arrival to their last write, see [`LATENCY_BOUNDS`].
            pub latency: [u64; LATENCY_BOUNDS.len() + 1],
            /// All these times together, in microseconds.
            pub latency_sum: u64,
        }

        /// What one shard did, as others may read it; alone on its cache lines, since shards run on different cores.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct ShardMetrics {
            $($name: AtomicU64,)+
            closes: [AtomicU64; CloseReason::LABELS.len()],
            latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
            latency_sum: AtomicU64,
        }

        impl ShardMetrics {
            /// Makes the counts visible to others.
            // Relaxed throughout: each number stands for itself.
            pub fn publish(&self, counts: &ShardCounts) {
                $(self.$name.store(counts.$name, Ordering::Relaxed);)+
                for (metric, count) in self.closes.iter().zip(counts.closes) {
                    metric.store(count, Ordering::Relaxed);
                }
                // Most passes publish nothing that has a latency.
                if self.latency_sum.load(Ordering::Relaxed) != counts.latency_sum {
                    for (metric, count) in self.latency.iter().zip(counts.latency) {
                        metric.store(count, Ordering::Relaxed);
                    }
                    self.latency_sum.store(counts.latency_sum, Ordering::Relaxed);
                }
            }

            /// Returns the counts of the last pass.
            pub fn read(&self) -> ShardCounts {
                ShardCounts {
                    $($name: self.$name.load(Ordering::Relaxed),)+
                    closes: std::array::from_fn(|reason| self.closes[reason].load(Ordering::Relaxed)),
                    latency: std::array::from_fn(|bucket| self.latency[bucket].load(Ordering::Relaxed)),
                    latency_sum: self.latency_sum.load(Ordering::Relaxed),
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
    Gauge shard_channels,
    #[doc = "Connections that are parked on a full socket, or closing."]
    Gauge parked,
    #[doc = "Bytes of the longest log that somebody still waits for, at the last tick: the largest lag."]
    Gauge lag_bytes,
    #[doc = "Bytes of all logs that somebody still waits for, at the last tick."]
    Gauge log_bytes,
    #[doc = "Bytes of all control queues at the last tick: rests of frames, pings, notices and close frames."]
    Gauge control_bytes,
    #[doc = "Bytes of the table of connections."]
    Gauge slot_bytes,
    #[doc = "Publications that the shard appended to a log."]
    Counter publications,
    #[doc = "Publications written to a subscriber, or to its control queue as the rest of a frame."]
    Counter deliveries,
    #[doc = "Writes offered to a socket: deliveries by sends is how many messages left together."]
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

/// Declares the reasons once: as an enum and as the labels of the metrics page.
macro_rules! refusals {
    ($($(#[doc = $help:literal])+ $name:ident $label:literal,)+) => {
        /// Why a connection was refused before it was a WebSocket.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Refusal {
            $($(#[doc = $help])+ $name,)+
        }

        impl Refusal {
            /// The value of the metrics' `reason` label of each, in order.
            pub const LABELS: &[&str] = &[$($label,)+];
        }
    };
}

refusals! {
    #[doc = "The request is no handshake, or a malformed one."]
    BadRequest "bad_request",
    #[doc = "The request's head or target is too large."]
    HeadSize "head_size",
    #[doc = "The head or the PROXY header did not arrive in time."]
    Timeout "timeout",
    #[doc = "The TLS handshake failed."]
    Tls "tls",
    #[doc = "The page's origin is not allowed."]
    Origin "origin",
    #[doc = "The header of the PROXY protocol is missing, malformed, or from somebody who is not trusted."]
    ProxyProtocol "proxy_protocol",
    #[doc = "Too many connections from one address."]
    ConnectionsAddress "connections_address",
    #[doc = "Too many handshakes per second from one address."]
    RateAddress "rate_address",
    #[doc = "Too many handshakes per second in all."]
    RateTotal "rate_total",
    #[doc = "Too many handshakes at once: the oldest one was cut off."]
    HandshakesAddress "handshakes_address",
    #[doc = "The hub has all the connections it may have."]
    Full "full",
    #[doc = "The hub has all the channels it may have."]
    Channels "channels",
    #[doc = "Memory is short."]
    Memory "memory",
    #[doc = "The process has no descriptor left."]
    Descriptors "descriptors",
    #[doc = "The hub is stopping."]
    Stopping "stopping",
}

/// The counters of the process.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    shards: Box<[Arc<ShardMetrics>]>,
    /// Connections refused before they were WebSockets, by [`Refusal`].
    refusals: [AtomicU64; Refusal::LABELS.len()],
    /// Publications that had to wait for a shard's credits: their publisher was not read meanwhile.
    pub credit_waits: AtomicU64,
    /// Microseconds that they waited, all together.
    pub credit_wait_micros: AtomicU64,
    /// Bytes of messages of which not everything has arrived yet.
    pub partial_bytes: AtomicU64,
    /// Times that the whole process did not run for a while.
    pub pauses: AtomicU64,
    /// Times that a shard had work and made no pass for a while.
    pub shard_stalls: AtomicU64,
    /// Lines of the log that nobody took in time.
    pub log_lines_lost: AtomicU64,
    /// Connections that could not be accepted.
    pub accept_errors: AtomicU64,
    /// Connections ended by a bug in what reads them.
    pub connection_panics: AtomicU64,
    /// Shards restarted after a bug.
    pub shard_restarts: AtomicU64,
}

impl Metrics {
    /// Returns the counters of a hub with that many shards.
    pub fn new(shards: usize) -> Self {
        Self {
            started: Instant::now(),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            refusals: std::array::from_fn(|_| AtomicU64::new(0)),
            credit_waits: AtomicU64::new(0),
            credit_wait_micros: AtomicU64::new(0),
            partial_bytes: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            shard_stalls: AtomicU64::new(0),
            log_lines_lost: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            connection_panics: AtomicU64::new(0),
            shard_restarts: AtomicU64::new(0),
        }
    }

    /// Returns when the hub began: what times are measured from.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns the counters of each shard.
    pub fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }

    /// Counts a connection that was refused.
    pub fn refuse(&self, reason: Refusal) {
        Self::count(&self.refusals[reason as usize]);
    }

    /// Returns how many were refused, by [`Refusal`].
    pub fn refusals(&self) -> [u64; Refusal::LABELS.len()] {
        // Relaxed: each number stands for itself.
        std::array::from_fn(|reason| self.refusals[reason].load(Ordering::Relaxed))
    }

    /// Adds one to a counter.
    pub fn count(counter: &AtomicU64) {
        Self::add(counter, 1);
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, more: u64) {
        // Relaxed: the number stands for itself.
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// Changes what one of many holds of a sum.
    pub fn change(sum: &AtomicU64, before: usize, now: usize) {
        if now != before {
            // Relaxed: the number stands for itself. What wraps on the way down comes back.
            sum.fetch_add((now as u64).wrapping_sub(before as u64), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice the truth is the most that a quantile from buckets may say, with room for the load generator's own error.
    #[test]
    fn neighbouring_latency_bounds_are_at_most_1_6_apart() {
        assert!(LATENCY_BOUNDS.windows(2).all(|pair| pair[0] < pair[1] && pair[1] * 10 <= pair[0] * 16));
    }
}
