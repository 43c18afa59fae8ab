//! The reference model of presence: who is in which channel, and what a watcher has to make of what it is told.

use super::{Peer, SimulatedHub};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use throng::protocol::ChannelName;

/// More than an event takes in any encoding: with an id and a short name.
const EVENT_BYTES: usize = 120;

/// Who is in which channel, by the rules alone.
#[derive(Default)]
pub(crate) struct Members {
    is_on: bool,
    tells: bool,
    /// The clients of each channel: whether presence was on when they came.
    channels: HashMap<&'static str, BTreeMap<String, bool>>,
    /// Joins and leaves that may have been told.
    told: usize,
}

/// What one watcher knows of a channel without asking again.
pub(crate) struct View {
    channel: &'static str,
    /// The clients that it knew at first.
    first: BTreeSet<String>,
    /// It asked, so it knows everything; otherwise nothing is certain of those that were there before.
    has_asked: bool,
}

impl Members {
    /// Switches presence, and joins and leaves. Nobody is known that came before.
    pub(crate) fn reload(&mut self, hub: &SimulatedHub, is_on: bool, tells: bool) {
        hub.reload(|options| (options.presence, options.join_leave) = (is_on, tells));
        if !is_on {
            self.channels.values_mut().flat_map(BTreeMap::values_mut).for_each(|is_known| *is_known = false);
        }
        (self.is_on, self.tells) = (is_on, tells);
    }

    pub(crate) fn join(&mut self, channel: &'static str, peer: &Peer) {
        self.channels.entry(channel).or_default().insert(name(peer), self.is_on);
        self.told += usize::from(self.tells);
    }

    pub(crate) fn leave(&mut self, channel: &str, peer: &Peer) {
        self.channels.get_mut(channel).and_then(|members| members.remove(&name(peer))).expect("it was there");
        self.told += usize::from(self.tells);
    }

    /// Most bytes that a subscriber was told of joins and leaves.
    pub(crate) fn told_bytes_max(&self) -> usize {
        self.told * EVENT_BYTES
    }

    fn known(&self, channel: &str) -> BTreeSet<String> {
        let members = self.channels.get(channel).into_iter().flatten();
        members.filter(|(_, is_known)| **is_known).map(|(name, _)| name.clone()).collect()
    }

    /// Checks what can be seen without asking: nobody is forgotten, or counted twice.
    pub(crate) fn check_count(&self, hub: &SimulatedHub) {
        let expected: usize = self.channels.keys().map(|channel| self.known(channel).len()).sum();
        assert_eq!(hub.hub().metrics().process.read().presence_members, expected as u64, "members");
    }

    /// Asks, and compares.
    pub(crate) fn check(&self, hub: &SimulatedHub) {
        for (channel, members) in &self.channels {
            assert_eq!(BTreeSet::from_iter(hub.presence(channel)), self.known(channel), "who is in {channel}");
            let unknown = if self.is_on { members.values().filter(|is_known| !**is_known).count() } else { 0 };
            let found = hub.hub().presence(&ChannelName::parse(channel).unwrap());
            assert_eq!((found.unknown as usize, found.known.len()), (unknown, self.known(channel).len()));
        }
    }

    /// A watcher begins: it asks who is there, or only listens.
    pub(crate) fn watch(&self, hub: &SimulatedHub, channel: &'static str, has_asked: bool) -> Option<View> {
        if !self.tells {
            return None;
        }
        let first = if has_asked { hub.presence(channel).into_iter().collect() } else { self.known(channel) };
        Some(View { channel, first, has_asked })
    }

    /// Checks that a watcher who was told everything knows who is there.
    pub(crate) fn check_view(&self, view: &View, lines: &[String]) {
        let mut here = if view.has_asked { view.first.clone() } else { BTreeSet::new() };
        for line in lines.iter().filter_map(|line| line.strip_prefix(" [throng] ")) {
            match line.split_once(' ') {
                Some(("joined", info)) => _ = here.insert(parse(info)),
                Some(("left", info)) => _ = here.remove(&parse(info)),
                _ => {}
            }
        }
        let is_certain = |name: &&String| view.has_asked || !view.first.contains(*name);
        let certain = |names: &BTreeSet<String>| names.iter().filter(is_certain).cloned().collect::<Vec<_>>();
        assert_eq!(certain(&here), certain(&self.known(view.channel)), "as told of {}", view.channel);
    }
}

/// A client as [`SimulatedHub::presence`] names it.
fn name(peer: &Peer) -> String {
    format!("{} {}", peer.id(), peer.user_name())
}

/// The same from the line of an event.
fn parse(info: &str) -> String {
    let info: serde_json::Value = serde_json::from_str(info).unwrap();
    format!("{} {}", info["client"].as_str().unwrap(), info["user"].as_str().unwrap())
}
