//! The counters of a shard. It counts plain numbers and publishes them at the end of a pass.

use super::counters::counters;
use super::latency::{LatencyHistogram, SharedLatencyHistogram};
use crate::protocol::CloseReason;

counters! {
    /// What one shard did since the process started.
    pub struct ShardCounts;

    /// The same as others may read it; alone on its cache lines, since shards run on different cores.
    #[repr(align(128))]
    pub struct ShardCounters { pub(super) };

    numbers {
        /// Connections of the shard.
        Gauge connections,
        /// Channels with subscribers on the shard.
        Gauge shard_channels,
        /// Connections that are parked on a full socket, or closing.
        Gauge parked,
        /// Bytes of the longest log that a connection still waits for, at the last tick: the largest lag.
        Gauge lag_bytes,
        /// Bytes of all logs that connections still wait for, at the last tick.
        Gauge log_bytes,
        /// Bytes of all control queues at the last tick: rests of frames, pings, notices and close frames.
        Gauge control_bytes,
        /// Bytes of the table of connections.
        Gauge slot_bytes,
        /// Publications that the shard appended to a log.
        Counter publications,
        /// Publications written to a subscriber, or to its control queue as the rest of a frame.
        Counter deliveries,
        /// Writes offered to a socket; deliveries divided by sends is the number of messages per write.
        Counter sends,
        /// Bytes that sockets accepted.
        Counter bytes,
        /// Times that a connection was parked on a full socket.
        Counter parks,
        /// Publications that connections did not get because they are too slow: the policy skip left them out, or a
        /// subscription ended, whose client asks for them again.
        Counter skipped,
        /// Passes of the shard.
        Counter passes,
        /// Times that a command, or a socket that became writable, woke the shard.
        Counter wakes,
    }
    labelled {
        /// Connections closed by the hub.
        Counter closes: CloseReason,
    }
    histograms {
        /// Publications by the time from their arrival to their last write.
        latency: LatencyHistogram as SharedLatencyHistogram,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket's bound belongs to the bucket.
    #[test]
    fn latency_is_counted_in_the_first_bucket_that_reaches_it() {
        let mut counts = ShardCounts::default();
        counts.latency.count(0, 1);
        counts.latency.count(100, 2);
        counts.latency.count(101, 3);
        counts.latency.count(u64::MAX / 8, 4);
        assert_eq!((counts.latency.buckets[0], counts.latency.buckets[1]), (3, 3));
        assert_eq!(counts.latency.buckets.last(), Some(&4));
        let shared = ShardCounters::default();
        shared.publish(&counts);
        assert_eq!(shared.read(), counts);
    }
}
