//! The registry: which hubs there are, from their heartbeats.
//!
//! A hub that has not been heard for [`GONE_AFTER`] is lost; one that says that it ends is gone at once. A lost hub is
//! remembered for a while, so that an operator sees what is missing.

use super::message::{Heartbeat, PeerStage, stage};
use crate::hub::HubId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two heartbeats of a hub.
pub(super) const BEAT: Duration = Duration::from_secs(2);

/// A hub that has not been heard for so long is lost: three heartbeats, so that one that the network dropped, or a busy
/// second, does not look like a failure.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(6);

/// How long a lost hub is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Most hubs besides this one. What they send to each other grows with the square of their number.
pub(super) const PEERS_MAX: usize = 127;

/// Most lost hubs that are remembered.
const LOST_MAX: usize = 32;

/// A hub that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its id.
    pub id: HubId,
    /// Its name, for people.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// Where clients reach it.
    pub addresses: Vec<String>,
    /// Its connections.
    pub connections: u64,
    /// How many it may have.
    pub connections_max: u64,
    /// Its channels.
    pub channels: u64,
    /// How far it is on its way to the end.
    pub stage: PeerStage,
    /// Time since its start.
    pub uptime: Duration,
    /// When it was heard last, since the start of this hub.
    pub heard: Duration,
}

/// A hub that is not heard any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LostPeer {
    /// Its id.
    pub id: HubId,
    /// Its name, for people.
    pub name: String,
    /// When it was heard last, since the start of this hub.
    pub heard: Duration,
}

/// What a heartbeat was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// The first one of a hub.
    New(HubId),
    /// One of a hub that is known.
    Again,
    /// The last one of a hub, which was known.
    Ended(HubId),
    /// Of this hub, or the last one of a hub that was not known.
    Nothing,
    /// Of a hub beyond the most that are kept.
    TooMany,
}

/// The other hubs of the cluster.
#[derive(Debug)]
pub(super) struct Registry {
    own: HubId,
    peers: BTreeMap<HubId, Peer>,
    lost: Vec<LostPeer>,
}

impl Peer {
    fn new(id: HubId, beat: Heartbeat, heard: Duration) -> Self {
        let stage = stage(&beat);
        let Heartbeat { name, version, addresses, connections, connections_max, channels, uptime, .. } = beat;
        let uptime = Duration::from_secs(uptime);
        Self { id, name, version, addresses, connections, connections_max, channels, stage, uptime, heard }
    }

    /// Returns how many more connections it takes.
    pub fn room(&self) -> u64 {
        if self.stage == PeerStage::Serving { self.connections_max.saturating_sub(self.connections) } else { 0 }
    }

    /// Returns whether a heartbeat is overdue, so that its numbers are old.
    pub fn is_late(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) > BEAT * 2
    }
}

impl Registry {
    pub(super) fn new(own: HubId) -> Self {
        Self { own, peers: BTreeMap::new(), lost: Vec::new() }
    }

    /// Notes a heartbeat.
    pub(super) fn hear(&mut self, beat: Heartbeat, now: Duration) -> Heard {
        let Some(id) = HubId::new(beat.hub).filter(|id| *id != self.own) else { return Heard::Nothing };
        if beat.is_last {
            return self.peers.remove(&id).map_or(Heard::Nothing, |_| Heard::Ended(id));
        }
        let is_known = self.peers.contains_key(&id);
        if !is_known && self.peers.len() >= PEERS_MAX {
            return Heard::TooMany;
        }
        // A hub that has returned under its name, restarted or not, is not missing any more.
        self.lost.retain(|lost| lost.id != id && lost.name != beat.name);
        self.peers.insert(id, Peer::new(id, beat, now));
        if is_known { Heard::Again } else { Heard::New(id) }
    }

    /// Removes hubs that have not been heard for too long, and returns them.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<LostPeer> {
        let is_gone = |peer: &&Peer| now.saturating_sub(peer.heard) > GONE_AFTER;
        let lost = |peer: &Peer| LostPeer { id: peer.id, name: peer.name.clone(), heard: peer.heard };
        let gone: Vec<_> = self.peers.values().filter(is_gone).map(lost).collect();
        for lost in &gone {
            self.peers.remove(&lost.id);
        }
        self.lost.retain(|lost| now.saturating_sub(lost.heard) <= REMEMBERED);
        self.lost.extend(gone.iter().cloned());
        let excess = self.lost.len().saturating_sub(LOST_MAX);
        self.lost.drain(..excess);
        gone
    }

    /// Returns the hubs that are there.
    pub(super) fn live(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Returns a hub that is there.
    pub(super) fn find(&self, id: HubId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    /// Returns the hubs that were lost.
    pub(super) fn lost(&self) -> &[LostPeer] {
        &self.lost
    }
}

/// What an operator who drains or adds hubs has to know of the others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Balance {
    /// Hubs that serve, without this one.
    pub serving: usize,
    /// How many more connections they take together.
    pub room: u64,
    /// How many connections this hub has above the mean of all hubs that serve, itself among them; 0 if it does not
    /// serve, or if that is too few to move anybody for.
    pub above_mean: u64,
}

impl Balance {
    /// Compares a hub, with its connections and its stage, with its peers.
    pub(super) fn of<'a>(connections: u64, stage: PeerStage, peers: impl Iterator<Item = &'a Peer>) -> Self {
        let serving: Vec<_> = peers.filter(|peer| peer.stage == PeerStage::Serving).collect();
        let room = serving.iter().map(|peer| peer.room()).sum();
        let all = serving.iter().map(|peer| peer.connections).sum::<u64>() + connections;
        let mean = all / (serving.len() as u64 + 1);
        let above = connections.saturating_sub(mean);
        // Moving a client costs it a reconnect, so a tenth is left to chance.
        let is_worth_it = stage == PeerStage::Serving && above > (mean / 10).max(10);
        Self { serving: serving.len(), room, above_mean: if is_worth_it { above } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u64 = 1;

    fn beat(hub: u64, connections: u64, stage: PeerStage) -> Heartbeat {
        let (name, version) = (format!("hub-{hub}"), "0.1.0".to_owned());
        Heartbeat {
            hub,
            name,
            version,
            connections,
            connections_max: 1000,
            stage: stage.into(),
            ..Heartbeat::default()
        }
    }

    fn serving(hub: u64) -> Heartbeat {
        beat(hub, 0, PeerStage::Serving)
    }

    fn registry() -> Registry {
        Registry::new(HubId::new(OWN).unwrap())
    }

    fn live(registry: &Registry) -> Vec<u64> {
        registry.live().map(|peer| peer.id.get()).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn hub_is_there_from_its_first_heartbeat_to_three_missing_ones() {
        let mut registry = registry();
        assert_eq!(registry.hear(serving(OWN), seconds(0)), Heard::Nothing, "a hub hears itself");
        assert_eq!(registry.hear(serving(2), seconds(0)), Heard::New(HubId::new(2).unwrap()));
        assert_eq!(registry.hear(serving(3), seconds(1)), Heard::New(HubId::new(3).unwrap()));
        assert_eq!(registry.hear(serving(2), seconds(2)), Heard::Again);
        assert_eq!(registry.expire(seconds(7)), []);
        assert_eq!(live(&registry), [2, 3]);
        let two = registry.find(HubId::new(2).unwrap()).unwrap();
        assert!(!two.is_late(seconds(6)) && two.is_late(seconds(7)));
        let lost: Vec<_> = registry.expire(seconds(8)).into_iter().map(|lost| lost.name).collect();
        assert_eq!((lost, live(&registry)), (vec!["hub-3".to_owned()], vec![2]));
    }

    #[test]
    fn hub_that_ends_is_gone_at_once_and_is_not_missing() {
        let mut registry = registry();
        registry.hear(serving(2), seconds(0));
        let last = Heartbeat { is_last: true, ..serving(2) };
        assert_eq!(registry.hear(last.clone(), seconds(1)), Heard::Ended(HubId::new(2).unwrap()));
        assert_eq!(registry.hear(last, seconds(1)), Heard::Nothing, "it may be told twice");
        assert_eq!((live(&registry), registry.expire(seconds(60)), registry.lost().len()), (vec![], vec![], 0));
    }

    #[test]
    fn lost_hub_is_remembered_until_it_returns_or_ten_minutes_have_passed() {
        let mut registry = registry();
        for hub in [2, 3, 4] {
            registry.hear(serving(hub), seconds(0));
        }
        assert_eq!(registry.expire(seconds(7)).len(), 3);
        let names = |registry: &Registry| registry.lost().iter().map(|lost| lost.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&registry), ["hub-2", "hub-3", "hub-4"]);
        registry.hear(serving(2), seconds(8));
        registry.hear(Heartbeat { name: "hub-3".to_owned(), ..serving(9) }, seconds(8));
        assert_eq!(names(&registry), ["hub-4"], "the same one, and one that has restarted");
        registry.hear(serving(2), seconds(600));
        registry.expire(seconds(601));
        assert!(!names(&registry).contains(&"hub-4".to_owned()));
    }

    #[test]
    fn hubs_and_lost_hubs_are_bounded() {
        let mut registry = registry();
        let last = 2 + PEERS_MAX as u64;
        for hub in 2..last {
            assert!(matches!(registry.hear(serving(hub), seconds(0)), Heard::New(_)));
        }
        assert_eq!(registry.hear(serving(last), seconds(0)), Heard::TooMany);
        assert_eq!(registry.hear(serving(2), seconds(0)), Heard::Again, "those that are there stay");
        assert_eq!(registry.expire(seconds(7)).len(), PEERS_MAX);
        assert_eq!(registry.lost().len(), LOST_MAX);
        assert!(matches!(registry.hear(serving(last), seconds(8)), Heard::New(_)));
    }

    #[test]
    fn room_is_that_of_hubs_that_serve() {
        let mut registry = registry();
        registry.hear(beat(2, 400, PeerStage::Serving), seconds(0));
        registry.hear(beat(3, 1200, PeerStage::Serving), seconds(0));
        registry.hear(beat(4, 0, PeerStage::Draining), seconds(0));
        let balance = Balance::of(700, PeerStage::Serving, registry.live());
        assert_eq!((balance.serving, balance.room), (2, 600));
    }

    /// After a deploy the hub that started last has nobody.
    #[test]
    fn what_a_hub_has_above_the_mean_is_worth_moving_from_a_tenth_on() {
        let mut registry = registry();
        registry.hear(beat(2, 900, PeerStage::Serving), seconds(0));
        registry.hear(beat(3, 0, PeerStage::Serving), seconds(0));
        registry.hear(beat(4, 0, PeerStage::Draining), seconds(0));
        let above = |connections| Balance::of(connections, PeerStage::Serving, registry.live()).above_mean;
        assert_eq!((above(900), above(540), above(500), above(0)), (300, 60, 0, 0));
        assert_eq!(Balance::of(900, PeerStage::Draining, registry.live()).above_mean, 0);
        assert_eq!(Balance::of(10, PeerStage::Serving, [].iter()).above_mean, 0, "alone it has the mean");
    }
}
