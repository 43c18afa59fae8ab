//! A frozen clock: time passes only when a test advances it, however slow the machine is.

use super::{HANG, within};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause};

/// One step of the clock: the resolution of tokio's timers.
const STEP: Duration = Duration::from_millis(1);

/// Yields to the runtime after a step; each one polls the sockets. A shard ticks every 50 steps, so all tasks that a
/// step wakes have run before the next tick.
const TURNS: usize = 8;

/// Stops the clock of the test's runtime, which must have one thread, and so the clock of a server in it.
pub(crate) struct FrozenClock {
    /// When it is dropped, the blocking task ends that keeps tokio from advancing the clock.
    _hold: SyncSender<()>,
}

impl FrozenClock {
    /// Stops the clock until the value is dropped. Only one may exist per runtime.
    pub(crate) fn new() -> Self {
        pause();
        let (hold, held) = sync_channel::<()>(0);
        // tokio advances a paused clock whenever all tasks wait, also for sockets, unless a blocking task runs. This
        // one ends when the test hangs: the clock advances then, and `within` fails the test.
        drop(spawn_blocking(move || held.recv_timeout(HANG)));
        Self { _hold: hold }
    }

    /// Advances the clock in small steps, and lets all tasks run after each.
    pub(crate) async fn pass(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(STEP);
            advance(step).await;
            for _ in 0..TURNS {
                yield_now().await;
            }
            left -= step;
        }
    }

    /// Lets time pass until the event.
    pub(crate) async fn pass_until<T>(&self, event: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                self.pass(STEP).await;
            }
        };
        tokio::select! {
            happened = within(event) => happened,
            () = passing => unreachable!("it passes for ever"),
        }
    }
}
