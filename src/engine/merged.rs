//! What is asked of a channel, or of all channels, over all hubs; with one hub, of this one.

use crate::hub::{Hub, HubId, Members, PresenceStats, Sink};
use crate::protocol::{ChannelName, Profile};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// An answer of all hubs, and what it lacks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Merged<T> {
    /// What the hubs that have answered said together.
    pub value: T,
    /// Hubs that are there and have not answered completely in time.
    pub missing: Vec<MissingHub>,
    /// Items that hubs left out because there were too many.
    pub omitted: u64,
}

impl<T> Merged<T> {
    /// Returns the answer of this hub alone, which lacks nothing.
    pub fn whole(value: T) -> Self {
        Self { value, missing: Vec::new(), omitted: 0 }
    }

    /// Changes the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Merged<U> {
        Merged { value: change(self.value), missing: self.missing, omitted: self.omitted }
    }
}

/// A hub that has not answered.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MissingHub {
    /// Its id.
    pub id: HubId,
    /// Its name, for people.
    pub name: String,
}

/// A client in a channel, on any hub.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PresentClient {
    /// Its id as clients and backends know it.
    pub client: String,
    /// What is known of it; `None` for an anonymous client.
    pub info: Option<Arc<Profile>>,
}

impl PresentClient {
    /// Returns what is known of it.
    pub fn info(&self) -> &Profile {
        self.info.as_deref().unwrap_or(&Profile::ANONYMOUS)
    }
}

/// Who is in a channel, on all hubs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PresentClients {
    /// In no order.
    pub known: Vec<PresentClient>,
    /// Subscribers that came before presence was switched on: they are counted and cannot be named.
    pub unknown: u32,
}

impl PresentClients {
    /// Returns who is in a channel of this hub.
    pub(super) fn of<S: Sink>(hub: &Hub<S>, members: Members) -> Self {
        let named = |member: crate::hub::Member| PresentClient {
            client: hub.client_id(member.id).to_string(),
            info: member.info,
        };
        Self { known: members.known.into_iter().map(named).collect(), unknown: members.unknown }
    }
}

/// Which users have clients in a channel, as a hash for each, so that hubs can add them up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct UserCount {
    pub(super) clients: u32,
    pub(super) users: HashSet<u64>,
}

impl UserCount {
    pub(super) fn of(members: &Members) -> Self {
        let mut users: HashSet<_> = members.known.iter().map(|member| hash_of(member.info().user())).collect();
        if members.unknown > 0 {
            users.insert(hash_of(""));
        }
        let known = u32::try_from(members.known.len()).unwrap_or(u32::MAX);
        Self { clients: known.saturating_add(members.unknown), users }
    }

    pub(super) fn add(&mut self, clients: u32, users: impl IntoIterator<Item = u64>) {
        self.clients = self.clients.saturating_add(clients);
        self.users.extend(users);
    }

    pub(super) fn stats(&self) -> PresenceStats {
        PresenceStats { clients: self.clients, users: u32::try_from(self.users.len()).unwrap_or(u32::MAX) }
    }
}

/// Returns a number that is the same for the same text on every hub: FNV-1a.
pub(super) fn hash_of(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Subscribers of channels, by name.
pub type ChannelCounts = BTreeMap<String, u32>;

/// Returns the channels of this hub that have subscribers and whose names match: `*` stands for any characters, `?` for
/// one. Returns at most `max`, and whether there are more.
pub(super) fn matching_channels<S: Sink>(hub: &Hub<S>, pattern: &str, max: usize) -> (ChannelCounts, bool) {
    let mut found = ChannelCounts::new();
    for channel in hub.directory().channels() {
        let name = channel.name().as_str();
        // Others belong to the hub itself.
        let is_of_clients = ChannelName::parse(name).is_ok();
        if !is_of_clients || !matches(pattern.as_bytes(), name.as_bytes()) {
            continue;
        }
        let subscribers = channel.subscribers();
        if subscribers > 0 {
            if found.len() >= max {
                return (found, true);
            }
            found.insert(name.to_owned(), subscribers);
        }
    }
    (found, false)
}

/// Lists channels of this hub, on a thread for blocking work: a hub has up to a million of them, and a worker has
/// sockets to serve.
pub(super) async fn list_channels<S: Sink>(hub: &Hub<S>, pattern: &str, max: usize) -> (ChannelCounts, bool) {
    let (hub, pattern) = (hub.clone(), pattern.to_owned());
    let listed = spawn_blocking(move || matching_channels(&hub, &pattern, max));
    // An error would be a panic, or the end of the runtime.
    listed.await.unwrap_or_default()
}

/// Returns whether a name matches. Goes back to the last `*` only, so it takes at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == name[in_name] => (at, in_name) = (at + 1, in_name + 1),
            _ => {
                let Some((star_at, taken)) = star else { return false };
                star = Some((star_at, taken + 1));
                (at, in_name) = (star_at + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_is_any_characters_and_question_mark_is_one() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "news", true),
            ("news:*", "news:1", true),
            ("news:*", "news", false),
            ("*:1", "news:1", true),
            ("n?ws", "news", true),
            ("n?ws", "nws", false),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxbxxb", false),
            ("news", "news:1", false),
            ("", "news", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    /// A user with a client on each of two hubs is one user.
    #[test]
    fn users_are_counted_once_over_all_hubs() {
        let mut count = UserCount { clients: 2, users: ["a", "b"].map(hash_of).into() };
        count.add(3, ["b", "c", ""].map(hash_of));
        assert_eq!(count.stats(), PresenceStats { clients: 5, users: 4 });
    }
}
