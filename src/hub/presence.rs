//! Presence: who is in a channel, and which joins and leaves its subscribers have not been told of.
//!
//! It changes with the subscription, under the channel's lock, so it is exact however a connection ends.
//!
//! # Joins and leaves
//!
//! They wait for the next announcement. A client that came and went in between is not told at all, unless a client
//! asked meanwhile who is there and may have seen it. One announcement tells as much as a crowd can bear; the rest
//! waits for the next one, so a change is told late and never lost. What waits is bounded by `UNTOLD_MAX`: what is
//! more leaves with the next announcement in any case.

use super::{ClientId, ConnectionId, HubId};
use crate::protocol::presence::{PresenceEvent, PresenceEventKind, Profile};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Bytes of one announcement to all subscribers of a channel together: a few per cent of what a core delivers until the
/// next one.
const ANNOUNCEMENT_BYTES: usize = 32 * 1024 * 1024;

/// Bytes of one announcement to one subscriber, at least and at most. At most one message, see
/// [`WINDOW_MAX`](crate::protocol::encoding::WINDOW_MAX).
const EVENTS_BYTES_MIN: usize = 4 * 1024;
pub(super) const EVENTS_BYTES_MAX: usize = 64 * 1024;

/// Most changes that wait for more than one announcement.
const UNTOLD_MAX: usize = 16_384;

/// What is known of a client; `None` for an anonymous one.
type Info = Option<Arc<Profile>>;

/// A client in a channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its connection.
    pub id: ConnectionId,
    /// What is known of it; `None` for an anonymous client.
    pub info: Info,
}

impl Member {
    /// Returns what is known of it.
    pub fn info(&self) -> &Profile {
        self.info.as_deref().unwrap_or(&Profile::ANONYMOUS)
    }
}

/// Who is in a channel.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Members {
    /// In no order.
    pub known: Vec<Member>,
    /// Subscribers that came before presence was switched on: they are counted and cannot be named.
    pub unknown: u32,
}

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PresenceStats {
    /// Connections.
    pub clients: u32,
    /// Users; all anonymous clients together are one, as in the Centrifuge protocol.
    pub users: u32,
}

impl Members {
    /// Counts them.
    pub fn stats(&self) -> PresenceStats {
        let mut users: HashSet<&str> = self.known.iter().map(|member| member.info().user()).collect();
        if self.unknown > 0 {
            users.insert("");
        }
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        PresenceStats { clients: count(self.known.len()).saturating_add(self.unknown), users: count(users.len()) }
    }
}

/// Who is in a channel, as its order knows it.
#[derive(Debug)]
pub(super) struct Presence {
    members: HashMap<ConnectionId, Info>,
    unknown: u32,
    /// Where joins and leaves are told.
    untold: Option<Box<Untold>>,
}

impl Presence {
    /// Returns the presence of a channel that has so many subscribers already.
    pub(super) fn new(subscribers: u32) -> Self {
        Self { members: HashMap::new(), unknown: subscribers, untold: None }
    }

    /// Tells joins and leaves from here on, or does not.
    pub(super) fn tell_changes(&mut self, is_on: bool) {
        match (is_on, &self.untold) {
            (true, None) => self.untold = Some(Box::default()),
            (false, Some(_)) => self.untold = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Returns the number of members that are known.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns whether changes wait to be told.
    pub(super) fn has_untold(&self) -> bool {
        self.untold.as_ref().is_some_and(|untold| !untold.order.is_empty())
    }

    /// Adds a client. With `is_told` some subscriber can be told.
    pub(super) fn join(&mut self, id: ConnectionId, info: &Info, is_told: bool) {
        let before = self.members.insert(id, info.clone());
        if let Some(untold) = self.untold.as_mut().filter(|_| is_told) {
            untold.note(id, before, Some(info));
        }
    }

    /// Removes a client.
    pub(super) fn leave(&mut self, id: ConnectionId, is_told: bool) {
        match self.members.remove(&id) {
            None => self.unknown = self.unknown.saturating_sub(1),
            Some(info) => {
                if let Some(untold) = self.untold.as_mut().filter(|_| is_told) {
                    untold.note(id, Some(info), None);
                }
            }
        }
        // A crowd that has gone leaves no memory. Rarely enough: what remains has to leave or to double first.
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
    }

    /// Returns who is there. The client that asks is told of every change from here on.
    pub(super) fn ask(&mut self) -> Members {
        if let Some(untold) = &mut self.untold {
            untold.asked = untold.next;
        }
        let known = self.members.iter().map(|(id, info)| Member { id: *id, info: info.clone() }).collect();
        Members { known, unknown: self.unknown }
    }

    /// Returns a number that is equal for equal sets of members.
    pub(super) fn digest(&self) -> u64 {
        self.members.keys().fold(0, |sum, id| sum.wrapping_add(id.digest()))
    }

    /// Returns whether joins and leaves are told.
    pub(super) fn tells_changes(&self) -> bool {
        self.untold.is_some()
    }

    /// Takes the changes that one announcement to so many subscribers has room for, oldest first. The name of the
    /// channel has `name_bytes`.
    pub(super) fn take_events(&mut self, subscribers: u32, name_bytes: usize) -> Vec<Event> {
        let Some(untold) = &mut self.untold else { return Vec::new() };
        if subscribers == 0 {
            // Nobody is there who could be told.
            **untold = Untold::default();
        }
        let share = ANNOUNCEMENT_BYTES / usize::try_from(subscribers.max(1)).unwrap_or(usize::MAX);
        let room = share.clamp(EVENTS_BYTES_MIN, EVENTS_BYTES_MAX);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while bytes < room || untold.order.len() > UNTOLD_MAX {
            let Some((id, change)) = untold.pop() else { break };
            let before = events.len();
            change.tell(id, self.members.get(&id), &mut events);
            bytes += events[before..].iter().map(|event| event.bytes() + name_bytes).sum::<usize>();
        }
        events
    }
}

/// A change that is about to be told.
#[derive(Debug)]
pub(super) struct Event {
    kind: PresenceEventKind,
    id: ConnectionId,
    info: Info,
}

impl Event {
    fn bytes(&self) -> usize {
        PresenceEvent::bytes_of(self.info.as_deref().unwrap_or(&Profile::ANONYMOUS))
    }

    /// Returns it as an encoding takes it. `hub` is the hub's id in a cluster.
    pub(super) fn into_event(self, hub: Option<HubId>) -> PresenceEvent {
        let client = ClientId { hub, connection: self.id }.to_string().into();
        PresenceEvent { kind: self.kind, client, info: self.info }
    }
}

/// The changes that were not told yet, one per client.
#[derive(Debug, Default)]
struct Untold {
    changes: HashMap<ConnectionId, Untrue>,
    /// The clients of `changes`, by the number of their first change.
    order: BTreeMap<u64, ConnectionId>,
    /// Number of the next change.
    next: u64,
    /// A client has seen the result of all changes before this one.
    asked: u64,
}

/// What subscribers were told of a client, and is not true any more.
#[derive(Debug)]
struct Untrue {
    number: u64,
    /// How it was told to be there; `None` if it was not.
    told: Option<Info>,
    /// What is known of it.
    info: Info,
    /// A client may have seen it otherwise than it was told.
    is_seen: bool,
}

impl Untold {
    /// Notes that a client is there now, or is not.
    fn note(&mut self, id: ConnectionId, before: Option<Info>, now: Option<&Info>) {
        let info = now.or(before.as_ref()).cloned().flatten();
        match self.changes.get_mut(&id) {
            None => {
                self.changes.insert(id, Untrue { number: self.next, told: before, info, is_seen: false });
                self.order.insert(self.next, id);
                self.next += 1;
            }
            Some(change) => {
                change.is_seen |= change.number < self.asked;
                change.info = info;
                if !change.is_seen && change.told.as_ref() == now {
                    // It came and went, or went and came.
                    self.order.remove(&change.number);
                    self.changes.remove(&id);
                }
            }
        }
    }

    fn pop(&mut self) -> Option<(ConnectionId, Untrue)> {
        let (_, id) = self.order.pop_first()?;
        let change = self.changes.remove(&id)?;
        if self.order.is_empty() {
            // A crowd that was told leaves no memory.
            self.changes = HashMap::new();
        }
        Some((id, change))
    }
}

impl Untrue {
    /// Appends the events that make it true.
    fn tell(self, id: ConnectionId, now: Option<&Info>, events: &mut Vec<Event>) {
        let is_same = self.told.as_ref() == now;
        let mut push = |kind, info| events.push(Event { kind, id, info });
        if let Some(told) = self.told.filter(|_| !is_same) {
            push(PresenceEventKind::Leave, told);
        } else if now.is_none() {
            push(PresenceEventKind::Leave, self.info);
        }
        if let Some(now) = now {
            push(PresenceEventKind::Join, now.clone());
        }
    }
}
