//! The counters of the process. Any thread counts, so they are atomics.

use super::counters::counters;
use super::refusal::Refusal;
use crate::protocol::Encoding;

counters! {
    /// What the process did since it started.
    pub struct ProcessCounts;

    /// The same as it is counted.
    pub struct ProcessCounters { pub };

    numbers {
        /// Times that a publisher waited for a shard and its socket was not read.
        Counter credit_waits,
        /// Total time that publishers waited for shards.
        Seconds credit_wait_micros as "credit_wait",
        /// Publications dropped from histories before their time, because all histories together held too much.
        Counter history_evicted,
        /// Subscribers that returned and got everything that they had missed.
        Counter recoveries,
        /// Subscribers that returned and were told that something they missed cannot be given.
        Counter recoveries_incomplete,
        /// Clients that presence knows, once for each of their channels.
        Gauge presence_members,
        /// Joins that were told to the subscribers of a channel.
        Counter presence_joins,
        /// Leaves that were told to the subscribers of a channel.
        Counter presence_leaves,
        /// Answers of other hubs that did not come in time, and that a result named as missing.
        Counter presence_replies_missing,
        /// Partitions of the cluster that this hub follows.
        Gauge partitions_followed,
        /// Partitions of which this hub lacks something that it knows of, or that it cannot follow now.
        Gauge partitions_behind,
        /// Publications and beacons that were fetched: they were not announced, or came before this hub followed.
        Counter resync_messages,
        /// Channels to whose subscribers was told that publications cannot be had any more.
        Counter gaps_declared,
        /// Announcements that came twice, and were dropped.
        Counter duplicates_dropped,
        /// Times that the log was read for a history that this hub does not have.
        Counter backfills,
        /// Publications of channels that nobody is subscribed to on this hub, and that keep nothing.
        Counter foreign_messages,
        /// Times that a partition had a new epoch: its log was made anew, or has lost what it had acknowledged.
        Counter epoch_changes,
        /// Bytes of messages that have not arrived completely.
        Part partial_bytes,
        /// Connections that could not be accepted.
        Counter accept_errors,
        /// Connections ended by a panic.
        Counter connection_panics,
        /// Shards restarted after a panic.
        Counter shard_restarts,
        /// Times that the whole process did not run for a second.
        Counter pauses,
        /// Times that a shard had work and made no pass for a second.
        Counter shard_stalls,
        /// Events that the application has taken.
        Counter events_sent,
        /// Events dropped because too many waited.
        Counter events_lost,
        /// Requests with events that the application did not take, and that were or will be repeated.
        Counter events_retries,
        /// Lines of the log that were dropped because writing was too slow.
        Counter log_lines_lost,
    }
    labelled {
        /// Connections refused before they were WebSockets.
        Counter refusals: Refusal,
        /// Connections that were opened, by the protocol that they speak.
        Counter connections_opened: Encoding,
    }
    histograms {}
}
