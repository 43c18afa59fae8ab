//! The orders: what a coordinator asks of its workers, and what they answer. One JSON line each, over the worker's
//! standard streams.
//!
//! Every command has exactly one answer; ticks come in between, once a second. Times are nanoseconds of
//! `CLOCK_MONOTONIC`, which all processes of a machine share.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::observe::host::ThreadTime;
use crate::report::latency::Buckets;
use crate::report::{CloseCount, Counts, Refusal};
use crate::stop::Stop;

/// The first line a worker reads: the run, and its part in it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    pub(crate) config: Config,
    pub(crate) share: Share,
}

/// Which of the run's clients are one worker's: every `of`-th, beginning with `index`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) index: usize,
    pub(crate) of: usize,
}

impl Share {
    /// How many of `total` clients are this worker's.
    pub(crate) const fn count(self, total: usize) -> usize {
        total.saturating_sub(self.index).div_ceil(self.of)
    }

    /// The number in the whole run of this worker's client `local`.
    pub(crate) const fn global(self, local: usize) -> usize {
        local * self.of + self.index
    }

    /// This worker's number of the client `global`, if it is one of its own.
    pub(crate) fn local(self, global: usize) -> Option<usize> {
        (global % self.of == self.index).then_some(global / self.of)
    }
}

/// What to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Command {
    /// Open connections until the run has `total`, this many per second in this worker.
    Connect { total: usize, rate: f64 },
    /// Publish, and measure.
    Load(Load),
    /// Read on until everything has come, given what all workers sent, or patience ends.
    Drain { sent: Vec<u32>, patience_ns: u64 },
    /// Stop reading the clients that the configuration says.
    Stall,
    /// Read those to their ends.
    ReadOut { patience_ns: u64 },
    /// Cut all connections at `at_ns` and bring them back, the first attempts spread over `jitter_ns`.
    Storm { at_ns: u64, jitter_ns: u64, give_up_ns: u64 },
    /// Report everything that was received.
    Books,
    /// Count what is missing, given what all workers sent and anybody read.
    Missing { sent: Vec<u32> },
    /// Bring what is going on to an early end; has no answer of its own.
    Interrupt,
}

/// A load, in time.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Load {
    pub(crate) drive: Drive,
    pub(crate) start_ns: u64,
    /// The window opens: everything before is warm-up.
    pub(crate) open_ns: u64,
    pub(crate) end_ns: u64,
    /// How long, after the end, to go on sending what a full socket held back.
    pub(crate) patience_ns: u64,
    /// Connections that come and go per second, in the whole run.
    pub(crate) churn_rate: f64,
}

/// What drives the publishers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Drive {
    /// Messages per second, of all publishers together, on a clock.
    Rate(f64),
    /// This many messages at once, again and again, on a clock.
    Bursts { messages: usize, every_ns: u64 },
    /// Messages under way.
    Window(u32),
}

/// What a worker says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Event {
    /// The last second.
    Tick(Tick),
    /// It can not go on.
    Failed(Stop),
    Connected(Connected),
    Loaded(Loaded),
    Drained(Drained),
    Stalled(Vec<(usize, SocketAddr)>),
    ReadOut(Vec<CloseCount>),
    Returned(Returned),
    Books(Books),
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
    returned: Returned -> Returned,
    books: Books -> Books,
    missing: Missing -> Missing,
}

/// How things stand, and what the last second brought.
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
}

/// One end of the measured window.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Edge {
    pub(crate) at_ns: u64,
    pub(crate) sent: u64,
    pub(crate) verified: u64,
    pub(crate) own: ThreadTime,
}

/// What had come when nothing was under way any more.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Drained {
    pub(crate) latency: Buckets,
    /// Microseconds to the first and to the last receiver, by message of the window; a message that reached nobody has
    /// `u32::MAX` and 0. Empty unless there is a single publisher in an open loop.
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
    /// From the cut to the end of the handshake.
    pub(crate) returns: Buckets,
    pub(crate) attempts: u64,
    pub(crate) clients: usize,
}

/// Everything that was received.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Books {
    pub(crate) counts: Counts,
    pub(crate) validated: u64,
    pub(crate) closes: Vec<CloseCount>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) first_stranger: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every client belongs to exactly one worker, whatever their numbers.
    #[test]
    fn shares_cover_every_client_once() {
        for of in 1..5 {
            for total in 0..20 {
                let shares = (0..of).map(|index| Share { index, of });
                let mut clients: Vec<_> =
                    shares.flat_map(|share| (0..share.count(total)).map(move |local| share.global(local))).collect();
                clients.sort_unstable();
                assert_eq!(clients, (0..total).collect::<Vec<_>>());
            }
        }
        assert_eq!(Share { index: 1, of: 3 }.local(7), Some(2));
        assert_eq!(Share { index: 1, of: 3 }.local(8), None);
    }
}
