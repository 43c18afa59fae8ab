//! A frozen clock: time that passes when a test says so, however long the machine takes for everything else.

use super::{HANG, within};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{advance, pause};

/// A step of the clock: the finest that timers tell apart.
const STEP: Duration = Duration::from_millis(1);

/// Turns of the runtime after a step, each with a look at the sockets: what a step sets off is over before the next tick
/// of a shard, 50 steps later.
const TURNS: usize = 8;

/// Stops the clock of a test, and with it that of a server in the same runtime, which has to have one thread.
pub(crate) struct FrozenClock {
    /// Its end is the end of the task that holds the clock.
    _hold: SyncSender<()>,
}

impl FrozenClock {
    /// Stops the clock until it is dropped with the test.
    pub(crate) fn new() -> Self {
        pause();
        let (hold, held) = sync_channel::<()>(0);
        // tokio moves a paused clock when every task waits, and tasks with sockets often do; but not as long as a
        // blocking task runs. This one ends when a test hangs, so that `within` fails it then.
        drop(spawn_blocking(move || held.recv_timeout(HANG)));
        Self { _hold: hold }
    }

    /// Lets time pass, in steps, and what happens in it happen.
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

    /// Lets time pass until something has happened.
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
