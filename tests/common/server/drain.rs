//! A drain as a balancer and the clients see it: its order and its pace, on a machine of any speed.
//!
//! A busy machine delays what clients see; it cannot make anything earlier. So each close is compared with the earliest
//! time at which it may happen, and the hub's own counter shows that connections are closed in groups.

use super::http::Answer;
use super::within;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two requests.
const EVERY: Duration = Duration::from_millis(20);

/// When a hub was told to drain, and its settings for it.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// A time before the signal or request.
    pub(crate) told: Instant,
    pub(crate) grace: Duration,
    pub(crate) time: Duration,
}

/// The answers of a hub from the start of its drain to its end.
#[derive(Default)]
pub(crate) struct Watched {
    /// When the last request was sent that the hub answered with "ready".
    ready: Option<Instant>,
    /// The values that its counter of closed connections had.
    closed: BTreeSet<usize>,
}

/// Fetches a path; `None` once the port is closed.
async fn ask(addr: SocketAddr, path: &str) -> Option<Option<Answer>> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // The process may end before it answers.
    let _ = within(stream.write_all(request.as_bytes())).await;
    let is_whole = within(stream.read_to_end(&mut answer)).await.is_ok() && !answer.is_empty();
    Some(is_whole.then(|| Answer::parse(answer)))
}

/// Polls the hub until its port is closed.
pub(crate) async fn watch(addr: SocketAddr) -> Watched {
    let mut watched = Watched::default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let Some(health) = ask(addr, "/health/ready").await else { return watched };
        if health.is_some_and(|answer| answer.status == 200) {
            watched.ready = Some(asked);
        }
        let Some(page) = ask(addr, "/metrics").await else { return watched };
        let body = page.map(|answer| answer.body).unwrap_or_default();
        let closed = body.lines().find_map(|line| line.strip_prefix("throng_closing_closed_connections "));
        watched.closed.extend(closed.and_then(|closed| closed.parse::<usize>().ok()));
    }
}

/// Checks the order and the pace. `closes` are the times at which clients saw their connections end; the hub had
/// `total` connections.
pub(crate) fn assert_even(pace: Pace, watched: &Watched, mut closes: Vec<Instant>, total: usize) {
    closes.sort();
    let first = closes.first().expect("at least one connection was closed");
    assert!(
        watched.ready.is_none_or(|asked| asked < *first),
        "the hub answered that it is ready after its first close"
    );
    for (number, at) in (1..).zip(&closes) {
        let earliest = pace.grace + pace.time.mul_f64(f64::from(number) / total as f64);
        let passed = *at - pace.told;
        assert!(passed >= earliest, "close {number} of {total} after {passed:?}, due after {earliest:?}");
    }
    // A hub that closes all connections at the end closes none too early. `pace.rs` plans ten groups a second.
    let groups = watched.closed.iter().filter(|closed| (1..total).contains(*closed)).count();
    assert!(groups >= 3, "{:?} of {total} were closed, from one question to the next", watched.closed);
}
