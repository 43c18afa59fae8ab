//! A tuning: what the operator may trade, latency for throughput and back; the defaults are safe everywhere.

use super::{ConfigError, ranged};
use clap::Args;
use humantime::parse_duration;
use std::time::Duration;

/// Longest coalescing delay: beyond a tenth of a second a chat feels broken.
const COALESCE_DELAY_MAX: Duration = Duration::from_millis(100);

/// Shortest turn of a shard: about what one step of writes takes, so that a shorter one could not be kept.
const PASS_TURN_MIN: Duration = Duration::from_micros(10);

/// Longest turn of a shard: every reader of its thread waits that long.
const PASS_TURN_MAX: Duration = Duration::from_millis(10);

/// The part of the configuration that trades one good for another.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tuning")]
pub struct Tuning {
    /// Threads that all of it runs on, 1 to 1024. Default: the cores that the process may run on. Nothing in here
    /// blocks, so more than cores gain nothing; fewer leave cores to others.
    #[arg(long, env = "THRONG_THREADS", value_name = "N", value_parser = ranged(1..=1024))]
    pub threads: Option<usize>,

    /// Keep each thread on one core of those allowed, in turn. Steadier tails on a machine that does nothing else;
    /// worse on a shared one, where a thread can not move away from a busy core.
    #[arg(long, env = "THRONG_PIN_THREADS")]
    pub pin_threads: bool,

    /// Time that publications wait for company before they leave, 0s to 100ms, rounded up to milliseconds: fewer and
    /// larger writes, later. 64 KiB leave at once, and so do pongs and closes. 0s delays nothing.
    #[arg(
        long,
        env = "THRONG_COALESCE_DELAY",
        default_value = "0s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub coalesce_delay: Duration,

    /// Commands that a shard takes before it writes, 1 to 8192. More coalesce better under load and make the first of
    /// them wait longer; what is left waits for the next pass.
    #[arg(
        long,
        env = "THRONG_PASS_COMMANDS_MAX",
        default_value_t = 256,
        value_name = "N",
        value_parser = ranged(1..=8192),
    )]
    pub pass_commands_max: usize,

    /// Time that a shard writes before it lets others run on its thread, 10us to 10ms: the default is some fifty
    /// writes. Longer delays readers, shorter costs switches.
    #[arg(
        long,
        env = "THRONG_PASS_TURN",
        default_value = "300us",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub pass_turn: Duration,

    /// Tasks that a busy thread runs between two looks at the sockets, 1 to 1024. Times --pass-turn it bounds how long
    /// a socket is not seen: 5 ms, where the runtime's own 61 would be 18. Fewer cost system calls.
    #[arg(
        long,
        env = "THRONG_EVENT_INTERVAL",
        default_value_t = 16,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1024),
    )]
    pub event_interval: u32,
}

impl Tuning {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.coalesce_delay > COALESCE_DELAY_MAX {
            return Err(ConfigError::TimeOutOfRange {
                flag: "coalesce-delay",
                value: self.coalesce_delay,
                range: (Duration::ZERO, COALESCE_DELAY_MAX),
                advice: "people notice more than a tenth of a second",
            });
        }
        if !(PASS_TURN_MIN..=PASS_TURN_MAX).contains(&self.pass_turn) {
            return Err(ConfigError::TimeOutOfRange {
                flag: "pass-turn",
                value: self.pass_turn,
                range: (PASS_TURN_MIN, PASS_TURN_MAX),
                advice: "leave it out for 300us",
            });
        }
        Ok(())
    }
}
