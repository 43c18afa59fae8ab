//! The link to the coordinator: requests on standard input, events on standard output.

use super::messages::{Event, Job, Request};
use anyhow::{Context, Result, bail};
use mio::Waker;
use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// Requests that may wait. A coordinator sends the next one when it has the answer; only an interrupt comes in between.
const REQUESTS_MAX: usize = 16;

/// The two directions of the link.
#[derive(Debug)]
pub(crate) struct CoordinatorLink {
    requests: Receiver<Request>,
    /// Kept alive: the poll drops a wake-up that it has not seen when the last waker goes.
    _bell: Arc<Waker>,
}

/// Waits for the job.
///
/// # Errors
///
/// Fails when there is none: a worker was started by hand.
pub(crate) fn job() -> Result<Job> {
    let mut line = String::new();
    stdin().lock().read_line(&mut line)?;
    serde_json::from_str(&line).context("a worker is started by loadtest itself and reads its job from there")
}

impl CoordinatorLink {
    /// Reads on a thread of its own, which wakes `waker` for every request, and at the end.
    pub(crate) fn listen(waker: Waker) -> Self {
        let (sender, requests) = sync_channel(REQUESTS_MAX);
        let bell = Arc::new(waker);
        let waker = Arc::clone(&bell);
        std::thread::spawn(move || {
            for line in stdin().lock().lines() {
                let Ok(line) = line else { break };
                let Ok(request) = serde_json::from_str(&line) else { break };
                if sender.send(request).is_err() || waker.wake().is_err() {
                    return;
                }
            }
            drop(sender);
            // The engine is gone too if this fails.
            drop(waker.wake());
        });
        Self { requests, _bell: bell }
    }

    /// Returns a request that has come.
    ///
    /// # Errors
    ///
    /// Fails when there will never be one again: a load without a coordinator has to end.
    pub(super) fn receive(&self) -> Result<Option<Request>> {
        match self.requests.try_recv() {
            Ok(request) => Ok(Some(request)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => bail!("the coordinator is gone"),
        }
    }

    /// Sends an event.
    ///
    /// # Errors
    ///
    /// Fails when the coordinator is gone.
    pub(super) fn send(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        stdout().lock().write_all(&line).context("the coordinator is gone")
    }
}
