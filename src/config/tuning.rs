//! Tuning: latency for throughput and back. The defaults are safe everywhere.

use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::Switch;
use super::setting::{computed, count, duration, text};
use std::time::Duration;

/// Longest coalescing delay, in nanoseconds: a chat with more than a tenth of a second feels broken.
const COALESCE_DELAY_MAX: u64 = 100_000_000;

/// Shortest turn of a shard, in nanoseconds: about the time of one step of writes, so a shorter one cannot be kept.
const PASS_TURN_MIN: u64 = 10_000;

/// Longest turn of a shard, in nanoseconds: every reader on its thread waits that long.
const PASS_TURN_MAX: u64 = 10_000_000;

section! {
    /// Latency for throughput, or throughput for latency. The defaults are safe everywhere.
    pub struct TuningConfig in "tuning" (Once) {
        /// Number of threads that everything runs on.
        ///
        /// Nothing blocks, so more threads than cores gain nothing. Fewer leave cores to other programs.
        threads: Option<usize> = count("threads", 1, 1024), computed("", "number of cores"), Restart;

        /// Pin each thread to one of the allowed cores, in turn.
        ///
        /// Gives steadier tail latencies on a machine that runs nothing else, and worse ones on a shared machine, where
        /// a pinned thread cannot move away from a busy core.
        pin_threads: bool = Switch, Unset, Restart;

        /// Time that publications wait for others before they are written, rounded up to milliseconds. 0s: no delay.
        ///
        /// A longer delay makes fewer and larger writes. 64 KiB are written at once, and so are pongs and close frames.
        coalesce_delay: Duration =
            duration(0, COALESCE_DELAY_MAX, "people notice more than a tenth of a second"), text("0s"), Restart;

        /// Maximum number of commands that a shard takes from its inbox before it writes.
        ///
        /// More commands coalesce better under load and make the first of them wait longer. The rest waits for the next
        /// pass.
        pass_commands_max: usize = count("commands", 1, 8192), text("256"), Restart;

        /// Time that a shard writes before it yields to other tasks on its thread.
        ///
        /// The default is about fifty writes. A longer turn delays readers, a shorter one costs task switches.
        pass_turn: Duration =
            duration(PASS_TURN_MIN, PASS_TURN_MAX, "leave it out for 300us"), text("300us"), Restart;

        /// Number of tasks that a busy thread runs between two checks for ready sockets.
        ///
        /// Times --pass-turn it bounds how long a ready socket waits: 5 ms by default; tokio's own default of 61 would
        /// make it 18 ms. Fewer tasks cost system calls.
        event_interval: u32 = count("tasks", 1, 1024), text("16"), Restart;
    }
}
