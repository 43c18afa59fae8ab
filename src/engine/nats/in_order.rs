//! In order: publications of one publisher that wait for their logs together, and never overtake each other.
//!
//! They are sent one after the other without waiting. One that fails is sent again only if nothing that was sent after
//! it into its channel can be in the log before it; else it is refused.

use super::refused::Refused;
use crate::protocol::ChannelName;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Publications that keep their order in each channel.
#[derive(Debug, Default)]
pub struct InOrder {
    channels: Mutex<HashMap<ChannelName, Line>>,
    changed: Notify,
}

/// Those of one channel, without the first ones whose turns are dropped.
#[derive(Debug, Default)]
struct Line {
    /// How many were taken from the front.
    gone: u64,
    entries: VecDeque<Entry>,
}

/// A publication.
#[derive(Debug)]
struct Entry {
    place: Place,
    /// Its turn is dropped.
    is_left: bool,
}

/// How a publication stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// It was not sent.
    Waits,
    /// It was sent, and there is no answer yet.
    Sent,
    /// The log did not take it, and it is sent again.
    Lost,
    /// There was no answer in time, and it is sent again: the log may have it.
    Unknown,
    /// The log has it.
    Stored,
    /// It is not sent again, and is not in the log.
    Refused,
    /// It is not sent again, and may be in the log.
    Doubtful,
}

/// What a publication may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Permission {
    Send,
    Wait,
    Refuse,
}

/// The place of one publication. Dropping it before it is stored gives it up.
#[derive(Debug)]
pub struct Turn<'a> {
    order: &'a InOrder,
    name: ChannelName,
    number: u64,
}

impl InOrder {
    /// Returns the place after all that were asked for before.
    pub fn turn(&self, name: &ChannelName) -> Turn<'_> {
        let mut channels = self.channels.lock();
        let line = channels.entry(name.clone()).or_default();
        let number = line.gone + line.entries.len() as u64;
        line.entries.push_back(Entry { place: Place::Waits, is_left: false });
        Turn { order: self, name: name.clone(), number }
    }
}

impl Turn<'_> {
    /// Waits until it may be sent. Until [`Turn::sent`] those after it wait.
    ///
    /// # Errors
    ///
    /// [`Refused::Overtaken`] if it may never be sent again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn comes(&self, deadline: Instant) -> Result<(), Refused> {
        loop {
            let changed = self.order.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Before the look, so that no change after it is missed.
            changed.as_mut().enable();
            match self.look() {
                Permission::Send => return Ok(()),
                Permission::Refuse => return Err(Refused::Overtaken),
                Permission::Wait => timeout_at(deadline, changed).await.map_err(|_| Refused::Timeout)?,
            }
        }
    }

    /// Notes that it is on its way, before whatever is sent from now on.
    pub fn sent(&self) {
        self.change(|entry| entry.place = Place::Sent);
    }

    /// Notes that the log has it.
    pub fn stored(&self) {
        self.change(|entry| entry.place = Place::Stored);
    }

    /// Notes that an attempt failed; `is_lost` if the log is known not to have it.
    pub fn failed(&self, is_lost: bool) {
        self.change(|entry| entry.place = if is_lost { Place::Lost } else { Place::Unknown });
    }

    fn look(&self) -> Permission {
        let channels = self.order.channels.lock();
        let line = channels.get(&self.name);
        line.and_then(|line| line.permit(self.number)).unwrap_or(Permission::Refuse)
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        let mut channels = self.order.channels.lock();
        let Some(line) = channels.get_mut(&self.name) else { return };
        if let Some(entry) = line.index(self.number).and_then(|index| line.entries.get_mut(index)) {
            change(entry);
        }
        if line.forget_first() {
            channels.remove(&self.name);
        }
        drop(channels);
        self.order.changed.notify_waiters();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.change(|entry| {
            entry.is_left = true;
            entry.place = match entry.place {
                Place::Waits | Place::Lost | Place::Refused => Place::Refused,
                Place::Sent | Place::Unknown | Place::Doubtful => Place::Doubtful,
                Place::Stored => Place::Stored,
            };
        });
    }
}

impl Line {
    /// Returns where a publication is.
    fn index(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.gone).and_then(|index| usize::try_from(index).ok())
    }

    /// Returns what a publication may do.
    fn permit(&self, number: u64) -> Option<Permission> {
        let index = self.index(number)?;
        let own = self.entries.get(index)?.place;
        let is_first_attempt = own == Place::Waits;
        let mut earlier = self.entries.range(..index).map(|entry| entry.place);
        let mut later = self.entries.range(index + 1..).map(|entry| entry.place);
        Some(if later.clone().any(|later| later.overtakes(own)) {
            Permission::Refuse
        } else if later.any(|place| place == Place::Sent) || earlier.any(|place| place.holds_up(is_first_attempt)) {
            Permission::Wait
        } else {
            Permission::Send
        })
    }

    /// Drops those from the front whose turns are dropped; true if there are no others.
    fn forget_first(&mut self) -> bool {
        while self.entries.front().is_some_and(|entry| entry.is_left) {
            self.entries.pop_front();
            self.gone += 1;
        }
        self.entries.is_empty()
    }
}

impl Place {
    /// Returns whether later ones wait for it.
    fn holds_up(self, is_first_attempt: bool) -> bool {
        match self {
            // What is sent at first goes the same way after it; what is sent again waits for its end.
            Self::Sent => !is_first_attempt,
            Self::Waits | Self::Lost | Self::Unknown => true,
            Self::Stored | Self::Refused | Self::Doubtful => false,
        }
    }

    /// Returns whether it may be in the log where an earlier one is not, which stands like this.
    fn overtakes(self, earlier: Self) -> bool {
        match self {
            Self::Stored => true,
            // One connection carried both in order: only where the earlier one is known to be lost is it alone there.
            Self::Unknown | Self::Doubtful => earlier == Self::Lost,
            Self::Waits | Self::Sent | Self::Lost | Self::Refused => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::time::Duration;

    fn name(text: &str) -> ChannelName {
        ChannelName::parse(text).unwrap()
    }

    fn ask(turn: &Turn<'_>) -> Option<Result<(), Refused>> {
        let permission = turn.comes(Instant::now() + Duration::from_secs(60)).now_or_never();
        if permission == SENT {
            turn.sent();
        }
        permission
    }

    const SENT: Option<Result<(), Refused>> = Some(Ok(()));
    const OVERTAKEN: Option<Result<(), Refused>> = Some(Err(Refused::Overtaken));

    #[tokio::test]
    async fn first_attempts_do_not_wait_for_answers_but_for_their_turn() {
        let order = InOrder::default();
        let (a, b, other) = (order.turn(&name("a")), order.turn(&name("a")), order.turn(&name("b")));
        let permitted = a.comes(Instant::now()).now_or_never();
        assert_eq!((permitted, ask(&b)), (SENT, None), "it may be sent, and is not yet");
        assert_eq!((ask(&other), ask(&a), ask(&b)), (SENT, SENT, SENT));
    }

    #[tokio::test]
    async fn failed_one_is_refused_once_a_later_one_is_stored() {
        let order = InOrder::default();
        let (a, b) = (order.turn(&name("a")), order.turn(&name("a")));
        assert_eq!((ask(&a), ask(&b)), (SENT, SENT));
        a.failed(false);
        assert_eq!(ask(&a), None, "the later one is under way");
        b.stored();
        assert_eq!(ask(&a), OVERTAKEN);
    }

    #[tokio::test]
    async fn failed_ones_are_sent_again_one_after_the_other() {
        let order = InOrder::default();
        let (a, b, c) = (order.turn(&name("a")), order.turn(&name("a")), order.turn(&name("a")));
        assert_eq!((ask(&a), ask(&b)), (SENT, SENT));
        for turn in [&a, &b] {
            turn.failed(false);
        }
        assert_eq!((ask(&c), ask(&b), ask(&a)), (None, None, SENT));
        assert_eq!(ask(&b), None);
        a.stored();
        assert_eq!((ask(&b), ask(&c)), (SENT, SENT));
    }

    /// The later one may be in the log, and the earlier one would come after it.
    #[tokio::test]
    async fn lost_one_is_refused_if_a_later_one_may_be_stored() {
        let order = InOrder::default();
        let (a, b) = (order.turn(&name("a")), order.turn(&name("a")));
        assert_eq!((ask(&a), ask(&b)), (SENT, SENT));
        a.failed(true);
        b.failed(false);
        assert_eq!(ask(&a), OVERTAKEN);
        drop(a);
        assert_eq!(ask(&b), SENT);
    }

    #[tokio::test]
    async fn dropped_ones_hold_up_nobody_and_nothing_is_kept_of_them() {
        let order = InOrder::default();
        let (a, b) = (order.turn(&name("a")), order.turn(&name("a")));
        let waiting = b.comes(Instant::now() + Duration::from_secs(60));
        let (sent, ()) = tokio::join!(waiting, async { drop(a) });
        assert_eq!(sent, Ok(()));
        b.stored();
        drop(b);
        assert!(order.channels.lock().is_empty());
    }
}
