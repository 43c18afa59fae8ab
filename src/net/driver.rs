//! The drivers: one task per shard that runs its passes, yields to other tasks, and sleeps when there is nothing to do.
//!
//! # When a shard panics
//!
//! Its state is broken: dropping it closes its connections with 1011, and an empty shard takes over its inbox. More
//! than [`RESTARTS_MAX`] within [`RESTART_WINDOW`] mean a bug that restarting does not cure; the hub stops then.

use crate::hub::{Hub, Shard, Sink};
use crate::metrics::Metrics;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// Runs a shard for ever; returns when it panicked too often.
pub(crate) async fn supervise<S: Sink>(hub: Hub<S>, mut shard: Shard<S>, started: Instant) {
    let index = shard.index();
    let mut restarts = VecDeque::new();
    loop {
        let Err(error) = tokio::spawn(run(shard, hub.tuning().pass_turn, started)).await;
        if error.is_cancelled() {
            return;
        }
        Metrics::count(&hub.metrics().process.shard_restarts);
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

/// Runs passes; after `turn` of writing other tasks of the thread run, readers among them.
async fn run<S: Sink>(mut shard: Shard<S>, turn: Duration, started: Instant) -> std::convert::Infallible {
    let mut since = Instant::now();
    // One timer for all sleeps: a shard sleeps thousands of times per second, its deadline changes twenty times.
    let mut alarm = pin!(sleep_until(started));
    loop {
        let has_work = shard.begin_pass(started.elapsed());
        while shard.step() {
            yield_after(&mut since, turn).await;
        }
        shard.end_pass(started.elapsed());
        if has_work {
            // Neither the inbox nor the sockets consume tokio's budget: this task has to yield by itself.
            yield_after(&mut since, turn).await;
        } else {
            let deadline = shard.next_deadline().map(|deadline| started + deadline);
            sleep(&mut shard, deadline, alarm.as_mut()).await;
            since = Instant::now();
        }
    }
}

async fn yield_after(since: &mut Instant, turn: Duration) {
    if since.elapsed() > turn {
        tokio::task::yield_now().await;
        *since = Instant::now();
    }
}

/// Waits for a command, a socket that takes bytes again, or the shard's next deadline.
async fn sleep<S: Sink>(shard: &mut Shard<S>, deadline: Option<Instant>, mut alarm: Pin<&mut Sleep>) {
    if let Some(notified) = shard.inbox().prepare_sleep() {
        match deadline {
            Some(deadline) => {
                if alarm.deadline() != deadline {
                    alarm.as_mut().reset(deadline);
                }
                // Which of the two ended does not matter: both mean the next pass.
                tokio::select! {
                    () = notified => {}
                    () = alarm => {}
                }
            }
            None => notified.await,
        }
    }
    shard.end_sleep();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HubLimits, TuningConfig};
    use crate::hub::{MessageShape, Sent, SubscribeOptions};
    use crate::protocol::{ChannelName, Payload};
    use std::io::IoSlice;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::{Poll, Waker};
    use tokio::sync::mpsc;

    /// A peer that makes its shard panic when a publication is sent to it; other frames arrive.
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
        start_tuned(&TuningConfig::default())
    }

    fn start_tuned(tuning: &TuningConfig) -> (Hub<Mined>, Vec<tokio::task::JoinHandle<()>>) {
        let (hub, shards) = Hub::tuned(&HubLimits::default(), tuning, Arc::new(Metrics::new(2)));
        let started = Instant::now();
        let supervisors = shards.into_iter().map(|shard| tokio::spawn(supervise(hub.clone(), shard, started)));
        (hub.clone(), supervisors.collect())
    }

    /// Connects a peer to a channel of its own on the least loaded shard, and publishes to it.
    async fn connect_and_publish(hub: &Hub<Mined>, is_mined: bool) -> mpsc::Receiver<Vec<u8>> {
        let (arrived, arrivals) = mpsc::channel(8);
        let reservation = hub.reserve_slot().unwrap();
        let shard = reservation.id().shard();
        let name = ChannelName::parse(&format!("channel-{}", reservation.id().slot().index() * 2 + shard)).unwrap();
        let credit = || hub.inbox(shard).credit(0);
        let id = hub.connect(reservation, Mined { arrived, is_mined }, MessageShape::default(), credit().await);
        let channel = hub.subscribe(id, &name, &SubscribeOptions::default(), credit().await).unwrap().channel;
        hub.publish(&channel, &Payload::line(b"x").unwrap(), &mut hub.credits(2)).unwrap();
        hub.leave(id, &channel);
        arrivals
    }

    /// A bug in one shard must end that shard's connections with a reason, be counted, and affect no other shard.
    #[tokio::test]
    async fn failed_shard_closes_its_connections_and_restarts_and_no_other() {
        let (hub, _supervisors) = start();
        let mut mined = connect_and_publish(&hub, true).await;
        let mut neighbour = connect_and_publish(&hub, false).await;

        assert_eq!(&mined.recv().await.unwrap()[..4], [0x88, 16, 0x03, 0xf3], "1011");
        assert!(mined.recv().await.is_none(), "the sink is gone");
        assert_eq!(neighbour.recv().await.unwrap(), b"\x81\x01x");

        let mut next = connect_and_publish(&hub, false).await;
        assert_eq!(next.recv().await.unwrap(), b"\x81\x01x", "the new shard serves");
        assert_eq!(hub.metrics().process.shard_restarts.load(Ordering::Relaxed), 1);
        assert_eq!(hub.placement().taken(), 2);
    }

    /// With a bug that a restart does not cure, a hub that closes every connection must not keep running.
    #[tokio::test]
    async fn shard_that_fails_again_and_again_ends_its_supervisor() {
        let (hub, mut supervisors) = start();
        // The neighbour keeps the other shard the fuller one, and so the mines come to this one.
        let _neighbours = [
            connect_and_publish(&hub, false).await,
            connect_and_publish(&hub, false).await,
            connect_and_publish(&hub, false).await,
        ];
        for _ in 0..=RESTARTS_MAX {
            let mut mined = connect_and_publish(&hub, true).await;
            while mined.recv().await.is_some() {}
        }
        let first = supervisors.swap_remove(1);
        first.await.unwrap();
    }

    /// The driver must sleep until a coalesced publication is due, and no longer.
    #[tokio::test(start_paused = true)]
    async fn publications_leave_when_the_coalescing_delay_is_over() {
        let delay = Duration::from_millis(10);
        let (hub, _supervisors) = start_tuned(&TuningConfig { coalesce_delay: delay, ..TuningConfig::default() });
        let start = Instant::now();
        let mut first = connect_and_publish(&hub, false).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut second = connect_and_publish(&hub, false).await;
        assert_eq!(first.recv().await.unwrap(), b"\x81\x01x");
        let (least, most) = (delay, delay + Duration::from_millis(1));
        assert!((least..=most).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(second.recv().await.unwrap(), b"\x81\x01x");
        assert!((least..=most).contains(&(start.elapsed() - Duration::from_millis(1))), "{:?}", start.elapsed());
    }

    /// A peer whose every write takes this long.
    #[derive(Debug)]
    struct Sluggish(Duration);

    impl Sink for Sluggish {
        fn send(&mut self, _: &[u8]) -> Sent {
            let start = std::time::Instant::now();
            while start.elapsed() < self.0 {
                std::hint::spin_loop();
            }
            Sent::All
        }

        fn send_vectored(&mut self, _: &[IoSlice<'_>]) -> Sent {
            self.send(&[])
        }

        fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
            Poll::Ready(())
        }

        fn finish(&mut self) {}

        fn abort(&mut self) {}
    }

    /// A shard that writes for long must not keep its thread from the readers: they run after each turn.
    #[tokio::test]
    async fn others_run_when_a_turn_is_over() {
        const RECEIVERS: usize = 320;
        let limits = HubLimits { connections_max: RECEIVERS, ..HubLimits::default() };
        let tuning = TuningConfig { pass_turn: Duration::from_micros(10), ..TuningConfig::default() };
        let (hub, mut shards) = Hub::tuned(&limits, &tuning, Arc::new(Metrics::new(1)));
        let name = ChannelName::parse("lobby").unwrap();
        let mut channel = None;
        for _ in 0..RECEIVERS {
            let credit = || hub.inbox(0).try_credit(0).unwrap();
            let id = hub.connect(
                hub.reserve_slot().unwrap(),
                Sluggish(Duration::from_micros(1)),
                MessageShape::default(),
                credit(),
            );
            channel = hub
                .subscribe(id, &name, &SubscribeOptions::default(), credit())
                .ok()
                .map(|subscribed| subscribed.channel);
        }
        hub.publish(&channel.unwrap(), &Payload::line(b"x").unwrap(), &mut hub.credits(2)).unwrap();
        let shard = tokio::spawn(supervise(hub.clone(), shards.remove(0), Instant::now()));
        let mut turns = 0;
        while hub.metrics().shards()[0].read().deliveries < RECEIVERS as u64 {
            tokio::task::yield_now().await;
            turns += 1;
        }
        // A step makes 32 writes, of more than a turn together.
        assert!(turns >= RECEIVERS / 32, "{turns} turns");
        shard.abort();
    }
}
