//! The drivers: one task per shard that runs its passes, gives way to others, and sleeps when there is nothing to do.
//!
//! # When a shard panics
//!
//! Its state is broken: dropping it closes its connections with 1011, and an empty shard takes over its inbox. More
//! than [`RESTARTS_MAX`] within [`RESTART_WINDOW`] mean a bug that restarting does not cure; the hub stops then.

use crate::hub::inbox::Inbox;
use crate::hub::{Hub, Shard, Sink};
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
pub(super) async fn supervise<S: Sink>(hub: Hub<S>, mut shard: Shard<S>, started: Instant) {
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

async fn run<S: Sink>(mut shard: Shard<S>, started: Instant) -> std::convert::Infallible {
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
            sleep(shard.inbox(), shard.next_deadline().map(|deadline| started + deadline)).await;
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
async fn sleep<S: Sink>(inbox: &Inbox<S>, deadline: Option<Instant>) {
    if let Some(notified) = inbox.lie_down() {
        match deadline {
            // Its result does not matter: both ends mean the next pass.
            Some(deadline) => drop(tokio::time::timeout_at(deadline, notified).await),
            None => notified.await,
        }
    }
    inbox.get_up();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::hub::Sent;
    use crate::protocol::{ChannelName, Encoding};
    use bytes::Bytes;
    use std::io::IoSlice;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::{Poll, Waker};
    use tokio::sync::mpsc;

    /// A peer whose publications either arrive or blow up; whatever else is sent to it arrives.
    #[derive(Debug)]
    struct Mined {
        arrived: mpsc::Sender<Vec<u8>>,
        is_mined: bool,
    }

    impl Sink for Mined {
        fn send(&mut self, bytes: &[u8]) -> Sent {
            assert!(!self.is_mined || bytes[0] == 0x88, "injected");
            drop(self.arrived.try_send(bytes.to_vec()));
            Sent::All
        }

        fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
            self.send(&slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>())
        }

        fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
            Poll::Ready(())
        }

        fn finish(&mut self) {}

        fn abort(&mut self) {}
    }

    /// A hub of two shards, and what its supervisors end with.
    fn start() -> (Hub<Mined>, Vec<tokio::task::JoinHandle<()>>) {
        let (hub, shards) = Hub::new(&Limits::default(), Arc::new(Metrics::new(2)));
        let started = Instant::now();
        let supervisors = shards.into_iter().map(|shard| tokio::spawn(supervise(hub.clone(), shard, started)));
        (hub.clone(), supervisors.collect())
    }

    /// Connects a peer to a channel of its own on the least loaded shard, and publishes to it.
    async fn talk(hub: &Hub<Mined>, is_mined: bool) -> mpsc::Receiver<Vec<u8>> {
        let (arrived, arrivals) = mpsc::channel(8);
        let seat = hub.place().unwrap();
        let shard = seat.id().shard();
        let name = ChannelName::parse(&format!("channel-{}", seat.id().slot() * 2 + shard)).unwrap();
        let credit = || hub.inbox(shard).take(1);
        let id = hub.connect(seat, Mined { arrived, is_mined }, credit().await.unwrap());
        let channel = hub.subscribe(id, &name, Encoding::Lines, credit().await.unwrap()).unwrap();
        hub.publish(&channel, &Bytes::from_static(b"x\n"), &mut hub.credits(2)).unwrap();
        hub.unsubscribe(id, &channel);
        arrivals
    }

    /// A bug in one shard must cost that shard's connections, tell them, be counted, and cost nobody else.
    #[tokio::test]
    async fn failed_shard_closes_its_connections_and_restarts_and_no_other() {
        let (hub, _supervisors) = start();
        let mut mined = talk(&hub, true).await;
        let mut neighbour = talk(&hub, false).await;

        assert_eq!(&mined.recv().await.unwrap()[..4], [0x88, 16, 0x03, 0xf3], "1011");
        assert!(mined.recv().await.is_none(), "the sink is gone");
        assert_eq!(neighbour.recv().await.unwrap(), b"\x81\x01x");

        let mut next = talk(&hub, false).await;
        assert_eq!(next.recv().await.unwrap(), b"\x81\x01x", "the new shard serves");
        assert_eq!(hub.metrics().shard_restarts.load(Ordering::Relaxed), 1);
        assert_eq!(hub.placement().taken(), 2);
    }

    /// A bug that a restart does not cure must not keep a hub that closes whoever comes.
    #[tokio::test]
    async fn shard_that_fails_again_and_again_ends_its_supervisor() {
        let (hub, mut supervisors) = start();
        // The neighbour keeps the other shard the fuller one, and so the mines come to this one.
        let _neighbours = [talk(&hub, false).await, talk(&hub, false).await, talk(&hub, false).await];
        for _ in 0..=RESTARTS_MAX {
            let mut mined = talk(&hub, true).await;
            while mined.recv().await.is_some() {}
        }
        let first = supervisors.swap_remove(1);
        first.await.unwrap();
    }
}
