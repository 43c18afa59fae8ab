//! A drain as a balancer and the clients see it: in an order, and evenly, however late the machine lets them see it.
//!
//! A machine that is busy elsewhere makes everything later, and nothing earlier. So a close is held against the first
//! moment at which it may come, and that closes come a few at a time is read from the hub's own count.

use super::http::Answer;
use super::within;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two questions.
const EVERY: Duration = Duration::from_millis(20);

/// How a hub was told to drain.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Before it was told.
    pub(crate) told: Instant,
    pub(crate) grace: Duration,
    pub(crate) time: Duration,
}

/// What a hub answered from when it was told to drain until it was gone.
#[derive(Default)]
pub(crate) struct Watched {
    /// When the last question was asked that it called itself ready to.
    ready: Option<Instant>,
    /// How many connections it had closed, at one time and another.
    closed: BTreeSet<usize>,
}

/// Asks a path; `None` once nobody listens there.
async fn ask(addr: SocketAddr, path: &str) -> Option<Option<Answer>> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // At the very end it may be gone before it answers.
    let _ = within(stream.write_all(request.as_bytes())).await;
    let is_whole = within(stream.read_to_end(&mut answer)).await.is_ok() && !answer.is_empty();
    Some(is_whole.then(|| Answer::parse(answer)))
}

/// Asks until nobody listens any more.
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

/// Checks the order and the pace: `closes` are the times at which clients saw their ends, of `total` connections.
pub(crate) fn assert_even(pace: Pace, watched: &Watched, mut closes: Vec<Instant>, total: usize) {
    closes.sort();
    let first = closes.first().expect("somebody was closed");
    assert!(watched.ready.is_none_or(|asked| asked < *first), "it called itself ready after its first close");
    for (number, at) in (1..).zip(&closes) {
        let earliest = pace.grace + pace.time.mul_f64(f64::from(number) / total as f64);
        let passed = *at - pace.told;
        assert!(passed >= earliest, "close {number} of {total} after {passed:?}, due after {earliest:?}");
    }
    // A wave at the end is never early. Ten groups a second are planned.
    let groups = watched.closed.iter().filter(|closed| (1..total).contains(*closed)).count();
    assert!(groups >= 3, "{:?} of {total} were closed, from one question to the next", watched.closed);
}
