//! An admission: how many may come, how fast, and how much they may say; what protects the hub from its clients.

use super::ranged;
use clap::Args;

/// The part of the configuration that says how much one client may take.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Admission")]
pub struct Admission {
    /// Connections from one address at once; IPv6 counts by /64. Beyond it: 429.
    #[arg(
        long,
        env = "THRONG_CONNECTIONS_PER_ADDRESS_MAX",
        default_value_t = 200,
        value_name = "N",
        value_parser = ranged(1..=1 << 32),
    )]
    pub connections_per_address_max: usize,

    /// Handshakes in progress from one address. Beyond it its oldest one is cut off.
    #[arg(
        long,
        env = "THRONG_HANDSHAKES_PER_ADDRESS_MAX",
        default_value_t = 32,
        value_name = "N",
        value_parser = ranged(1..=1 << 20),
    )]
    pub handshakes_per_address_max: usize,

    /// Handshakes per second from one address, four times as many at once. Beyond it: 429 and when to try again.
    #[arg(
        long,
        env = "THRONG_HANDSHAKE_RATE_PER_ADDRESS_MAX",
        default_value_t = 10,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    pub handshake_rate_per_address_max: u32,

    /// Handshakes per second from everybody, twice as many at once. Beyond it: 503 and when to try again.
    #[arg(
        long,
        env = "THRONG_HANDSHAKE_RATE_MAX",
        default_value_t = 2_000,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    pub handshake_rate_max: u32,

    /// Bytes of memory that the process may use. At 85 % of it handshakes get 503, at 95 % the longest outboxes are
    /// closed with 4008. Default: the limit of the cgroup, or all of the machine's.
    #[arg(long, env = "THRONG_MEMORY_MAX", default_value_t = 0, hide_default_value = true, value_name = "BYTES")]
    pub memory_max: u64,
}
