//! Model checks of the wake protocol: every interleaving of two producers and a shard that goes to sleep.
//!
//! A package of its own, because `--cfg loom` is global and tokio's sockets do not build with it:
//! `RUSTFLAGS="--cfg loom" cargo test -p throng-loom`

#![cfg(loom)]

#[path = "../../../src/hub/inbox/sleep_flag.rs"]
pub mod wake;

#[cfg(test)]
mod tests {
    use super::wake::SleepFlag;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Arc, Notify};
    use loom::thread;

    /// Two producers push one message each; the consumer must get both. A lost wake-up is a deadlock, which loom
    /// reports. Taking a fence out of `wake.rs` makes this test fail.
    #[test]
    fn no_message_is_slept_on() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let shared = Arc::new((SleepFlag::new(), Notify::new(), AtomicUsize::new(0)));
            for _ in 0..2 {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (flag, bell, queue) = &*shared;
                    // Relaxed: the flag alone has to order the push, as it does for a queue.
                    queue.fetch_add(1, Ordering::Relaxed);
                    if flag.wake() {
                        bell.notify();
                    }
                });
            }
            let (flag, bell, queue) = &*shared;
            let mut received = 0;
            while received < 2 {
                received += queue.swap(0, Ordering::Relaxed);
                if received == 2 {
                    break;
                }
                flag.prepare_sleep();
                if queue.load(Ordering::Relaxed) == 0 {
                    bell.wait();
                }
                flag.end_sleep();
            }
        });
    }
}
