//! A collector: the answers to one ask, and who has not answered.

use super::message::{Answer, Body, PARTS_MAX};
use crate::hub::HubId;
use std::collections::BTreeMap;

/// Most bytes of all answers to one ask. A hub that has no room left is missing in the answer.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// The answers to one ask, as they come.
#[derive(Debug)]
pub(super) struct Collector {
    /// The hubs whose last part has not come, with the number of their next part.
    waiting: BTreeMap<HubId, u32>,
    /// The hubs that cannot be complete any more.
    missing: Vec<HubId>,
    bodies: Vec<(HubId, Body)>,
    omitted: u64,
    bytes: usize,
}

/// All answers that came in time.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// Parts, those of one hub in order.
    pub(super) bodies: Vec<(HubId, Body)>,
    /// The hubs whose answer is not complete.
    pub(super) missing: Vec<HubId>,
    /// Items that hubs left out because there were too many.
    pub(super) omitted: u64,
}

impl Collector {
    /// Returns an empty one for an ask that those hubs should answer.
    pub(super) fn new(peers: impl IntoIterator<Item = HubId>) -> Self {
        let waiting = peers.into_iter().map(|id| (id, 0)).collect();
        Self { waiting, missing: Vec::new(), bodies: Vec::new(), omitted: 0, bytes: 0 }
    }

    /// Takes a part of an answer that has so many bytes.
    pub(super) fn take(&mut self, answer: Answer, bytes: usize) {
        let Answer { hub, part, is_last, omitted, body } = answer;
        let Some((id, next)) = HubId::new(hub).and_then(|id| Some((id, *self.waiting.get(&id)?))) else { return };
        self.bytes += bytes;
        let is_next = part == next && (part as usize) < PARTS_MAX;
        let Some(body) = body.filter(|_| is_next && self.bytes <= BYTES_MAX) else {
            // It did not understand, a part was lost, or there is no room.
            self.waiting.remove(&id);
            self.missing.push(id);
            return;
        };
        self.bodies.push((id, body));
        self.omitted += omitted;
        if is_last {
            self.waiting.remove(&id);
        } else {
            self.waiting.insert(id, next + 1);
        }
    }

    /// Expects nothing from hubs any more that are not `live`: what was there has ended with them.
    pub(super) fn expect_only(&mut self, live: &[HubId]) {
        self.waiting.retain(|id, _| live.contains(id));
    }

    /// Returns whether nobody is waited for.
    pub(super) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Ends it; who is still waited for is missing.
    pub(super) fn finish(self) -> Collected {
        let Self { waiting, mut missing, bodies, omitted, .. } = self;
        missing.extend(waiting.into_keys());
        missing.sort();
        Collected { bodies, missing, omitted }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::UserList;
    use super::*;

    fn id(hub: u64) -> HubId {
        HubId::new(hub).unwrap()
    }

    fn part(hub: u64, part: u32, is_last: bool) -> Answer {
        let body = Body::Users(UserList { clients: part, users: Vec::new() });
        Answer { hub, part, is_last, omitted: 0, body: Some(body) }
    }

    fn hubs(collected: &Collected) -> Vec<u64> {
        collected.bodies.iter().map(|(hub, _)| hub.get()).collect()
    }

    #[test]
    fn answer_is_complete_when_the_last_part_of_every_hub_has_come() {
        let mut collector = Collector::new([id(2), id(3)]);
        collector.take(part(2, 0, false), 1);
        collector.take(part(3, 0, true), 1);
        assert!(!collector.is_complete());
        collector.take(Answer { omitted: 7, ..part(2, 1, true) }, 1);
        assert!(collector.is_complete());
        // Repeated, and of a hub that was not asked.
        collector.take(part(3, 0, true), 1);
        collector.take(part(4, 0, true), 1);
        let collected = collector.finish();
        assert_eq!((hubs(&collected), collected.missing.len(), collected.omitted), (vec![2, 3, 2], 0, 7));
    }

    #[test]
    fn hub_that_does_not_answer_or_not_completely_is_missing() {
        let mut collector = Collector::new([id(2), id(3), id(4), id(5)]);
        collector.take(part(2, 0, true), 1);
        // A part was lost.
        collector.take(part(3, 1, true), 1);
        // It did not understand.
        collector.take(Answer { body: None, ..part(4, 0, true) }, 1);
        assert!(!collector.is_complete());
        assert_eq!(collector.finish().missing, [id(3), id(4), id(5)]);
    }

    #[test]
    fn hub_that_has_ended_meanwhile_is_not_waited_for() {
        let mut collector = Collector::new([id(2), id(3)]);
        collector.take(part(2, 0, true), 1);
        collector.expect_only(&[id(2)]);
        assert!(collector.is_complete());
        assert_eq!(collector.finish().missing, []);
    }

    #[test]
    fn parts_and_bytes_are_bounded() {
        let mut collector = Collector::new([id(2), id(3)]);
        for number in 0..=u32::try_from(PARTS_MAX).unwrap() {
            collector.take(part(2, number, false), 1);
        }
        collector.take(part(3, 0, true), BYTES_MAX);
        assert!(collector.is_complete());
        let collected = collector.finish();
        assert_eq!((collected.bodies.len(), collected.missing), (PARTS_MAX, vec![id(2), id(3)]));
    }
}
