//! The drivers: one task per shard that runs its passes, gives way to others, and sleeps when there is nothing to do.
//!
//! # When a shard panics
//!
//! Its state is broken: dropping it closes its connections with 1011, and an empty shard takes over its inbox. More
//! than [`RESTARTS_MAX`] within [`RESTART_WINDOW`] mean a bug that restarting does not cure; the hub stops then.

use super::socket::SocketSink;
use crate::hub::{Hub, Shard};
use crate::metrics::Metrics;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Longest turn of a shard before other tasks of its worker run: about fifty writes. The inbox gathers meanwhile, so a
/// longer turn would gain nothing and cost every reader latency.
const TURN: Duration = Duration::from_micros(300);

const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// Runs a shard for ever; returns when it panicked too often.
pub(super) async fn supervise(hub: Hub<SocketSink>, mut shard: Shard<SocketSink>, started: Instant) {
    let index = shard.index();
    let mut restarts = VecDeque::new();
    loop {
        let Err(error) = tokio::spawn(run(shard, started)).await;
        if error.is_cancelled() {
            return;
        }
        Metrics::count(&hub.metrics().shard_restarts);
        tracing::error!(shard = index, "a bug ended the shard and its connections; it restarts empty");
        let now = Instant::now();
        restarts.push_back(now);
        restarts.retain(|at| now.duration_since(*at) < RESTART_WINDOW);
        if restarts.len() > RESTARTS_MAX {
            return;
        }
        shard = hub.shard(index);
    }
}

async fn run(mut shard: Shard<SocketSink>, started: Instant) -> std::convert::Infallible {
    let mut turn = Instant::now();
    loop {
        let has_work = shard.begin_pass(started.elapsed());
        while shard.step() {
            give_way(&mut turn).await;
        }
        shard.end_pass();
        if has_work {
            // Neither the inbox nor the sockets consume tokio's budget: this task has to yield by itself.
            give_way(&mut turn).await;
        } else {
            sleep(&shard, started).await;
            turn = Instant::now();
        }
    }
}

async fn give_way(turn: &mut Instant) {
    if turn.elapsed() > TURN {
        tokio::task::yield_now().await;
        *turn = Instant::now();
    }
}

/// Waits for a command, a socket that takes bytes again, or the shard's next deadline.
async fn sleep(shard: &Shard<SocketSink>, started: Instant) {
    let inbox = shard.inbox();
    if let Some(notified) = inbox.lie_down() {
        match shard.next_deadline() {
            // Its result does not matter: both ends mean the next pass.
            Some(deadline) => drop(tokio::time::timeout_at(started + deadline, notified).await),
            None => notified.await,
        }
    }
    inbox.get_up();
}
