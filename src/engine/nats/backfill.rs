//! Backfills: what a channel's history on this hub lacks is fetched from the log, once for all who need it.

use super::envelope::Entry;
use super::log::{self, LogMessage};
use super::logs::Logs;
use crate::config::ChannelOptions;
use crate::hub::{Backfill, Coverage, Partition, Sink};
use crate::metrics::Metrics;
use crate::protocol::{ChannelName, Publication};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Time for which a subscription, or a read, waits for the log.
const WAIT: Duration = Duration::from_secs(5);

/// Time for which a hub waits that lags behind the one that a position is from.
const AHEAD_WAIT: Duration = Duration::from_secs(2);

/// The hub cannot say where the channel stands, since it does not follow its partition yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotFollowed;

impl<S: Sink> Logs<S> {
    /// Follows the partition of a channel, and fetches what `coverage` says is missing. What cannot be had in time is
    /// left out: who needs it is told that it is not complete.
    ///
    /// # Errors
    ///
    /// [`NotFollowed`] if the partition cannot be followed now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn prepare(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        coverage: impl Fn() -> Coverage,
    ) -> Result<(), NotFollowed> {
        let partition = self.partition(name);
        let deadline = Instant::now() + WAIT;
        self.follow_until(partition, deadline).await?;
        // What is there may change while something is fetched, so it is looked at again.
        for _ in 0..3 {
            match coverage() {
                Coverage::Ready => return Ok(()),
                Coverage::Ahead { offset } => {
                    let until = deadline.min(Instant::now() + AHEAD_WAIT);
                    if !self.catch_up_with(partition, offset, until).await {
                        return Ok(());
                    }
                }
                Coverage::Backfill { .. } => {
                    let flight = Arc::clone(self.backfills.lock().entry(name.clone()).or_default());
                    let done = timeout_at(deadline, self.backfill_once(&flight, name, options, &coverage)).await;
                    drop(flight);
                    // The last one forgets it.
                    self.backfills.lock().retain(|_, flight| Arc::strong_count(flight) > 1);
                    if !matches!(done, Ok(true)) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns whether the partition of a channel is followed, and lets it be followed.
    pub(super) fn is_followed(&self, name: &ChannelName) -> bool {
        let interest = self.interest(self.partition(name));
        interest.touch();
        interest.is_ready()
    }

    /// Waits until the partition of a channel is followed.
    ///
    /// # Errors
    ///
    /// [`NotFollowed`] if it cannot be now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn follow(&self, name: &ChannelName) -> Result<(), NotFollowed> {
        self.follow_until(self.partition(name), Instant::now() + WAIT).await
    }

    async fn follow_until(&self, partition: &Partition, deadline: Instant) -> Result<(), NotFollowed> {
        let interest = self.interest(partition);
        interest.touch();
        if interest.is_ready() {
            return Ok(());
        }
        timeout_at(deadline, interest.ready()).await.map_err(|_| NotFollowed)
    }

    /// Waits until this hub is as far as the one that a position is from.
    async fn catch_up_with(&self, partition: &Partition, offset: u64, until: Instant) -> bool {
        let interest = self.interest(partition);
        let reached = async {
            loop {
                let progress = interest.progress.notified();
                if partition.applied() >= offset {
                    return;
                }
                progress.await;
            }
        };
        timeout_at(until, reached).await.is_ok()
    }

    async fn backfill_once(
        &self,
        flight: &tokio::sync::Mutex<()>,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        coverage: &impl Fn() -> Coverage,
    ) -> bool {
        let _only = flight.lock().await;
        // Another one may have done it meanwhile.
        let Coverage::Backfill { after, until } = coverage() else { return true };
        Metrics::count(&self.metrics().process.backfills);
        match self.fetch_channel(name, after, until).await {
            Some(backfill) => self.hub.backfill(name, options, &backfill).unwrap_or(false),
            None => false,
        }
    }

    /// Reads what the log has of a channel after this offset.
    async fn fetch_channel(&self, name: &ChannelName, after: u64, until: u64) -> Option<Backfill> {
        let partition = self.partition(name);
        let (stream, subject) = (self.subjects.stream(partition.index()), self.subjects.log(partition.index(), name));
        // The state first: what is dropped later than that is not missing in the answer unnoticed.
        let (config, state) = log::state(&self.requests, &stream).await.ok()?;
        let epoch = self.epoch_of_stream(partition, config.epoch()?);
        if epoch != partition.epoch() {
            return None;
        }
        let kept = self.config.history_messages_max as u64;
        // Before the messages, because later ones are no proof of anything.
        let newest = super::stream::last_of(&self.requests, &stream, &subject).await.ok()?.unwrap_or(0);
        let (messages, _) = log::fetch(&self.requests, &stream, after + 1, kept, Some(&subject)).await.ok()?;
        let last = messages.last().map_or(after, |(last, _)| *last);
        // A leader that is cut off does not know yet that it is none, and the server that answered may lag behind.
        if state.last_seq < until || last < newest.min(until) {
            return None;
        }
        let floor = floor(&messages, after, kept).max(state.first_seq.saturating_sub(1));
        let (floor, publications) = after_removal(messages, floor);
        Some(Backfill { epoch, floor, until, publications })
    }
}

/// Returns after which offset nothing of the channel was dropped because it had too many.
fn floor(messages: &[(u64, LogMessage)], after: u64, kept: u64) -> u64 {
    match messages.first() {
        // As many as the log keeps: there may have been more.
        Some((first, _)) if messages.len() as u64 >= kept => first - 1,
        _ => after,
    }
}

/// Leaves out what was removed, and returns the floor then.
fn after_removal(messages: Vec<(u64, LogMessage)>, floor: u64) -> (u64, Vec<Publication>) {
    let is_removal = |(_, message): &(u64, LogMessage)| message.entry == Entry::HistoryRemoved;
    let removed = messages.iter().rfind(|message| is_removal(message)).map(|(number, _)| *number);
    let floor = floor.max(removed.unwrap_or(0));
    let after = messages.into_iter().filter(|(number, _)| *number > floor);
    (floor, after.filter_map(|(number, message)| message.publication(number)).collect())
}
