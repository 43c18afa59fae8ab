//! The messages between a coordinator and its workers: requests and events. One JSON line each, over the worker's
//! standard streams.
//!
//! Every request has exactly one answer; ticks come in between, once a second. Times are nanoseconds of
//! `CLOCK_MONOTONIC`, which all processes of a machine share.

use super::share::Share;
use crate::config::Config;
use crate::exit::RunError;
use crate::measure::histogram::Buckets;
use crate::measure::{CloseCount, Counts, Refusal};
use crate::observe::host::ThreadTime;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The first line a worker reads: the run, and its part in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) config: Config,
    pub(crate) share: Share,
    /// The key of the API, which the configuration loses on its way into any JSON.
    pub(crate) api_key: Option<String>,
}

/// A request of the coordinator.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Request {
    /// Open connections until the run has `total`, this many per second in this worker.
    Connect { total: usize, rate: f64 },
    /// Publish, and measure.
    Load(TimedLoad),
    /// Read on until everything that all workers sent has come, or `patience_ns` is over.
    Drain { sent: Vec<u32>, patience_ns: u64 },
    /// Stop reading the clients that are configured to stall.
    Stall,
    /// Read those to their ends.
    ReadOut { patience_ns: u64 },
    /// Cut the clients that are configured to leave.
    Leave,
    /// Cut all connections at `at_ns` and bring them back, the first attempts spread over `jitter_ns`.
    Storm { at_ns: u64, jitter_ns: u64, give_up_ns: u64 },
    /// Report everything that was received.
    Received,
    /// Count what is missing of everything that all workers sent.
    Missing { sent: Vec<u32> },
    /// Bring what is going on to an early end; has no answer of its own.
    Interrupt,
}

/// A load with its times.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct TimedLoad {
    pub(crate) drive: Drive,
    pub(crate) start_ns: u64,
    /// The window opens: everything before is warm-up.
    pub(crate) open_ns: u64,
    pub(crate) end_ns: u64,
    /// How long, after the end, to go on sending what a full socket held back.
    pub(crate) patience_ns: u64,
    /// Connections that come and go per second, in the whole run.
    pub(crate) churn_rate: f64,
    /// Time from the opening of the window within which the clients that left return; 0 if they stay away.
    pub(crate) return_ns: u64,
}

/// The pace of the publishers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Drive {
    /// Messages per second, of all publishers together, on a clock.
    Rate(f64),
    /// This many messages at once, again and again, on a clock.
    Bursts { messages: usize, every_ns: u64 },
    /// As long as fewer messages than this are in flight.
    Window(u32),
}

/// An event of a worker: an answer, or news.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Event {
    /// The last second.
    Tick(Tick),
    /// It cannot go on.
    Failed(RunError),
    Connected(Connected),
    Loaded(Loaded),
    Drained(Drained),
    Stalled(Vec<(usize, SocketAddr)>),
    ReadOut(Vec<CloseCount>),
    /// Clients that were cut.
    Left(usize),
    Returned(Returned),
    Received(Received),
    Missing(Missing),
}

/// Takes an answer out of an event, or nothing if it is another one.
macro_rules! answers {
    ($($name:ident: $variant:ident -> $answer:ty),* $(,)?) => {
        impl Event {
            $(
                pub(crate) fn $name(self) -> Option<$answer> {
                    match self {
                        Self::$variant(answer) => Some(answer),
                        _ => None,
                    }
                }
            )*
        }
    };
}

answers! {
    connected: Connected -> Connected,
    loaded: Loaded -> Loaded,
    drained: Drained -> Drained,
    stalled: Stalled -> Vec<(usize, SocketAddr)>,
    read_out: ReadOut -> Vec<CloseCount>,
    left: Left -> usize,
    returned: Returned -> Returned,
    received: Received -> Received,
    missing: Missing -> Missing,
}

/// The state of a worker, and the figures of the last second.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Tick {
    pub(crate) at_ns: u64,
    /// Clients that are open now.
    pub(crate) open: usize,
    pub(crate) sent: u64,
    pub(crate) verified: u64,
    pub(crate) lost: u64,
    pub(crate) latency: Buckets,
    pub(crate) own: ThreadTime,
}

/// Connections that were opened.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Connected {
    pub(crate) opened: usize,
    /// From the first SYN to the end of the handshake.
    pub(crate) handshake: Buckets,
}

/// A load that was published.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Loaded {
    pub(crate) before: Edge,
    pub(crate) after: Edge,
    /// Messages sent over the whole run, by publisher; 0 for other workers' publishers.
    pub(crate) sent: Vec<u32>,
    /// How much later than due the messages were written.
    pub(crate) lateness: Buckets,
    pub(crate) arrivals: u64,
    pub(crate) arrival_handshake: Buckets,
    /// Present if this worker publishes through the API.
    pub(crate) api: Option<ApiUse>,
    /// Present if clients that had left returned.
    pub(crate) returned: Option<Returned>,
    /// Over the whole run.
    pub(crate) recoveries: Recoveries,
}

/// What servers said to clients that returned and named their position.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Recoveries {
    /// Everything that was missed follows.
    pub(crate) complete: u64,
    /// Something of it cannot be given.
    pub(crate) incomplete: u64,
    /// Lines that follow, of the complete ones.
    pub(crate) lines: u64,
}

/// The answers of the API within a window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ApiUse {
    pub(crate) answers: u64,
    /// Publications that they accepted.
    pub(crate) accepted: u64,
    /// From the request to its answer.
    pub(crate) answer_time: Buckets,
}

/// One end of the measured window.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Edge {
    pub(crate) at_ns: u64,
    pub(crate) sent: u64,
    pub(crate) verified: u64,
    pub(crate) own: ThreadTime,
}

/// What had come when no message was in flight any more.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Drained {
    pub(crate) latency: Buckets,
    /// Microseconds to the first and to the last receiver, by message of the window; a message that reached no client
    /// has `u32::MAX` and 0. Empty unless all publish in one channel, in turn, in an open loop.
    pub(crate) first_us: Vec<u32>,
    pub(crate) last_us: Vec<u32>,
    /// Deliveries lost and connections closed over the whole run, so far.
    pub(crate) lost: u64,
    pub(crate) closed: usize,
    /// Clients that are open, or stalled.
    pub(crate) open: usize,
}

/// The returns after a cut.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Returned {
    /// From the cut, or from the first moment of a return, to the end of the handshake.
    pub(crate) returns: Buckets,
    pub(crate) attempts: u64,
    pub(crate) clients: usize,
    /// Share of the time that this worker waited for a core.
    pub(crate) waiting_share: f64,
}

/// Everything that was received.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Received {
    pub(crate) counts: Counts,
    pub(crate) validated: u64,
    pub(crate) closes: Vec<CloseCount>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) first_unexpected: Option<String>,
    /// Messages that the API did not accept before their load was given up.
    pub(crate) unaccepted: u64,
    /// Publishers whose connection has ended.
    pub(crate) ended: Vec<usize>,
    /// The sequence number that comes next, of the client that is furthest, by publisher.
    pub(crate) reached: Vec<u32>,
    pub(crate) rss_bytes: u64,
}

/// Deliveries that did not come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Missing {
    /// To clients that are open.
    pub(crate) open: u64,
    /// To clients that the server closed.
    pub(crate) closed: u64,
}
