//! What a shard does because time passed: pings, missed pongs, deadlines, logs that nobody needs any more.

use super::Shard;
use super::apply::narrow;
use super::connection::{Connection, Heartbeat, Phase};
use super::exit::Exit;
use super::wheel::{Wheel, slots_of};
use crate::config::{Limits, SlowConsumer};
use crate::hub::Sink;
use crate::protocol::CloseReason;
use std::time::Duration;

/// What a watched connection has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// It has caught up.
    Fine,
    /// It is still parked or closing.
    Waiting,
    /// Its socket took nothing for too long.
    Stalled,
    /// It did not end in time.
    Overdue,
}

/// Returns the hand that goes round twenty times in the longest life of a connection; `None` without a limit.
pub(super) fn ages(limits: &Limits, now: Duration) -> Option<Wheel> {
    let age_max = limits.connection_age_max;
    (!age_max.is_zero()).then(|| Wheel::from(now, age_max / 20, Duration::ZERO))
}

impl<S: Sink> Shard<S> {
    pub(super) fn tick(&mut self) {
        let due = self.wheel.advance(self.clock.time());
        for bucket in due.check {
            self.close_silent(bucket);
        }
        for bucket in due.ping {
            self.ping(bucket);
        }
        self.close_aged();
        self.look_at_watched();
        self.trim_retained();
    }

    /// Drains those that have lived long enough. Costs a look at every connection twenty times in a life.
    fn close_aged(&mut self) {
        let (now, age_max) = (self.clock.time(), self.limits.connection_age_max);
        let Some(ages) = &mut self.ages else { return };
        for bucket in ages.advance(now).ping {
            for slot in slots_of(bucket, self.connections.len()).map(narrow) {
                let connection = self.connections[slot as usize].as_ref();
                if connection.is_some_and(|one| one.phase == Phase::Open && one.is_aged(slot, now, age_max)) {
                    self.leaving.push((slot, Exit::Drain(CloseReason::Aged)));
                }
            }
        }
    }

    /// Pings the connections of a bucket. One that was out of reach for a whole round is gone: under the policy `skip`
    /// no other limit would end it.
    fn ping(&mut self, bucket: u64) {
        for slot in slots_of(bucket, self.connections.len()) {
            let Some(connection) = &mut self.connections[slot] else { continue };
            if connection.phase == Phase::Open {
                match (connection.is_parked, connection.pulse) {
                    (true, Heartbeat::Unreachable) => {
                        self.leaving.push((narrow(slot), Exit::Close(CloseReason::NoPong)));
                    }
                    (true, Heartbeat::Alive | Heartbeat::Due | Heartbeat::Asked) => {
                        connection.pulse = Heartbeat::Unreachable
                    }
                    (false, _) => {
                        connection.pulse = Heartbeat::Due;
                        self.dirty.push(narrow(slot));
                    }
                }
            }
        }
    }

    fn close_silent(&mut self, bucket: u64) {
        for slot in slots_of(bucket, self.connections.len()) {
            let Some(connection) = &mut self.connections[slot] else { continue };
            match (connection.is_parked, connection.pulse) {
                // The ping may still lie in front of the full socket.
                (true, Heartbeat::Due | Heartbeat::Asked) => connection.pulse = Heartbeat::Unreachable,
                (false, Heartbeat::Asked) => self.leaving.push((narrow(slot), Exit::Close(CloseReason::NoPong))),
                (false, Heartbeat::Due) | (_, Heartbeat::Alive | Heartbeat::Unreachable) => {}
            }
        }
    }

    /// Puts a connection on the list of those whose deadlines are looked at.
    pub(super) fn watch(&mut self, slot: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(slot as usize)
            && !connection.is_watched
        {
            connection.is_watched = true;
            self.watched.push(slot);
        }
    }

    fn look_at_watched(&mut self) {
        let now = self.clock.time();
        let mut lane_bytes = 0;
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain(|slot| {
            let Some(Some(connection)) = self.connections.get_mut(*slot as usize) else { return false };
            // Listed already, or listed for an earlier tenant of the slot.
            if !std::mem::take(&mut connection.is_watched) {
                return false;
            }
            lane_bytes += connection.lane.as_ref().map_or(0, |lane| lane.len() as u64);
            match self.limits.judge(connection, now) {
                Verdict::Fine => return false,
                Verdict::Waiting => {}
                Verdict::Stalled => self.leaving.push((*slot, Exit::Close(CloseReason::SlowConsumer))),
                Verdict::Overdue => self.leaving.push((*slot, Exit::Gone)),
            }
            true
        });
        for slot in &watched {
            if let Some(Some(connection)) = self.connections.get_mut(*slot as usize) {
                connection.is_watched = true;
            }
        }
        self.watched = watched;
        self.counts.lane_bytes = lane_bytes;
    }

    fn trim_retained(&mut self) {
        let (mut all, mut longest) = (0, 0);
        let mut retained = std::mem::take(&mut self.retained);
        retained.retain(|number| {
            let Some(audience) = self.audiences.get_mut(*number as usize) else { return false };
            // Listed already, or listed for an earlier channel of that number.
            if !std::mem::take(&mut audience.is_retained) {
                return false;
            }
            audience.trim();
            let bytes = audience.log.head() - audience.log.tail();
            (all, longest) = (all + bytes, longest.max(bytes));
            bytes > 0
        });
        (self.counts.log_bytes, self.counts.lag_bytes) = (all, longest);
        for number in &retained {
            if let Some(audience) = self.audiences.get_mut(*number as usize) {
                audience.is_retained = true;
            }
        }
        self.retained = retained;
    }
}

impl Limits {
    fn judge<S>(&self, connection: &Connection<S>, now: Duration) -> Verdict {
        let Some(lane) = &connection.lane else {
            return if connection.phase == Phase::Dead { Verdict::Waiting } else { Verdict::Fine };
        };
        let stall = lane.stalled_since.map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if lane.deadline.is_some_and(|deadline| now >= deadline) {
            Verdict::Overdue
        } else if connection.phase == Phase::Open
            && connection.is_parked
            && stall >= self.outbox_stall_max
            && self.slow_consumer == SlowConsumer::Close
        {
            Verdict::Stalled
        } else {
            Verdict::Waiting
        }
    }
}
