//! Backfills: what a channel's history on this hub lacks is fetched from the log, once for all who need it.

use super::envelope::{self, Entry};
use super::evidence::{Evidence, Leader, Newest};
use super::log::{self, Answer, Clocks, LogMessage};
use super::logs::Logs;
use super::stream::{self, StreamInfo};
use crate::config::ChannelOptions;
use crate::hub::{Backfill, Coverage, Logged, Partition, Sink};
use crate::metrics::Metrics;
use crate::protocol::ChannelName;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Time for which a subscription, or a read, waits for the log.
const WAIT: Duration = Duration::from_secs(5);

/// Time for which a hub waits that lags behind the one that a position is from.
const AHEAD_WAIT: Duration = Duration::from_secs(2);

/// How often a channel is read that the servers do not agree about.
const ATTEMPTS: u32 = 5;

/// Pause after the first attempt; each later one is twice as long.
const PAUSE: Duration = Duration::from_millis(20);

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

    /// Reads what the log has of a channel after this offset, again while the answers prove nothing: a server that lags
    /// behind has caught up soon.
    async fn fetch_channel(&self, name: &ChannelName, after: u64, until: u64) -> Option<Backfill> {
        for attempt in 0..ATTEMPTS {
            if let Some(before) = attempt.checked_sub(1) {
                sleep(PAUSE * 2_u32.pow(before)).await;
            }
            if let Some(backfill) = self.read_channel(name, after, until).await {
                return Some(backfill);
            }
        }
        tracing::debug!(channel = name.as_str(), after, until, "the servers do not prove what a channel has");
        None
    }

    /// Reads it once; `None` if the answers do not prove that it is all. The order of the questions is part of the
    /// proof.
    async fn read_channel(&self, name: &ChannelName, after: u64, until: u64) -> Option<Backfill> {
        let partition = self.partition(name);
        let index = partition.index();
        let (stream, subject) = (self.subjects.stream(index), self.subjects.log(index, name));
        let beacon = self.subjects.beacon(index);
        let subjects = [subject.clone(), self.subjects.pin(index), beacon.clone()];
        let newest = log::newest(&self.requests, &stream, name, &subjects).await.ok()?;
        if until > 0 && newest == Newest::default() {
            // So that the next answer says how far its server is.
            self.requests.publish(beacon, envelope::beacon()).await.ok();
            return None;
        }
        let kept = self.config.history_messages_max;
        // Room for what is published while it is read.
        let batch = 2 * kept as u64;
        let Answer { messages, is_whole } =
            log::fetch(&self.requests, &stream, after + 1, batch, Some(&subject)).await.ok()?;
        let (info, leader) = self.ask_leader(&stream, &subject, after).await?;
        let epoch = self.epoch_of_stream(partition, info.config.epoch()?);
        let read: Vec<_> = messages.iter().map(|(number, _)| *number).collect();
        let floor = Evidence { after, until, kept, newest, read: &read, is_whole, leader }.floor()?;
        let now = self.metrics().now();
        let (floor, publications) = after_removal(messages, floor, Clocks::new(&info, now), now);
        (epoch == partition.epoch()).then_some(Backfill { epoch, floor, until, publications })
    }

    async fn ask_leader(&self, stream: &str, subject: &str, after: u64) -> Option<(StreamInfo, Leader)> {
        let link = &self.requests;
        let oldest = stream::next_from(link, stream, subject, after + 1).await.ok()?;
        let (info, count) = stream::info_with_count(link, stream, subject).await.ok()?;
        let is_full = count >= self.config.history_messages_max as u64;
        let oldest_of_all = if is_full { stream::next_from(link, stream, subject, 1).await.ok()? } else { None };
        let (begins, reached) = (info.state.first_seq, info.state.last_seq);
        Some((info, Leader { oldest, begins, is_full, oldest_of_all, reached }))
    }
}

/// Leaves out what was removed, and returns the floor then.
fn after_removal(messages: Vec<(u64, LogMessage)>, floor: u64, clocks: Clocks, now: u64) -> (u64, Vec<Logged>) {
    let is_removal = |(_, message): &(u64, LogMessage)| message.entry == Entry::HistoryRemoved;
    let removed = messages.iter().rfind(|message| is_removal(message)).map(|(number, _)| *number);
    let floor = floor.max(removed.unwrap_or(0));
    let after = messages.into_iter().filter(|(number, _)| *number > floor);
    (floor, after.filter_map(|(number, message)| message.logged(number, clocks, now)).collect())
}
