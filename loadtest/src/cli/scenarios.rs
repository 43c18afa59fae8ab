//! The scenarios as subcommands: what each asks, and what can be told to it.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Common, FaceName, values};
use crate::config::{Axis, Config, Scenario};
use crate::wire::face::{CHANNEL, Custom, Face, RECORD};

/// Sequence numbers a worker may keep, 4 bytes each: 1 GiB. A chat of 16,384 members needs as many.
const ROWS_MAX: usize = 1 << 28;

/// A publisher's number has four hex digits in a record.
const PUBLISHERS_MAX: usize = 1 << 16;

/// A question, and what can be told to it.
#[derive(Debug, Subcommand)]
#[command(args_override_self = true)]
pub(crate) enum Scenarios {
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

/// A message of the usual length.
#[derive(Args, Debug)]
pub(crate) struct Message {
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = values::size)]
    size: usize,
}

/// Receivers of the usual number.
#[derive(Args, Debug)]
pub(crate) struct Receivers {
    /// Receivers; the publisher comes on top.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
}

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// Connections at the second measurement.
    #[arg(long, default_value = "10000", value_parser = values::positive)]
    clients: usize,
    /// Connections at the first measurement.
    #[arg(long, default_value = "2000", value_parser = values::positive)]
    clients_low: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages per second.
    #[arg(long, default_value = "20", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct SaturateArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages that may be under way before the publisher's own copy of the oldest is back.
    #[arg(long, default_value = "64", value_parser = values::positive)]
    window: usize,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// Members, who all publish.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
    /// Messages per second and member.
    #[arg(long, default_value = "1", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct BurstArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages at once.
    #[arg(long, value_name = "MESSAGES", default_value = "16", value_parser = values::positive)]
    burst: usize,
    /// Time from one burst to the next.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::period)]
    every: Duration,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    /// Receivers, the stalled ones included; the publisher comes on top.
    #[arg(long, default_value = "200", value_parser = values::positive)]
    clients: usize,
    /// Share of the receivers that stop reading for good.
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = values::share)]
    slow_share: f64,
    /// Messages per second.
    #[arg(long, default_value = "500", value_parser = values::rate)]
    rate: f64,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value = "500", value_parser = values::size)]
    size: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct StormArgs {
    /// Receivers; the publisher comes on top, and is cut too.
    #[arg(long, default_value = "5000", value_parser = values::positive)]
    clients: usize,
    /// Second round: everybody comes back at a random moment of this window.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    jitter: Duration,
    /// Messages per second of the load that proves that everybody is back.
    #[arg(long, default_value = "5", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    /// Receivers, those who come and go included; the publisher comes on top.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
    /// Connections per second that leave and come back.
    #[arg(long, default_value = "100", value_parser = values::rate)]
    churn_rate: f64,
    /// Share of the receivers that take turns at it.
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = values::share)]
    churn_share: f64,
    /// Messages per second.
    #[arg(long, default_value = "20", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct RampArgs {
    /// What is raised.
    #[arg(long, value_enum, default_value = "clients")]
    by: Axis,
    /// The first step's clients or messages per second [default: 500 clients, 10 messages/s].
    #[arg(long, value_parser = values::rate)]
    from: Option<f64>,
    /// What each step adds [default: 500 clients, 10 messages/s].
    #[arg(long, value_parser = values::rate)]
    step: Option<f64>,
    /// Steps at most.
    #[arg(long, default_value = "12", value_parser = values::positive)]
    steps: usize,
    /// The p99 at which it ends.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = values::duration)]
    p99_max: Duration,
    /// --by rate: receivers; the publisher comes on top.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
    /// --by clients: messages per second.
    #[arg(long, default_value = "20", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct ChannelsArgs {
    /// Clients.
    #[arg(long, default_value = "2000", value_parser = values::positive)]
    clients: usize,
    /// Channels that there are.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    channels: usize,
    /// Channels that each client subscribes to.
    #[arg(long, default_value = "1", value_parser = values::positive)]
    subscriptions: usize,
    /// Exponent of the popularity: 0 for all alike, 1 as words in a text.
    #[arg(long, default_value = "1", value_parser = values::exponent)]
    zipf: f64,
    /// Messages per second in all.
    #[arg(long, default_value = "200", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages per second.
    #[arg(long, default_value = "5", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl Scenarios {
    /// Puts the configuration together.
    ///
    /// # Errors
    ///
    /// Fails with the sentence that says what contradicts what.
    pub(super) fn config(self) -> Result<Config, String> {
        let config = match self {
            Self::Idle(args) => {
                Config { clients_low: args.clients_low, ..base(Scenario::Idle, args.clients, 0.0, 64, args.common)? }
            }
            Self::Fanout(args) => {
                base(Scenario::Fanout, args.receivers.clients, args.rate, args.message.size, args.common)?
            }
            Self::Saturate(args) => Config {
                window: args.window,
                ..base(Scenario::Saturate, args.receivers.clients, 0.0, args.message.size, args.common)?
            },
            Self::Chat(args) => base(Scenario::Chat, args.clients, args.rate, args.message.size, args.common)?,
            Self::Burst(args) => Config {
                burst: args.burst,
                every: args.every,
                ..base(Scenario::Burst, args.receivers.clients, 0.0, args.message.size, args.common)?
            },
            Self::Slow(args) => Config {
                stalled: part("--slow-share", args.slow_share, args.clients)?,
                ..base(Scenario::Slow, args.clients, args.rate, args.size, args.common)?
            },
            Self::Storm(args) => Config {
                jitter: args.jitter,
                ..base(Scenario::Storm, args.clients, args.rate, args.message.size, args.common)?
            },
            Self::Churn(args) => Config {
                churn_rate: args.churn_rate,
                churners: part("--churn-share", args.churn_share, args.clients)?,
                ..base(Scenario::Churn, args.clients, args.rate, args.message.size, args.common)?
            },
            Self::Ramp(args) => ramp(args)?,
            Self::Channels(args) => Config {
                channels: args.channels,
                subscriptions: args.subscriptions,
                zipf: args.zipf,
                ..base(Scenario::Channels, args.clients, args.rate, args.message.size, args.common)?
            },
            Self::Soak(args) => {
                base(Scenario::Soak, args.receivers.clients, args.rate, args.message.size, args.common)?
            }
        };
        check(&config)?;
        Ok(config)
    }
}

fn ramp(args: RampArgs) -> Result<Config, String> {
    let usual = if args.by == Axis::Clients { 500.0 } else { 10.0 };
    let (ramp_from, ramp_step) = (args.from.unwrap_or(usual), args.step.unwrap_or(usual));
    let last = ramp_from + ramp_step * (args.steps - 1) as f64;
    let clients = match args.by {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1e7 times the steps")]
        Axis::Clients => last.round() as usize,
        Axis::Rate => args.clients,
    };
    let (axis, ramp_steps, p99_max) = (args.by, args.steps, args.p99_max);
    let base = base(Scenario::Ramp, clients, args.rate, args.message.size, args.common)?;
    Ok(Config { axis, ramp_from, ramp_step, ramp_steps, p99_max, ..base })
}

/// What all scenarios have.
fn base(scenario: Scenario, clients: usize, rate: f64, size: usize, common: Common) -> Result<Config, String> {
    let duration = common.duration.unwrap_or(match scenario {
        Scenario::Ramp => Duration::from_secs(5),
        Scenario::Soak => Duration::from_secs(600),
        _ => Duration::from_secs(30),
    });
    Ok(Config {
        scenario,
        face: face(&common)?,
        url: common.url,
        channel: common.channel,
        clients,
        clients_low: 0,
        rate,
        window: 0,
        size,
        burst: 0,
        every: Duration::ZERO,
        stalled: 0,
        jitter: Duration::ZERO,
        churn_rate: 0.0,
        churners: 0,
        axis: Axis::Clients,
        ramp_from: 0.0,
        ramp_step: 0.0,
        ramp_steps: 0,
        p99_max: Duration::ZERO,
        channels: 0,
        subscriptions: 0,
        zipf: 0.0,
        validators: common.validate,
        duration,
        warmup: common.warmup,
        drain: common.drain,
        connect_rate: common.connect_rate,
        source_addresses: common.source_addresses,
        processes: common.processes,
        seed: common.seed.unwrap_or_else(rand::random),
        server_pid: common.server_pid,
        server_metrics: common.server_metrics,
        server_syscalls: common.server_syscalls,
        asserts: common.asserts,
        json: common.json,
        html: common.html,
        quiet: common.quiet,
    })
}

fn face(common: &Common) -> Result<Face, String> {
    let texts = [
        ("--hello", &common.hello),
        ("--ready", &common.ready),
        ("--publish", &common.publish),
        ("--marker", &common.marker),
    ];
    let given = texts.iter().find(|(_, text)| text.is_some());
    match (common.face, given) {
        (FaceName::Plain, None) => Ok(Face::Plain),
        (FaceName::Centrifuge, None) => Ok(Face::Centrifuge),
        (FaceName::Custom, _) => {
            let publish = common.publish.clone().unwrap_or_else(|| RECORD.to_owned());
            if publish.matches(RECORD).count() != 1 {
                return Err(format!("--publish '{publish}' must hold {RECORD} once: that is where the message goes"));
            }
            let (hello, ready) = (common.hello.clone(), common.ready.clone());
            Ok(Face::Custom(Custom { hello, ready, publish, marker: common.marker.clone().unwrap_or_default() }))
        }
        (_, Some((flag, _))) => Err(format!("{flag} is for --face custom; add that, or leave {flag} out")),
    }
}

/// The number of clients that a share comes to: at least one, and not all.
fn part(flag: &str, share: f64, clients: usize) -> Result<usize, String> {
    let part = (1..clients).take_while(|part| *part as f64 <= clients as f64 * share).count();
    if part == 0 {
        return Err(format!("{flag} {share} of {clients} clients is nobody; choose a share that is at least one"));
    }
    Ok(part)
}

/// Refuses what is not possible together.
fn check(config: &Config) -> Result<(), String> {
    let (clients, low) = (config.clients, config.clients_low);
    let names_channel = config.url.path.contains(CHANNEL)
        || matches!(&config.face, Face::Custom(custom) if custom.publish.contains(CHANNEL));
    if let Some(metrics) = config.server_metrics.as_ref().filter(|metrics| metrics.is_encrypted) {
        return Err(format!(
            "--server-metrics {metrics} is read without TLS; give the server a plain address beside it"
        ));
    }
    match config.scenario {
        Scenario::Idle if low >= clients => Err(format!(
            "--clients-low {low} is not below --clients {clients}; the slope needs two sizes, choose a smaller \
             --clients-low"
        )),
        Scenario::Idle if config.server_pid.is_none() => {
            Err("idle measures the server's memory; name the process with --server-pid".to_owned())
        }
        Scenario::Chat if clients > PUBLISHERS_MAX || clients * clients.div_ceil(config.processes) > ROWS_MAX => {
            Err(format!(
                "a chat of --clients {clients} needs more than the 1 GiB that a process may use to verify it; choose \
                 at most 16384, or more --processes and at most {PUBLISHERS_MAX}"
            ))
        }
        Scenario::Channels if config.channels > PUBLISHERS_MAX => {
            Err(format!("--channels {} is more than the {PUBLISHERS_MAX} that can be told apart", config.channels))
        }
        Scenario::Channels if config.subscriptions > config.channels => Err(format!(
            "--subscriptions {} is more than the {} channels that there are",
            config.subscriptions, config.channels
        )),
        Scenario::Channels if config.subscriptions > 1 && config.face != Face::Centrifuge => Err(format!(
            "--subscriptions {} needs --face centrifuge; elsewhere a connection has one channel",
            config.subscriptions
        )),
        Scenario::Channels if config.face != Face::Centrifuge && !names_channel => Err(format!(
            "--url {} names no channel: put {CHANNEL} where the server expects it, as in \
             ws://HOST:PORT/ws?channel={CHANNEL}",
            config.url
        )),
        _ => Ok(()),
    }
}
