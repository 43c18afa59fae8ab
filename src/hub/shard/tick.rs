//! What a shard does because time passed: pings, missed pongs, deadlines, logs that no subscriber needs any more.

use super::connection::{Connection, Heartbeat, Phase};
use super::exit::slow_consumer;
use super::lag::{is_out_of_time, lag_of};
use super::state::Shard;
use super::todo::Exit;
use super::wheel::slots_of;
use crate::config::{HubLimits, SlowConsumer};
use crate::hub::Sink;
use crate::protocol::CloseReason;
use std::mem;
use std::time::Duration;

/// State of a watched connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watch {
    /// It has caught up.
    Done,
    /// It is still parked or closing.
    Waiting,
    /// Its socket took nothing for too long.
    Stalled,
    /// It lags by more than its bound, and does not drain.
    Lagging,
    /// It did not end in time.
    Overdue,
}

impl<S: Sink> Shard<S> {
    pub(super) fn tick(&mut self) {
        // Missed pongs come first: a connection that is due for both must not be pinged again instead.
        let due = self.deadlines.wheel.advance(self.clock.time());
        for bucket in due.check {
            self.close_silent(bucket);
        }
        for bucket in due.ping {
            self.ping(bucket);
        }
        self.close_aged();
        self.check_watched();
        self.trim_retained();
    }

    /// Closes connections that are older than the limit, each after its backlog. Looks at every connection twenty times
    /// per longest age.
    fn close_aged(&mut self) {
        let (now, age_max) = (self.clock.time(), self.limits.connection_age_max);
        let Some(ages) = &mut self.deadlines.ages else { return };
        for bucket in ages.advance(now) {
            for slot in slots_of(bucket, self.connections.len()) {
                let connection = self.connections.get(slot);
                if connection.is_some_and(|one| one.phase == Phase::Open && one.is_aged(slot, now, age_max)) {
                    self.todo.exits.push((slot, Exit::Flush(CloseReason::Aged)));
                }
            }
        }
    }

    /// Pings the connections of a bucket. One that was unreachable for a whole round is closed: under the policy `skip`
    /// no other limit would end it.
    fn ping(&mut self, bucket: u64) {
        for slot in slots_of(bucket, self.connections.len()) {
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            if connection.phase != Phase::Open {
                continue;
            }
            match (connection.is_parked, connection.heartbeat) {
                (_, Heartbeat::NotBegun) => {}
                (true, Heartbeat::Unreachable) => self.todo.exits.push((slot, Exit::Close(CloseReason::NoPong))),
                (true, Heartbeat::Alive | Heartbeat::Due | Heartbeat::Asked) => {
                    connection.heartbeat = Heartbeat::Unreachable;
                }
                (false, _) => {
                    connection.heartbeat = Heartbeat::Due;
                    self.todo.to_flush.push(slot);
                }
            }
        }
    }

    fn close_silent(&mut self, bucket: u64) {
        for slot in slots_of(bucket, self.connections.len()) {
            let Some(connection) = self.connections.get_mut(slot) else { continue };
            match (connection.is_parked, connection.heartbeat) {
                // The ping may still wait for the full socket, so its pong cannot be missing yet.
                (true, Heartbeat::Due | Heartbeat::Asked) => connection.heartbeat = Heartbeat::Unreachable,
                (false, Heartbeat::Asked) => self.todo.exits.push((slot, Exit::Close(CloseReason::NoPong))),
                (false, Heartbeat::Due) | (_, Heartbeat::NotBegun | Heartbeat::Alive | Heartbeat::Unreachable) => {}
            }
        }
    }

    /// Checks the deadlines of parked and closing connections, and keeps those that still wait on the list.
    fn check_watched(&mut self) {
        let now = self.clock.time();
        let mut control_bytes = 0;
        let mut watched = mem::take(&mut self.deadlines.watched);
        watched.retain(|slot| {
            let Some(connection) = self.connections.get_mut(*slot) else { return false };
            // Cleared here and set again below: a second entry, or one of an earlier connection of the slot, goes.
            if !mem::take(&mut connection.is_watched) {
                return false;
            }
            control_bytes += connection.control.as_ref().map_or(0, |control| control.len() as u64);
            let lag = lag_of(connection, &self.channels);
            let policy = slow_consumer(&self.limits, &self.channels, connection);
            match watch_state(&self.limits, connection, lag, policy, now) {
                Watch::Done => return false,
                Watch::Waiting => {}
                Watch::Lagging => self.todo.exits.push((*slot, Exit::Lagging)),
                Watch::Stalled => self.todo.exits.push((*slot, Exit::Close(CloseReason::SlowConsumer))),
                Watch::Overdue => self.todo.exits.push((*slot, Exit::Gone)),
            }
            true
        });
        for slot in &watched {
            if let Some(connection) = self.connections.get_mut(*slot) {
                connection.is_watched = true;
            }
        }
        self.deadlines.watched = watched;
        self.counts.control_bytes = control_bytes;
    }

    /// Trims the logs that slow subscribers keep, and measures what is left.
    fn trim_retained(&mut self) {
        let (mut all, mut longest) = (0, 0);
        let mut retained = mem::take(&mut self.deadlines.retained);
        retained.retain(|index| {
            let Some(channel) = self.channels.get_mut(*index) else { return false };
            // As above: a second entry, or one of an earlier channel of that index, goes.
            if !mem::take(&mut channel.is_retained) {
                return false;
            }
            channel.trim();
            let bytes = channel.log.head() - channel.log.tail();
            (all, longest) = (all + bytes, longest.max(bytes));
            bytes > 0
        });
        (self.counts.log_bytes, self.counts.lag_bytes) = (all, longest);
        for index in &retained {
            if let Some(channel) = self.channels.get_mut(*index) {
                channel.is_retained = true;
            }
        }
        self.deadlines.retained = retained;
    }
}

fn watch_state<S>(
    limits: &HubLimits,
    connection: &mut Connection<S>,
    lag: u64,
    policy: SlowConsumer,
    now: Duration,
) -> Watch {
    let (takes_split, is_parked, phase) = (connection.takes_split(), connection.is_parked, connection.phase);
    let Some(control) = &mut connection.control else {
        return if phase == Phase::Dead { Watch::Waiting } else { Watch::Done };
    };
    let is_out_of_time = is_out_of_time(limits, control, is_parked, lag, now);
    if takes_split && lag == 0 && control.stalled_since.is_none() && control.deadline.is_none() {
        return Watch::Done;
    }
    let stall = control.stalled_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
    if control.deadline.is_some_and(|deadline| now >= deadline) {
        Watch::Overdue
    } else if is_out_of_time {
        Watch::Lagging
    } else if phase == Phase::Open && is_parked && stall >= limits.outbox_stall_max && policy == SlowConsumer::Close {
        Watch::Stalled
    } else {
        Watch::Waiting
    }
}
