//! A follower: the task that delivers what the log of one partition brings, in its order.
//!
//! It takes what the stream announces, and fetches what that lacks. Announcements are lost without a word, so a
//! **beacon** is published into a partition that was silent for a while: its number shows what was lost before it, and
//! that it comes back shows that NATS works.
//!
//! A **pin** is a message that is published rarely. A channel with many publications pushes its own older ones out of
//! the stream, but not the pins, so the first number of the stream is as old as the stream keeps anything. That is what
//! a channel without publications needs to prove that it had none.

use super::envelope::{self, Entry};
use super::follow_error::FollowError;
use super::id::random;
use super::link::{LinkState, Messages, RequestError};
use super::log::{self, BATCH_MAX, Clocks, LogMessage, Marks, state_of};
use super::logs::Logs;
use super::sequence::{Batch, Break, Limits, Live, Need, Sequence, Step};
use super::stream::{self, API_TIMEOUT, LOOK_TIMEOUT, StreamError, StreamInfo, StreamState};
use crate::hub::{Delivered, Partition, Sink};
use crate::metrics::{Metrics, Resync};
use crate::protocol::Epoch;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// Pause before a partition is followed again after that failed.
const RETRY: Duration = Duration::from_millis(500);

/// Time between two looks at a log whose announcements do not come.
const LOOK: Duration = Duration::from_secs(1);

/// Looks without an announcement, after which the connection is made anew.
const LOOKS_MAX: u32 = 3;

/// Times that a log may seem to have forgotten something: a leader that was just elected may not have applied all yet.
const FORKS_MAX: u32 = 4;

/// Time for handing a beacon to the connection.
const HAND_OVER: Duration = Duration::from_millis(100);

/// Shortest time between two pins.
const PIN_MIN: Duration = Duration::from_secs(60);

struct Follower<S: Sink> {
    logs: Arc<Logs<S>>,
    index: usize,
    stream: String,
    /// What was followed, also before a pause.
    sequence: Option<(Epoch, Sequence<LogMessage>)>,
    /// Messages of the log that was followed.
    marks: Marks,
    /// Noted last.
    clocks: Clocks,
    heard: Instant,
    /// When this hub published the last beacon.
    beacon: Instant,
    /// When the last pin was published, by any hub, or may have been.
    pin: Option<Instant>,
    /// When the log was looked at last, and how often without an announcement in between.
    looked: (Instant, u32),
    /// Whether the log may be another one: it was not seen since a connection was lost, or announces what is not new.
    is_doubtful: bool,
    /// Whether everything up to what is announced was delivered here: what comes is new, if late perhaps.
    is_ready: bool,
    /// Whether it lacks something that it knows of, or cannot follow.
    is_behind: bool,
}

/// Follows a partition whenever it is needed, for ever.
///
/// # Cancel safety
///
/// Dropping the future ends it.
pub async fn run<S: Sink>(logs: Arc<Logs<S>>, index: usize) {
    let (now, stream) = (Instant::now(), logs.subjects.stream(index));
    let mut follower = Follower {
        index,
        stream,
        sequence: None,
        marks: Marks::default(),
        clocks: Clocks::default(),
        heard: now,
        beacon: now,
        pin: None,
        looked: (now, 0),
        is_doubtful: false,
        is_ready: false,
        is_behind: false,
        logs: Arc::clone(&logs),
    };
    let interest = &logs.interests[index];
    let mut last_error = String::new();
    loop {
        if !interest.is_used(logs.config.linger) {
            follower.set_ready(false);
            follower.set_behind(false);
            interest.wanted().await;
        }
        match follower.follow().await {
            Ok(()) => last_error.clear(),
            Err(error) => {
                let text = error.to_string();
                if text != last_error {
                    tracing::warn!(partition = index, "a partition is not followed: {text}; it is tried again");
                }
                last_error = text;
                follower.set_behind(true);
                sleep(RETRY.mul_f64(1.0 + f64::from(u8::try_from(random() % 100).unwrap_or(0)) / 100.0)).await;
            }
        }
    }
}

impl<S: Sink> Follower<S> {
    /// Follows until nobody needs it.
    async fn follow(&mut self) -> Result<(), FollowError> {
        let logs = Arc::clone(&self.logs);
        let epoch = self.epoch_of_stream().await?;
        let mut messages = logs.follow.subscribe(logs.subjects.all_live(epoch, self.index)).await?;
        let mut link = logs.follow.state();
        link.borrow_and_update();
        // After the subscription, so that nothing falls between the two.
        let info = self.info(API_TIMEOUT).await?;
        if info.config.epoch() != Some(epoch) {
            return Err(FollowError::Renewed);
        }
        self.begin(epoch, info.state).await?;
        self.catch_up().await?;
        self.heard = Instant::now();
        self.set_ready(true);
        Metrics::change(&logs.metrics().process.partitions_followed, 0, 1);
        let ended = self.take_messages(&mut messages, &mut link).await;
        Metrics::change(&logs.metrics().process.partitions_followed, 1, 0);
        if ended.is_ok() {
            self.set_ready(false);
        }
        ended
    }

    async fn epoch_of_stream(&mut self) -> Result<Epoch, FollowError> {
        self.info(API_TIMEOUT).await?.config.epoch().ok_or(FollowError::NoEpoch)
    }

    /// Goes on where it was, or begins near the end of the log.
    async fn begin(&mut self, epoch: Epoch, mut state: StreamState) -> Result<(), FollowError> {
        // A leader that was just elected may not have applied everything yet.
        let mut looks = 0;
        while self.sequence.is_some() {
            match self.compare(epoch, state).await {
                Ok(()) => return Ok(()),
                Err(FollowError::Behind) if looks < FORKS_MAX => {}
                Err(FollowError::Behind) if self.logs.numbers_again(self.partition()).await => break,
                Err(FollowError::Behind) if self.would_know_another() => {
                    self.logs.follow.reconnect().await;
                    return Err(FollowError::Behind);
                }
                Err(error @ FollowError::Stream(_)) => return Err(error),
                Err(_) => break,
            }
            looks += 1;
            // If the log really ends before what was delivered here, this shows it: one that is cut off stores nothing.
            self.send_beacon().await;
            sleep(RETRY).await;
            state = self.info(API_TIMEOUT).await?.state;
        }
        let config = &self.logs.config;
        let limits = Limits {
            history_messages_max: config.history_messages_max,
            resync_messages_max: config.resync_messages_max as u64,
            hold_bytes_max: config.resync_hold_bytes,
        };
        let floor = state.first_seq.saturating_sub(1);
        let after = state.last_seq.saturating_sub(limits.resync_messages_max).max(floor);
        let is_first = self.sequence.is_none();
        let logs = Arc::clone(&self.logs);
        let is_again = self.sequence.as_ref().is_some_and(|(known, _)| *known == epoch);
        // Another one under the same name: no position of the one before may be taken for one of this.
        self.marks = Marks::of(state);
        let marked = self.marks.oldest().filter(|_| is_again).map_or(0, |mark| mark.stored_at);
        let epoch_of_hub = logs.begin_epoch(self.partition(), epoch, marked);
        let channels = logs.hub.renew_epoch(self.partition(), epoch_of_hub, after);
        if !is_first {
            Metrics::count(&logs.metrics().process.epoch_changes);
            tracing::error!(
                partition = self.index,
                channels = channels.len(),
                "the log of a partition was made anew, or has lost what was acknowledged: its subscribers are told \
                 that they missed something"
            );
        }
        for channel in channels {
            logs.with_credits(0, |credits| logs.hub.tell_gap(&channel, credits)).await;
        }
        let mut sequence = Sequence::new(epoch, after, limits);
        // It begins within this log.
        sequence.state(state_of(epoch, state)).ok();
        self.sequence = Some((epoch, sequence));
        Ok(())
    }

    async fn take_messages(
        &mut self,
        messages: &mut Messages,
        link: &mut watch::Receiver<LinkState>,
    ) -> Result<(), FollowError> {
        let logs = Arc::clone(&self.logs);
        let mut connects = link.borrow().connects;
        let mut ticks = interval(logs.config.beacon_interval / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let message = message.ok_or(RequestError::Closed)?;
                    if let Some((number, read)) = log::announced(&message) {
                        self.marks.announce(number, message);
                        self.take(number, read).await?;
                    }
                }
                _ = ticks.tick() => {
                    if !logs.interests[self.index].is_used(logs.config.linger) {
                        return Ok(());
                    }
                    self.tick().await?;
                }
                changed = link.changed() => {
                    changed.map_err(|_| RequestError::Closed)?;
                    let now = link.borrow_and_update().connects;
                    if now != connects {
                        connects = now;
                        self.send_beacon().await;
                        self.is_doubtful = true;
                        self.look_again(Resync::Reconnect).await?;
                    }
                }
            }
        }
    }

    /// Takes an announcement.
    async fn take(&mut self, number: u64, message: LogMessage) -> Result<(), FollowError> {
        let Some((epoch, sequence)) = &mut self.sequence else { return Ok(()) };
        self.heard = Instant::now();
        self.looked.1 = 0;
        self.logs.interests[self.index].hear(self.heard);
        if message.is_pin() {
            self.pin = Some(self.heard);
        }
        match sequence.live(*epoch, number, message) {
            Live::Deliver(message) => {
                self.apply(number, message).await;
                self.set_behind(false);
                Ok(())
            }
            Live::Waiting => {
                self.logs.metrics().cluster.count_resync(Resync::Announcement);
                self.catch_up().await
            }
            Live::Duplicate => {
                Metrics::count(&self.logs.metrics().process.duplicates_dropped);
                // A log that has begun anew announces low numbers, too.
                self.is_doubtful = true;
                Ok(())
            }
            // The subscription is to one epoch.
            Live::OtherEpoch => Ok(()),
        }
    }

    /// Does what time demands: beacons, pins, and looks at a log that says nothing.
    async fn tick(&mut self) -> Result<(), FollowError> {
        let logs = Arc::clone(&self.logs);
        let config = &logs.config;
        // Not all hubs at once: the first beacon is enough for all.
        let part = u32::try_from(random() % 25).unwrap_or_default() + 100;
        let wait = config.beacon_interval * part / 100;
        let echo_time = config.beacon_interval * 3;
        if self.heard.elapsed() >= wait && self.beacon.elapsed() >= config.beacon_interval {
            self.send_beacon().await;
        }
        let pins = (config.history_messages_max / 2).max(1);
        let pin_interval = (config.history_age / u32::try_from(pins).unwrap_or(u32::MAX)).max(PIN_MIN);
        if self.pin.is_none_or(|pin| pin.elapsed() >= pin_interval) {
            self.pin = Some(Instant::now());
            self.hand_over(self.logs.subjects.pin(self.index)).await;
        }
        if (self.is_doubtful || self.heard.elapsed() >= echo_time) && self.looked.0.elapsed() >= LOOK {
            self.looked = (Instant::now(), self.looked.1 + 1);
            let is_connected = self.logs.follow.state().borrow().is_connected;
            if !is_connected {
                return Ok(());
            }
            if self.looked.1.is_multiple_of(LOOKS_MAX) {
                tracing::warn!(partition = self.index, "beacons do not come back; the connection to NATS is made anew");
                self.logs.follow.reconnect().await;
            }
            self.look_again(Resync::Silence).await?;
        }
        Ok(())
    }

    async fn send_beacon(&mut self) {
        self.beacon = Instant::now();
        self.hand_over(self.logs.subjects.beacon(self.index)).await;
    }

    async fn hand_over(&self, subject: String) {
        // One that is lost is sent again.
        timeout(HAND_OVER, self.logs.requests.publish(subject, envelope::beacon())).await.ok();
    }

    /// Looks how far the log is, if that can be had; otherwise the next look comes.
    async fn look_again(&mut self, reason: Resync) -> Result<(), FollowError> {
        match self.look(reason).await {
            Err(error @ (FollowError::Renewed | FollowError::Behind)) => return Err(error),
            Err(_) => self.set_behind(true),
            Ok(()) => self.is_doubtful = false,
        }
        Ok(())
    }

    /// Looks how far the log is, and catches up.
    async fn look(&mut self, reason: Resync) -> Result<(), FollowError> {
        self.note_state().await?;
        let is_behind = self.sequence.as_mut().is_some_and(|(_, sequence)| sequence.need() != Need::Nothing);
        tracing::debug!(partition = self.index, reason = reason.word(), is_behind, "looked at the log");
        if is_behind {
            self.logs.metrics().cluster.count_resync(reason);
        }
        self.catch_up().await
    }

    async fn info(&mut self, time: Duration) -> Result<StreamInfo, StreamError> {
        let info = stream::info_within(&self.logs.follow, &self.stream, time).await?;
        self.clocks = Clocks::new(&info, self.logs.metrics().now());
        Ok(info)
    }

    /// Notes how far the log is. What it really is, if it is another one, shows when it is followed anew.
    async fn note_state(&mut self) -> Result<(), FollowError> {
        let StreamInfo { config, state, .. } = self.info(LOOK_TIMEOUT).await?;
        let epoch = config.epoch().ok_or(FollowError::NoEpoch)?;
        self.compare(epoch, state).await?;
        self.marks.renew(state);
        Ok(())
    }

    /// Takes how far the log is, if it is the one that was followed.
    async fn compare(&mut self, epoch: Epoch, state: StreamState) -> Result<(), FollowError> {
        if self.marks.contradict(&self.logs.follow, &self.stream, state).await? {
            return Err(FollowError::Renewed);
        }
        let Some((_, sequence)) = &mut self.sequence else { return Ok(()) };
        sequence.state(state_of(epoch, state)).map_err(|error| match error {
            Break::OtherEpoch(_) => FollowError::Renewed,
            Break::Fork { .. } => FollowError::Behind,
        })
    }

    /// Returns whether a log that ends before what was delivered here, and goes on, would be known by its marks.
    fn would_know_another(&self) -> bool {
        self.sequence.as_ref().is_some_and(|(_, sequence)| self.marks.reach(sequence.applied()))
    }

    /// Fetches and delivers until everything that is known of the log was.
    async fn catch_up(&mut self) -> Result<(), FollowError> {
        let mut empty = 0;
        self.set_behind(true);
        loop {
            self.run_steps().await;
            let Some((_, sequence)) = &mut self.sequence else { return Ok(()) };
            match sequence.need() {
                Need::Nothing => {
                    self.run_steps().await;
                    self.set_behind(false);
                    return Ok(());
                }
                Need::State => self.note_state().await?,
                Need::Fetch { from, until } => {
                    empty = if self.fetch(from, until, empty).await? { 0 } else { empty + 1 };
                }
            }
        }
    }

    /// Fetches some messages. Returns whether what was answered is all that comes first.
    async fn fetch(&mut self, from: u64, until: u64, empty: u32) -> Result<bool, FollowError> {
        let logs = Arc::clone(&self.logs);
        let batch = (until - from + 1).min(BATCH_MAX);
        let messages = log::fetch(&logs.requests, &self.stream, from, batch, None).await?.messages;
        let first = messages.first().map_or(until + 1, |(first, _)| *first);
        if first > from {
            // The server that answered lags behind, or has forgotten more than others by its clock; its leader knows.
            let all = logs.subjects.all_of_log(self.index);
            if messages.is_empty() && empty < 3
                || !stream::has_none(&logs.follow, &self.stream, &all, from, first - 1).await?
            {
                sleep(Duration::from_millis(20 << empty.min(4))).await;
                return Ok(false);
            }
        }
        self.marks.fetch(messages.last().and_then(|(number, message)| message.mark(*number)));
        Metrics::add(&logs.metrics().process.resync_messages, messages.len() as u64);
        let reached = messages.last().map_or(until, |(last, _)| *last);
        if let Some((_, sequence)) = &mut self.sequence {
            sequence.fetched(Batch { messages, reached });
        }
        Ok(true)
    }

    async fn run_steps(&mut self) {
        loop {
            let step = self.sequence.as_mut().and_then(|(_, sequence)| sequence.pop_step());
            match step {
                None => return,
                Some(Step::Deliver { sequence, message, is_after_gap }) => {
                    if is_after_gap && let Some(name) = &message.channel {
                        let logs = Arc::clone(&self.logs);
                        logs.with_credits(0, |credits| logs.hub.declare_gap(name, sequence - 1, credits)).await;
                        self.note_gap(1);
                    }
                    self.apply(sequence, message).await;
                }
                Some(Step::Lose { upto }) => self.lose(upto).await,
            }
        }
    }

    async fn lose(&self, upto: u64) {
        let logs = &self.logs;
        let channels = logs.hub.lose(self.partition(), upto);
        self.note_gap(channels.len() as u64);
        for channel in channels {
            logs.with_credits(0, |credits| logs.hub.tell_gap(&channel, credits)).await;
        }
        self.partition().set_applied(upto);
    }

    fn note_gap(&self, channels: u64) {
        Metrics::add(&self.logs.metrics().process.gaps_declared, channels);
        if channels > 0 {
            tracing::warn!(
                partition = self.index,
                channels,
                "publications cannot be fetched any more: a gap is declared"
            );
        }
    }

    /// Does what an entry says, in the order of the log.
    async fn apply(&self, number: u64, message: LogMessage) {
        let (logs, partition) = (&self.logs, self.partition());
        match (&message.channel, &message.entry) {
            (Some(name), Entry::Publication { at, .. }) => {
                let (name, at, now) = (name.clone(), *at, logs.metrics().now());
                match (logs.options(&name), message.logged(number, self.clocks, now)) {
                    (Some(options), Some(logged)) => {
                        let bytes = logged.publication.payload.len();
                        let delivered = logs
                            .with_credits(bytes, |credits| logs.hub.deliver(&name, &options, &logged, credits))
                            .await;
                        if delivered == Delivered::Foreign {
                            Metrics::count(&logs.metrics().process.foreign_messages);
                        }
                        // What is fetched at first may be hours old.
                        if self.is_ready {
                            logs.metrics().cluster.count_delivery(at, logs.metrics().now());
                        }
                    }
                    _ => partition.set_applied(number),
                }
            }
            (Some(name), Entry::HistoryRemoved) => logs.hub.remove_history_at(name, number),
            _ => partition.set_applied(number),
        }
        logs.interests[self.index].progress.notify_waiters();
    }

    fn set_ready(&mut self, is_ready: bool) {
        self.is_ready = is_ready;
        self.logs.interests[self.index].set_ready(is_ready);
    }

    fn set_behind(&mut self, is_behind: bool) {
        let (before, now) = (usize::from(self.is_behind), usize::from(is_behind));
        Metrics::change(&self.logs.metrics().process.partitions_behind, before, now);
        self.is_behind = is_behind;
    }

    fn partition(&self) -> &Partition {
        &self.logs.partitions.all()[self.index]
    }
}
