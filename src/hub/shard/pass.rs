//! A pass: takes a batch of commands, then writes, in steps between which the driver may yield to others.

use super::Shard;
use super::fan_out::{Run, Unserved, fan_out};
use super::shard_channel::ShardChannel;
use crate::hub::Sink;
use crate::hub::inbox::Inbox;
use bytes::Bytes;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Most bytes that one pass appends before it writes: four coalesced messages of the largest size, a quarter of the
/// default outbox, so that nobody is slow only because a batch was large.
const APPENDED_MAX: usize = 256 * 1024;

/// Writes between two looks at the clock: some 200 us, less than the turn of a shard.
pub(super) const STEP_WRITES: usize = 32;

/// One fan-out of one audience, under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    audience: u32,
    from: u64,
    to: u64,
    floor: u64,
    publications: u64,
    /// Subscribers served so far, counted from `first` and round the end.
    served: usize,
    first: usize,
}

/// Gives the credits of a batch back at once, and also when a command makes the shard panic.
struct Refund<'a, S> {
    inbox: &'a Inbox<S>,
    credits: u32,
}

impl<S> Drop for Refund<'_, S> {
    fn drop(&mut self) {
        if self.credits > 0 {
            self.inbox.refund(self.credits as usize);
        }
    }
}

impl<S: Sink> Shard<S> {
    /// Begins a pass at `now`, the time since the hub's start: takes commands, sockets that became writable, and what
    /// is due by time. Returns whether there is anything to write.
    pub fn begin_pass(&mut self, now: Duration) -> bool {
        debug_assert!(self.round.is_none(), "subscriptions change between rounds: step until nothing remains");
        self.clock.advance(now);
        let (taken, appended) = self.drain();
        self.coalescing.advance(now, appended);
        if self.batching.is_possible && self.touched.len() > 1 && !self.coalescing.is_open() {
            self.batching.begin();
        }
        self.unpark();
        if self.clock.take_tick() {
            self.tick();
        }
        self.counts.passes += 1;
        taken > 0 || self.has_writes()
    }

    /// Makes at most a few dozen writes. Returns whether more remain.
    pub fn step(&mut self) -> bool {
        if self.batching.is_under_way() {
            self.step_joining();
            return true;
        }
        if self.round.is_none() && !self.coalescing.is_open() {
            self.round = self.next_round();
        }
        match self.round.take() {
            Some(round) => self.step_round(round),
            None => self.step_flush(),
        }
        self.has_writes()
    }

    /// Ends a pass at `now`: what happened becomes visible in the metrics.
    pub fn end_pass(&mut self, now: Duration) {
        self.count_latency(now);
        if self.live == 0 {
            // No tick comes to look at them.
            self.watched.clear();
        }
        if self.touched.is_empty() {
            self.coalescing.end();
        }
        self.counts.connections = self.live as u64;
        self.counts.audiences = self.audiences.len() as u64;
        self.counts.slot_bytes = size_of_val(self.connections.as_slice()) as u64;
        self.counts.parked = self.watched.len() as u64;
        self.metrics.publish(&self.counts);
    }

    /// Returns when the next pass is due without a command, as time since the hub's start; `None` when never.
    pub fn next_deadline(&self) -> Option<Duration> {
        let tick = (self.live > 0).then(|| self.clock.next_tick());
        tick.into_iter().chain(self.coalescing.until()).min()
    }

    fn has_writes(&self) -> bool {
        let is_fan_out_due = !self.touched.is_empty() && !self.coalescing.is_open();
        self.round.is_some() || is_fan_out_due || !self.dirty.is_empty() || !self.leaving.is_empty()
    }

    /// Takes commands; returns how many, and the bytes that they appended to logs.
    fn drain(&mut self) -> (usize, usize) {
        let inbox = Arc::clone(&self.inbox);
        let mut refund = Refund { inbox: &inbox, credits: 0 };
        let (mut taken, mut appended) = (0, 0);
        while taken < self.commands_max && appended < APPENDED_MAX {
            let Some(command) = self.inbox.pop() else { break };
            taken += 1;
            refund.credits += Inbox::<S>::cost(command.body_bytes());
            appended += self.apply(command);
        }
        (taken, appended)
    }

    /// Lists those to be flushed whose sinks take bytes again. Each is asked once more: the runtime may call in vain,
    /// and a sink may first have to pass on what it kept.
    fn unpark(&mut self) {
        let mut writable = std::mem::take(&mut self.writable);
        self.inbox.bell().take_writable(&mut writable);
        for slot in writable.drain(..) {
            let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { continue };
            if connection.ask_sink() == Poll::Ready(()) {
                connection.is_parked = false;
                self.dirty.push(slot);
            }
        }
        self.writable = writable;
    }

    /// Builds the frame for the next audience that has publications nobody was offered.
    fn next_round(&mut self) -> Option<Round> {
        loop {
            let number = *self.touched.last()?;
            let audience = self.audiences.get_mut(number as usize);
            // After everyone skipped ahead, or was served alone, the log may begin behind the last round.
            let start = |audience: &ShardChannel| audience.settled.max(audience.log.tail());
            let Some(audience) = audience.filter(|audience| start(audience) < audience.log.head()) else {
                self.settle(number);
                continue;
            };
            let from = start(audience);
            let to = audience.log.window_end(from);
            self.frame.clear();
            push_frame(&mut self.frame, audience, from, to);
            let floor = audience.log.head().saturating_sub(self.limits.outbox_bytes_max as u64);
            let publications = audience.log.messages_between(from, to) as u64;
            audience.first = (audience.first + 1) % audience.subscriptions.len().max(1);
            return Some(Round { audience: number, from, to, floor, publications, served: 0, first: audience.first });
        }
    }

    fn step_round(&mut self, mut round: Round) {
        let Some(audience) = self.audiences.get_mut(round.audience as usize) else { return };
        let len = audience.subscriptions.len();
        let start = (round.first + round.served) % len.max(1);
        let end = len.min(start + STEP_WRITES.min(len - round.served));
        let run = Run { from: round.from, to: round.to, floor: round.floor, frame: &self.frame };
        let mut unserved = Vec::new();
        let sends = fan_out(run, &mut audience.subscriptions[start..end], &mut self.connections, &mut unserved);
        round.served += end - start;
        self.counts.sends += sends as u64;
        self.counts.deliveries += sends as u64 * round.publications;
        self.counts.bytes += sends as u64 * self.frame.len() as u64;
        if round.served < len {
            self.round = Some(round);
        } else {
            audience.settled = round.to;
        }
        for (slot, aside) in unserved {
            self.handle_unserved(slot, aside, round.publications);
        }
    }

    /// Deals with a subscriber that the fan-out could not simply serve.
    #[cold]
    fn handle_unserved(&mut self, slot: u32, aside: Unserved, publications: u64) {
        match aside {
            Unserved::Short(taken) => {
                self.counts.bytes -= (self.frame.len() - taken) as u64;
                if taken == 0 {
                    self.counts.deliveries -= publications;
                } else if let Some(Some(connection)) = self.connections.get_mut(slot as usize) {
                    connection.lane_mut().push_rest(Bytes::copy_from_slice(&self.frame[taken..]));
                }
                self.park(slot, taken > 0);
            }
            Unserved::Gone => {
                self.counts.deliveries -= publications;
                self.counts.bytes -= self.frame.len() as u64;
                self.leaving.push((slot, super::exit::Exit::Gone));
            }
            Unserved::Straggler => self.dirty.push(slot),
            Unserved::Lagging => self.leaving.push((slot, super::exit::Exit::Lagging)),
        }
    }

    /// Ends the fan-outs of an audience: everybody who is not slow has everything.
    fn settle(&mut self, number: u32) {
        self.touched.pop();
        let Some(audience) = self.audiences.get_mut(number as usize) else { return };
        audience.is_touched = false;
        audience.trim();
        if !audience.log.is_empty() && !audience.is_retained {
            audience.is_retained = true;
            self.retained.push(number);
        }
    }

    /// Serves those who need more than the common frame, once no round is under way.
    fn step_flush(&mut self) {
        // In order: the first reason is the cause, the next is its consequence. None of them adds to the list.
        let mut leaving = std::mem::take(&mut self.leaving);
        for (slot, leave) in leaving.drain(..) {
            self.leave(slot, leave);
        }
        self.leaving = leaving;
        for _ in 0..STEP_WRITES {
            let Some(slot) = self.dirty.pop() else { return };
            self.flush(slot);
        }
    }
}

/// Appends the publications of `from..to` as one frame.
pub(super) fn push_frame(frame: &mut Vec<u8>, audience: &ShardChannel, from: u64, to: u64) {
    let (head, mut left) = audience.encoding.frame(usize::try_from(to - from).unwrap_or(usize::MAX));
    frame.extend_from_slice(head.as_slice());
    for slice in audience.log.slices(from, to) {
        let slice = &slice[..slice.len().min(left)];
        left -= slice.len();
        frame.extend_from_slice(slice);
    }
}
