//! The scenarios as subcommands: what each measures.

use super::args::disturbance::{ChurnArgs, SlowArgs, StormArgs};
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
    /// Opens --clients-low connections, rests, then opens up to --clients and rests again. The price of a connection is
    /// the slope between the two, so that what the server needs without any is not divided among them. Then holds all
    /// of them for --duration and reads the CPU time of idling. Needs --server-pid.
    #[command(args_override_self = true)]
    Idle(IdleArgs),
    /// How fast does one message reach everybody?
    ///
    /// One publisher sends --rate messages per second on a clock (open loop) to --clients receivers. Latency counts
    /// from the moment the clock wanted the message sent; the first and the last receiver of each message are told
    /// apart, since the last one sees the whole cost of the fan-out.
    #[command(args_override_self = true)]
    Fanout(FanoutArgs),
    /// How many deliveries per second can it make?
    ///
    /// A closed loop: one publisher keeps --window messages under way, as counted by its own copies, so the server is
    /// always busy and sets the pace. The figure is throughput; latency is that of a full pipe and counts from the
    /// actual send.
    #[command(args_override_self = true)]
    Saturate(SaturateArgs),
    /// What if everybody talks to everybody?
    ///
    /// --clients members each send --rate messages per second, on a clock, and everybody receives everything: a chat
    /// room, the quadratic case. 1,000 members at one message per second are a million deliveries per second.
    #[command(args_override_self = true)]
    Chat(ChatArgs),
    /// What happens to messages that come many at a time?
    ///
    /// One publisher sends --burst messages at once, every --every, to --clients receivers: a market that moves, a
    /// batch job that reports. Shows how well the server coalesces, and what the last message of a burst waits for.
    #[command(args_override_self = true)]
    Burst(BurstArgs),
    /// What do receivers that stop reading cost the others, and the server?
    ///
    /// First a calm phase in which everybody reads, then one of the same length in which --slow-share of the receivers
    /// do not: phones in a tunnel. Compares the latency of the same healthy receivers in both, tells when and how the
    /// server parted with the stalled ones, and what they cost in memory, kernel buffers included.
    #[command(args_override_self = true)]
    Slow(SlowArgs),
    /// How long until everybody is back after a cut?
    ///
    /// Cuts all connections at once, as a failing balancer does, twice: everybody comes back at once, then each at a
    /// random moment within --jitter. Tells when 99 % and 100 % were back, who was refused, what a return costs the
    /// server, and proves by a short load that who is back receives. --duration is how long it waits for them.
    #[command(args_override_self = true)]
    Storm(StormArgs),
    /// What do arrivals and departures cost those who stay?
    ///
    /// A calm phase, then one of the same length in which --churn-rate connections per second close properly and come
    /// back as newcomers, while messages flow. Compares the latency of those who stay; newcomers are verified from the
    /// first message they see to the last.
    #[command(args_override_self = true)]
    Churn(ChurnArgs),
    /// How far does it go until latency breaks a limit?
    ///
    /// Raises the clients (or, with --by rate, the messages per second) step by step from --from by --step, measures
    /// each step for --duration, and stops when the p99 passes --p99-max, something is lost, or the generator itself is
    /// the bottleneck. The last step that held is the knee; the whole curve is in the report.
    #[command(args_override_self = true)]
    Ramp(RampArgs),
    /// What if the same people stand in many channels?
    ///
    /// --clients clients subscribe to channels whose popularity follows Zipf's law: a few are crowded, most nearly
    /// empty. --rate messages per second in all go where the people are. With --face plain the address names the
    /// channel (?channel={channel}) and a client has one; with centrifuge it has --subscriptions.
    #[command(args_override_self = true)]
    Channels(ChannelsArgs),
    /// Does anything grow with time?
    ///
    /// An even load for a long --duration. Straight lines through the samples tell by how much the server's memory, its
    /// descriptors, the kernel's buffers and the p99 grow per hour. Use it with --assert 'rss_slope<1MiB' overnight.
    #[command(args_override_self = true)]
    Soak(SoakArgs),
}

impl ScenarioCommand {
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
            Self::Ramp(args) => args.into_config(),
            Self::Channels(args) => args.into_config(),
            Self::Soak(args) => args.into_config(),
        }?;
        check(&config)?;
        Ok(config)
    }
}
