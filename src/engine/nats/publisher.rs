//! The publisher: brings publications into the logs, and says honestly when it cannot.
//!
//! A publication is tried again with the same identifier, by which its log knows it, until it is acknowledged or its
//! time has passed. A client waits for that before it publishes the next one, and the publications of a batch have
//! turns, so that a second attempt never overtakes anything.

use super::id::random;
use super::in_order::Turn;
use super::link::{Link, RequestError};
use super::refused::Refused;
use crate::config::ClusterConfig;
use bytes::Bytes;
use serde::Deserialize;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

/// Time for one attempt: an acknowledgement takes milliseconds, or it is lost. An election takes up to six seconds, and
/// is noticed at the attempt after it.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Longest pause between two attempts: a new leader is found soon after its election.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// Brings publications into logs.
#[derive(Debug)]
pub struct Publisher {
    /// No other process has it.
    hub: String,
    next: AtomicU64,
    in_flight: Semaphore,
    timeout: Duration,
}

/// What a stream answers to what is published into it.
#[derive(Deserialize)]
struct Acknowledgement {
    #[serde(default)]
    seq: u64,
    error: Option<serde_json::Value>,
}

impl Publisher {
    /// Returns that of a hub.
    pub fn new(hub: &impl fmt::Display, config: &ClusterConfig) -> Self {
        Self {
            hub: hub.to_string(),
            next: AtomicU64::new(0),
            in_flight: Semaphore::new(config.publish_in_flight),
            timeout: config.publish_ack_timeout,
        }
    }

    /// Brings an entry into a log, at its turn if it has one, and returns its number there.
    ///
    /// # Errors
    ///
    /// [`Refused`]: it is not known to be there. After a timeout it may be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets an entry that may be in the log.
    pub async fn store(
        &self,
        link: &Link,
        subject: &str,
        entry: &Bytes,
        turn: Option<&Turn<'_>>,
    ) -> Result<u64, Refused> {
        let _permit = self.in_flight.try_acquire().map_err(|_| Refused::InFlight)?;
        // Relaxed: the number only has to be another one.
        let id = format!("{}-{}", self.hub, self.next.fetch_add(1, Ordering::Relaxed));
        let deadline = Instant::now() + self.timeout;
        let mut pause = Duration::from_millis(20);
        loop {
            wait_for_connection(link, deadline).await?;
            if let Some(turn) = turn {
                turn.comes(deadline).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let sent = || turn.into_iter().for_each(Turn::sent);
            let answer = link.store(subject.to_owned(), &id, entry.clone(), left.min(ATTEMPT), sent).await;
            let is_lost = match answer {
                Ok(answer) => {
                    let answer = serde_json::from_slice::<Acknowledgement>(answer.payload()).ok();
                    if let Some(Acknowledgement { seq, error: None }) = answer
                        && seq > 0
                    {
                        turn.into_iter().for_each(Turn::stored);
                        return Ok(seq);
                    }
                    true
                }
                Err(RequestError::TooLarge) => return Err(Refused::TooLarge),
                Err(RequestError::NoResponders) => true,
                Err(RequestError::Timeout | RequestError::Closed) => false,
            };
            turn.into_iter().for_each(|turn| turn.failed(is_lost));
            pause_before_next(&mut pause, deadline).await?;
        }
    }
}

/// Waits until there is a connection: what is sent without one would be sent late, after it was refused.
async fn wait_for_connection(link: &Link, deadline: Instant) -> Result<(), Refused> {
    let mut state = link.state();
    let connected = timeout_at(deadline, state.wait_for(|state| state.is_connected)).await;
    match connected {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Refused::Timeout),
    }
}

/// Waits before the next attempt, longer each time, if there is time for one.
async fn pause_before_next(pause: &mut Duration, deadline: Instant) -> Result<(), Refused> {
    let part = u32::try_from(random() % 50).unwrap_or_default() + 50;
    let wait = *pause * part / 100;
    if Instant::now() + wait >= deadline {
        return Err(Refused::Timeout);
    }
    sleep(wait).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
    Ok(())
}
