//! The scenarios as subcommands: what each measures.

use super::args::disturbance::{ChurnArgs, RecoveryArgs, SlowArgs, StormArgs};
use super::args::scale::{ChannelsArgs, IdleArgs, RampArgs};
use super::args::steady::{BurstArgs, ChatArgs, FanoutArgs, SaturateArgs, SoakArgs};
use super::check::check;
use super::error::ConfigError;
use crate::config::Config;
use clap::Subcommand;

/// A scenario and its flags.
#[derive(Debug, Subcommand)]
#[command(args_override_self = true)]
pub(crate) enum ScenarioCommand {
    /// What does a connection cost while nothing happens?
    ///
    /// Opens --clients-low connections, rests, then opens up to --clients and rests again. The cost of a connection is
    /// the slope between the two, so that the server's base memory is not counted. Then holds all connections for
    /// --duration and measures the CPU time of idling. Needs --server-pid.
    #[command(args_override_self = true)]
    Idle(IdleArgs),
    /// How fast does one message reach all receivers?
    ///
    /// One publisher sends --rate messages per second on a clock (open loop) to --clients receivers. Latency counts
    /// from the intended send time. The first and the last receiver of each message have figures of their own, since
    /// the last one sees the whole cost of the fan-out.
    #[command(args_override_self = true)]
    Fanout(FanoutArgs),
    /// How many deliveries per second can the server make?
    ///
    /// A closed loop: one publisher keeps --window messages in flight, counted by its own copies, so the server is
    /// always busy and sets the pace. The figure is throughput; latency is that of a full pipe and counts from the
    /// actual send.
    #[command(args_override_self = true)]
    Saturate(SaturateArgs),
    /// What if all clients send to all clients?
    ///
    /// --clients members each send --rate messages per second, on a clock, and each receives all messages: a chat room,
    /// the quadratic case. 1,000 members at one message per second are a million deliveries per second.
    #[command(args_override_self = true)]
    Chat(ChatArgs),
    /// What happens to messages that are sent in bursts?
    ///
    /// One publisher sends --burst messages at once, every --every, to --clients receivers: a market data
    /// feed, a batch job. Shows how well the server batches, and how long the last message of a burst takes.
    #[command(args_override_self = true)]
    Burst(BurstArgs),
    /// What do receivers that stop reading cost the others, and the server?
    ///
    /// First a calm phase in which all receivers read, then one of the same length in which --slow-share of them do
    /// not, like phones in a tunnel. Compares the latency of the same healthy receivers in both phases, and reports
    /// when and how the server closed the stalled ones, and their cost in memory, including kernel buffers.
    #[command(args_override_self = true)]
    Slow(SlowArgs),
    /// How long until all clients are back after a cut?
    ///
    /// Cuts all connections at once, as a failing load balancer does, twice: first all clients reconnect at once, then
    /// each at a random moment within --jitter. Reports when 99 % and 100 % were back, how many attempts were refused
    /// and why, and the server's cost per return. A short load after each round proves that the clients receive again.
    /// --duration is the longest wait for them.
    #[command(args_override_self = true)]
    Storm(StormArgs),
    /// What do arrivals and departures cost the clients that stay?
    ///
    /// A calm phase, then one of the same length in which --churn-rate connections per second are closed properly and
    /// opened again, while messages flow. Compares the latency of the clients that stay; new connections are verified
    /// from the first message they receive to the last.
    #[command(args_override_self = true)]
    Churn(ChurnArgs),
    /// What does it cost when many clients return and ask for what they missed?
    ///
    /// A calm phase; then --leavers of the clients are cut off, --missed messages are published, and all of them return
    /// at random moments of --within, each with its position (subprotocol throng.numbered, ?since=EPOCH:OFFSET). Each
    /// must get exactly what it missed, once and in order. Compares the latency of the clients that stay, and reports
    /// when all were back and the server's memory before and at its peak. The second phase lasts twice --within. The
    /// channel must keep what is missed: throng --history-size 300.
    #[command(args_override_self = true)]
    Recovery(RecoveryArgs),
    /// How much load until latency exceeds a limit?
    ///
    /// Raises the clients (or, with --by rate, the messages per second) step by step from --from by --step, measures
    /// each step for --duration, and stops when the p99 exceeds --p99-max, a message is lost, or the generator itself
    /// is the bottleneck. The knee is the last step within the limits, if a later one exceeded them; the whole curve is
    /// in the report.
    #[command(args_override_self = true)]
    Ramp(RampArgs),
    /// What if the clients are spread over many channels?
    ///
    /// --clients clients subscribe to channels whose popularity follows Zipf's law: a few are large, most nearly empty.
    /// --rate messages per second in all are published, in proportion to popularity. With --protocol plain the address
    /// names the channel (?channel={channel}) and a client has one; with centrifuge it has --subscriptions.
    #[command(args_override_self = true)]
    Channels(ChannelsArgs),
    /// Does anything grow with time?
    ///
    /// An even load for a long --duration. Straight lines through the samples show by how much the server's memory, its
    /// descriptors, the kernel's buffers and the p99 grow per hour. Run it overnight with --assert 'rss_slope<1MiB'.
    #[command(args_override_self = true)]
    Soak(SoakArgs),
}

impl ScenarioCommand {
    /// Returns the name of the subcommand.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Idle(_) => "idle",
            Self::Fanout(_) => "fanout",
            Self::Saturate(_) => "saturate",
            Self::Chat(_) => "chat",
            Self::Burst(_) => "burst",
            Self::Slow(_) => "slow",
            Self::Storm(_) => "storm",
            Self::Churn(_) => "churn",
            Self::Recovery(_) => "recovery",
            Self::Ramp(_) => "ramp",
            Self::Channels(_) => "channels",
            Self::Soak(_) => "soak",
        }
    }

    /// Returns the configuration that the flags amount to.
    ///
    /// # Errors
    ///
    /// Fails when two flags contradict each other.
    pub(super) fn into_config(self) -> Result<Config, ConfigError> {
        let config = match self {
            Self::Idle(args) => args.into_config(),
            Self::Fanout(args) => args.into_config(),
            Self::Saturate(args) => args.into_config(),
            Self::Chat(args) => args.into_config(),
            Self::Burst(args) => args.into_config(),
            Self::Slow(args) => args.into_config(),
            Self::Storm(args) => args.into_config(),
            Self::Churn(args) => args.into_config(),
            Self::Recovery(args) => args.into_config(),
            Self::Ramp(args) => args.into_config(),
            Self::Channels(args) => args.into_config(),
            Self::Soak(args) => args.into_config(),
        }?;
        check(&config)?;
        Ok(config)
    }
}
