//! A pass: takes a batch of commands, then writes, in steps between which the driver may yield to other tasks.

use super::fan_out::{Run, fan_out};
use super::lag::lag_bytes_max;
use super::rounds::Round;
use super::shard_channel::{ChannelIndex, ShardChannel};
use super::state::Shard;
use crate::hub::Sink;
use crate::hub::inbox::Inbox;
use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Most bytes that one pass appends before it writes: four coalesced messages of the largest size, a quarter of the
/// default outbox, so that no connection lags only because a batch was large.
const APPENDED_MAX: usize = 256 * 1024;

/// Writes between two looks at the clock: some 200 us, less than the turn of a shard.
pub(super) const STEP_WRITES: usize = 32;

/// Returns the credits of a batch to the inbox when dropped, also when a command makes the shard panic.
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

/// What the commands taken in one pass amount to.
struct TakenCommands {
    commands: usize,
    /// Bytes appended to logs.
    appended: usize,
}

impl<S: Sink> Shard<S> {
    /// Begins a pass at `now`, the time since the hub's start: takes commands, sockets that became writable, and what
    /// is due by time. Returns whether there is anything to write.
    pub fn begin_pass(&mut self, now: Duration) -> bool {
        debug_assert!(self.rounds.current.is_none(), "subscriptions change between rounds: step until nothing remains");
        self.clock.advance(now);
        let taken = self.take_commands();
        self.rounds.coalescing.advance(now, taken.appended);
        if self.rounds.may_batch() {
            self.rounds.batch.begin();
        }
        self.unpark();
        if self.clock.take_tick() {
            self.tick();
        }
        self.counts.passes += 1;
        taken.commands > 0 || self.has_writes()
    }

    /// Makes at most a few dozen writes. Returns whether more remain.
    ///
    /// The order matters. Batched connections come first, so that the fan-outs find their cursors at the head and skip
    /// them. Single connections are flushed or closed between rounds only, because that may move subscriptions.
    pub fn step(&mut self) -> bool {
        if self.rounds.batch.is_under_way() {
            self.step_batching();
            return true;
        }
        if self.rounds.current.is_none() && !self.rounds.coalescing.is_open() {
            self.rounds.current = self.next_round();
        }
        match self.rounds.current.take() {
            Some(round) => self.step_round(round),
            None => self.step_flush(),
        }
        self.has_writes()
    }

    /// Ends a pass at `now`: the metrics show what happened.
    pub fn end_pass(&mut self, now: Duration) {
        // A publication is counted when its last write is done: while a channel is touched, one is still due.
        if self.rounds.touched.is_empty() {
            self.rounds.latency.count(now, &mut self.counts);
            self.rounds.coalescing.end();
        }
        if self.connections.taken() == 0 {
            // Without connections there are no ticks that would clear it.
            self.deadlines.watched.clear();
        }
        self.counts.connections = self.connections.taken() as u64;
        self.counts.shard_channels = self.channels.len() as u64;
        self.counts.slot_bytes = self.connections.bytes() as u64;
        self.counts.parked = self.deadlines.watched.len() as u64;
        self.metrics.publish(&self.counts);
    }

    /// Returns when the next pass is due without a command, as time since the hub's start; `None` when never.
    pub fn next_deadline(&self) -> Option<Duration> {
        let tick = (self.connections.taken() > 0).then(|| self.clock.next_tick());
        tick.into_iter().chain(self.rounds.coalescing.until()).min()
    }

    fn has_writes(&self) -> bool {
        self.rounds.has_writes() || !self.todo.is_empty()
    }

    fn take_commands(&mut self) -> TakenCommands {
        let inbox = Arc::clone(&self.inbox);
        let mut refund = Refund { inbox: &inbox, credits: 0 };
        let mut taken = TakenCommands { commands: 0, appended: 0 };
        while taken.commands < self.commands_max && taken.appended < APPENDED_MAX {
            let Some(command) = self.inbox.pop() else { break };
            taken.commands += 1;
            refund.credits += Inbox::<S>::cost(command.body_bytes());
            taken.appended += self.apply(command);
        }
        taken
    }

    /// Lists for a flush the connections whose sinks take bytes again. Each sink is asked once more: the runtime may
    /// have called for nothing, and a sink may first have to pass on bytes that it kept.
    fn unpark(&mut self) {
        let mut writable = mem::take(&mut self.todo.writable);
        self.inbox.waker().take_writable(&mut writable);
        for slot in writable.drain(..) {
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            if !connection.is_held && connection.ask_sink() == Poll::Ready(()) {
                connection.is_parked = false;
                self.todo.to_flush.push(slot);
            }
        }
        self.todo.writable = writable;
    }

    /// Builds the frame for the next channel with publications that were offered to no subscriber yet.
    fn next_round(&mut self) -> Option<Round> {
        loop {
            let index = *self.rounds.touched.last()?;
            let channel = self.channels.get_mut(index);
            // If all subscribers skipped ahead or were served one by one, the log may begin after the last round.
            let start = |channel: &ShardChannel| channel.round_end.max(channel.log.tail());
            let Some(channel) = channel.filter(|channel| start(channel) < channel.log.head()) else {
                self.finish_channel(index);
                continue;
            };
            let from = start(channel);
            let to = channel.log.window_end(from);
            self.rounds.frame.clear();
            channel.push_frame(&mut self.rounds.frame, from, to);
            let floor = channel.log.head().saturating_sub(lag_bytes_max(&self.limits));
            let publications = channel.log.publications_between(from, to) as u64;
            channel.first = (channel.first + 1) % channel.subscriptions.len().max(1);
            return Some(Round { channel: index, from, to, floor, publications, served: 0, first: channel.first });
        }
    }

    fn step_round(&mut self, mut round: Round) {
        let Some(channel) = self.channels.get_mut(round.channel) else { return };
        let len = channel.subscriptions.len();
        let start = (round.first + round.served) % len.max(1);
        let end = len.min(start + STEP_WRITES.min(len - round.served));
        let run = Run { from: round.from, to: round.to, floor: round.floor, frame: &self.rounds.frame };
        let mut unserved = Vec::new();
        let connections = self.connections.as_mut_slice();
        let served = fan_out(run, &mut channel.subscriptions[start..end], connections, &mut unserved) as u64;
        round.served += end - start;
        self.counts.sends += served;
        self.counts.deliveries += served * round.publications;
        self.counts.bytes += served * self.rounds.frame.len() as u64;
        if round.served < len {
            self.rounds.current = Some(round);
        } else {
            channel.round_end = round.to;
        }
        for (slot, why) in unserved {
            self.handle_unserved(slot, why, round.publications);
        }
    }

    /// Ends the fan-outs of a channel: every subscriber that is not slow has everything.
    fn finish_channel(&mut self, index: ChannelIndex) {
        self.rounds.touched.pop();
        let Some(channel) = self.channels.get_mut(index) else { return };
        channel.is_touched = false;
        channel.trim();
        if !channel.log.is_empty() && !channel.is_retained {
            channel.is_retained = true;
            self.deadlines.retained.push(index);
        }
    }

    /// Ends and flushes single connections, once no round is under way.
    fn step_flush(&mut self) {
        // In order: the first reason for an end is the cause, later ones are its consequences. No exit adds another.
        let mut exits = mem::take(&mut self.todo.exits);
        for (slot, exit) in exits.drain(..) {
            self.exit(slot, exit);
        }
        self.todo.exits = exits;
        for _ in 0..STEP_WRITES {
            let Some(slot) = self.todo.to_flush.pop() else { return };
            self.flush(slot);
        }
    }
}
