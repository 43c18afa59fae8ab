//! A sequence: the one order in which the log of a partition is delivered here, although what announces it may lose,
//! repeat or reorder, and the log itself drops what is old.
//!
//! It does no I/O and knows no clock: it is told what came and says what to do next, so that a test can play any fate.
//! After each call, do the [steps](Sequence::pop_step) in their order, then what it [needs](Sequence::need).
//!
//! # Resync
//!
//! A message whose number is not the next one is held, and what is missing is fetched from the log. A number that the
//! log has not got any more is a *hole*: the log had dropped that message when it was read. It does not say of
//! which channel, but a channel loses its oldest message only when it has a certain number of newer ones. So every
//! hole is some channel's that has as many messages after it, and only those channels are told of a gap.
//!
//! That is true only if all of those messages are known. They may be newer than what was to be fetched, so the end of
//! the log is asked for after the last hole was seen, and nothing after the first one is delivered before that is
//! reached.
//!
//! # Bounds
//!
//! Live messages that there is no room for are dropped and fetched later. When there is none for what has to wait, or
//! the log is too far ahead, everything up to a point is declared lost, for all channels of the partition.

use crate::protocol::Epoch;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A message of the log.
pub trait Message {
    /// Returns what the log counts its messages by.
    fn channel(&self) -> &str;

    /// Returns the bytes that it holds.
    fn bytes(&self) -> usize;
}

/// What bounds a sequence.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that the log keeps of each channel.
    pub history_messages_max: usize,
    /// The log may be ahead by this many messages, which are fetched.
    pub resync_messages_max: u64,
    /// Bytes of the messages that wait.
    pub hold_bytes_max: usize,
}

/// What becomes of a live message.
#[derive(Debug, Eq, PartialEq)]
pub enum Live<M> {
    /// It is the next one.
    Deliver(M),
    /// It waits for others, or is fetched later.
    Waiting,
    /// It was delivered before.
    Duplicate,
    /// It is of another incarnation of the log.
    OtherEpoch,
}

/// What is to be done, in the order of the log.
#[derive(Debug, Eq, PartialEq)]
pub enum Step<M> {
    /// Deliver a message.
    Deliver {
        /// Its number.
        sequence: u64,
        /// The message.
        message: M,
        /// Messages of its channel between the last one and this one may be lost.
        is_after_gap: bool,
    },
    /// Messages of any channel up to this number may be lost.
    Lose {
        /// The number.
        upto: u64,
    },
}

/// What has to be found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Fetch the messages of the log from one number on, up to another, or the first of them. If an answer brings no
    /// message, the server that gave it is behind: ask again, or another one.
    Fetch {
        /// The first number.
        from: u64,
        /// The last one.
        until: u64,
    },
    /// How far the log is.
    State,
}

/// An answer to [`Need::Fetch`].
#[derive(Debug)]
pub struct Batch<M> {
    /// Messages by number, in order.
    pub messages: Vec<(u64, M)>,
    /// Everything that the log has, from the first number that was asked for up to this one, is there. At least that of
    /// the last message; more if it is known that the log has no other.
    pub reached: u64,
}

/// What is known of the log.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Its incarnation.
    pub epoch: Epoch,
    /// Number of its last message, whether it is still there or not.
    pub last: u64,
    /// What is after this number was dropped only because its channel had too many.
    pub floor: u64,
}

/// The log is not the one that was followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Break {
    /// It was made anew.
    OtherEpoch(Epoch),
    /// It has forgotten messages that were delivered here, and will give their numbers to others.
    Fork {
        /// Number of its last message.
        last: u64,
    },
}

/// Consecutive numbers whose messages the log had dropped.
#[derive(Clone, Copy, Debug)]
struct Hole {
    from: u64,
    to: u64,
}

#[derive(Debug)]
struct Waiting<M> {
    message: M,
    is_after_gap: bool,
}

/// The order of one partition.
#[derive(Debug)]
pub struct Sequence<M> {
    epoch: Epoch,
    limits: Limits,
    /// Everything up to this number was delivered, or declared lost.
    applied: u64,
    /// Everything up to this number is known: delivered, waiting, or a hole.
    known: u64,
    /// The log is at least this far.
    target: u64,
    waiting: BTreeMap<u64, Waiting<M>>,
    waiting_bytes: usize,
    /// Those after `applied`, in order.
    holes: Vec<Hole>,
    /// All of the holes were seen before the log was this far.
    confirmation: Option<u64>,
    steps: VecDeque<Step<M>>,
}

impl<M: Message> Sequence<M> {
    /// Returns a sequence that begins after this number of the log.
    pub fn new(epoch: Epoch, after: u64, limits: Limits) -> Self {
        Self {
            epoch,
            limits,
            applied: after,
            known: after,
            target: after,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            holes: Vec::new(),
            confirmation: None,
            steps: VecDeque::new(),
        }
    }

    /// Returns the number up to which everything was delivered, or declared lost, once all steps are done.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns how far the log is at least.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// Takes a message that was announced.
    pub fn live(&mut self, epoch: Epoch, sequence: u64, message: M) -> Live<M> {
        if epoch != self.epoch {
            return Live::OtherEpoch;
        }
        if sequence <= self.known || self.waiting.contains_key(&sequence) {
            return Live::Duplicate;
        }
        self.target = self.target.max(sequence);
        if sequence == self.applied + 1 && self.waiting.is_empty() {
            (self.applied, self.known) = (sequence, sequence);
            return Live::Deliver(message);
        }
        let is_room = self.waiting_bytes + message.bytes() <= self.limits.hold_bytes_max;
        if is_room && (self.waiting.len() as u64) < self.limits.resync_messages_max {
            self.wait(sequence, message);
            self.extend();
            self.settle();
        }
        Live::Waiting
    }

    /// Takes what the log has.
    pub fn fetched(&mut self, batch: Batch<M>) {
        for (sequence, message) in batch.messages {
            if sequence > self.known {
                self.know_to(sequence - 1);
                self.wait(sequence, message);
                self.extend();
            }
        }
        self.know_to(batch.reached);
        self.target = self.target.max(self.known);
        self.settle();
    }

    /// Takes how far the log is, as it is now: it was asked after the last batch.
    ///
    /// # Errors
    ///
    /// [`Break`] if it is another one: begin anew.
    pub fn state(&mut self, state: State) -> Result<(), Break> {
        if state.epoch != self.epoch {
            return Err(Break::OtherEpoch(state.epoch));
        }
        if state.last < self.applied {
            return Err(Break::Fork { last: state.last });
        }
        self.target = self.target.max(state.last);
        if state.floor > self.applied {
            self.lose(state.floor);
        }
        if self.confirmation.is_none() && !self.holes.is_empty() {
            self.confirmation = Some(state.last);
        }
        self.settle();
        Ok(())
    }

    /// Returns what has to be found out.
    pub fn need(&mut self) -> Need {
        if self.target - self.known > self.limits.resync_messages_max {
            self.lose(self.target - self.limits.resync_messages_max);
            self.settle();
        }
        if !self.holes.is_empty() && self.confirmation.is_none() {
            // First, because what is seen meanwhile has to wait for it.
            Need::State
        } else if self.known < self.target {
            let until = self.waiting.range(self.known + 1..).next().map_or(self.target, |(next, _)| next - 1);
            Need::Fetch { from: self.known + 1, until }
        } else {
            Need::Nothing
        }
    }

    /// Returns what is to be done next.
    pub fn pop_step(&mut self) -> Option<Step<M>> {
        self.steps.pop_front()
    }

    fn wait(&mut self, sequence: u64, message: M) {
        self.waiting_bytes += message.bytes();
        if let Some(before) = self.waiting.insert(sequence, Waiting { message, is_after_gap: false }) {
            self.waiting_bytes -= before.message.bytes();
        }
    }

    /// Knows what follows without a break.
    fn extend(&mut self) {
        while self.waiting.contains_key(&(self.known + 1)) {
            self.known += 1;
        }
    }

    /// Knows everything up to this number: what does not wait is a hole.
    fn know_to(&mut self, sequence: u64) {
        self.extend();
        while self.known < sequence {
            let next = self.waiting.range(self.known + 1..).next().map_or(u64::MAX, |(next, _)| *next);
            let to = sequence.min(next - 1);
            self.holes.push(Hole { from: self.known + 1, to });
            // What was dropped here may have made room for something that is newer still.
            self.confirmation = None;
            self.known = to;
            self.extend();
        }
    }

    /// Delivers what is known, up to the first hole that may be any channel's.
    fn settle(&mut self) {
        if self.confirmation.is_some_and(|last| last <= self.known) {
            self.blame();
            self.holes.clear();
            self.confirmation = None;
        }
        let is_over = self.make_room();
        if is_over && !self.holes.is_empty() {
            self.lose(self.holes.last().map_or(0, |hole| hole.to));
        }
        let until = self.holes.first().map_or(self.known, |hole| hole.from - 1);
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= until
        {
            let (sequence, Waiting { message, is_after_gap }) = entry.remove_entry();
            self.waiting_bytes -= message.bytes();
            self.steps.push_back(Step::Deliver { sequence, message, is_after_gap });
        }
        self.applied = self.applied.max(until);
    }

    /// Drops live messages that can be fetched later while too many bytes wait. Returns whether there are too many
    /// still.
    fn make_room(&mut self) -> bool {
        while self.waiting_bytes > self.limits.hold_bytes_max {
            let Some(newest) = self.waiting.last_entry().filter(|newest| *newest.key() > self.known) else {
                return true;
            };
            self.waiting_bytes -= newest.remove().message.bytes();
        }
        false
    }

    /// Notes which messages come after a gap: the first one of a channel after a hole, if the channel has as many from
    /// there on as the log keeps.
    fn blame(&mut self) {
        let holes = &self.holes;
        let has_hole = |from: u64, to: u64| {
            let next = holes.partition_point(|hole| hole.to <= from);
            holes.get(next).is_some_and(|hole| hole.from < to)
        };
        let mut after: HashMap<&str, usize> = HashMap::new();
        for (_, waiting) in self.waiting.range(..=self.known) {
            *after.entry(waiting.message.channel()).or_default() += 1;
        }
        let (mut before, mut gaps): (HashMap<&str, u64>, Vec<u64>) = (HashMap::new(), Vec::new());
        for (sequence, waiting) in self.waiting.range(..=self.known) {
            let channel = waiting.message.channel();
            let from = before.insert(channel, *sequence).unwrap_or(self.applied);
            let left = after.entry(channel).or_default();
            if *left >= self.limits.history_messages_max && has_hole(from, *sequence) {
                gaps.push(*sequence);
            }
            *left -= 1;
        }
        for sequence in gaps {
            self.waiting.entry(sequence).and_modify(|waiting| waiting.is_after_gap = true);
        }
    }

    /// Gives everything up to this number up.
    fn lose(&mut self, upto: u64) {
        let kept = self.waiting.split_off(&(upto + 1));
        let lost = std::mem::replace(&mut self.waiting, kept);
        self.waiting_bytes -= lost.values().map(|waiting| waiting.message.bytes()).sum::<usize>();
        self.applied = self.applied.max(upto);
        self.target = self.target.max(upto);
        self.known = self.known.max(upto);
        self.extend();
        self.holes.retain_mut(|hole| {
            hole.from = hole.from.max(upto + 1);
            hole.from <= hole.to
        });
        self.confirmation = None;
        self.steps.push_back(Step::Lose { upto });
    }
}

#[cfg(test)]
#[path = "sequence/tests.rs"]
mod tests;
