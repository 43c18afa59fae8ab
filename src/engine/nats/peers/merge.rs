//! Merging: what peers have answered is added to what this hub has.

use super::collector::Collected;
use super::message::{Body, Outcome};
use super::registry::Registry;
use crate::engine::merged::{ChannelCounts, Merged, MissingHub, PresentClient, PresentClients, UserCount};
use crate::hub::HubId;
use std::collections::BTreeMap;

/// Adds the clients of peers.
pub(super) fn presence(own: PresentClients, collected: &mut Collected) -> PresentClients {
    let mut all = own;
    for (_, body) in std::mem::take(&mut collected.bodies) {
        if let Body::Members(list) = body {
            all.unknown = all.unknown.saturating_add(list.unknown);
            all.known.extend(list.members.into_iter().map(|member| {
                let info = member.info();
                PresentClient { client: member.client, info }
            }));
        }
    }
    all
}

/// Adds the users of peers.
pub(super) fn users(own: UserCount, collected: &mut Collected) -> UserCount {
    let mut all = own;
    for (_, body) in std::mem::take(&mut collected.bodies) {
        if let Body::Users(list) = body {
            all.add(list.clients, list.users);
        }
    }
    all
}

/// Adds the subscribers of channels of peers.
pub(super) fn channels(own: ChannelCounts, collected: &mut Collected) -> ChannelCounts {
    let mut all = own;
    for (_, body) in std::mem::take(&mut collected.bodies) {
        if let Body::Channels(list) = body {
            for one in list.channels {
                let count = all.entry(one.name).or_insert(0);
                *count = count.saturating_add(one.clients);
            }
        }
    }
    all
}

/// What came of a command on all hubs that were asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// Connections that it was done to.
    pub done: u64,
    /// The first error, by hub: its code, and its text.
    pub error: Option<(HubId, u32, String)>,
}

/// Adds up what came of a command.
pub(super) fn outcomes(collected: &mut Collected) -> Outcomes {
    let bodies = std::mem::take(&mut collected.bodies);
    let by_hub: BTreeMap<_, _> = bodies.into_iter().collect::<BTreeMap<HubId, Body>>();
    let mut all = Outcomes::default();
    for (id, body) in by_hub {
        if let Body::Outcome(Outcome { done, code, text }) = body {
            all.done = all.done.saturating_add(done);
            if code != 0 && all.error.is_none() {
                all.error = Some((id, code, text));
            }
        }
    }
    all
}

/// Returns the merged answer with the names of those that are missing.
pub(super) fn named<T>(value: T, collected: &Collected, registry: &Registry) -> Merged<T> {
    let name = |id: &HubId| {
        let name = registry.find(*id).map(|peer| peer.name.clone());
        MissingHub { id: *id, name: name.unwrap_or_default() }
    };
    Merged { value, missing: collected.missing.iter().map(name).collect(), omitted: collected.omitted }
}

#[cfg(test)]
mod tests {
    use super::super::message::{ChannelCount, ChannelList, Heartbeat, Member, MemberList, UserList};
    use super::*;
    use crate::engine::merged::hash_of;
    use crate::hub::PresenceStats;
    use std::time::Duration;

    fn id(hub: u64) -> HubId {
        HubId::new(hub).unwrap()
    }

    fn collected(bodies: Vec<(u64, Body)>) -> Collected {
        let bodies = bodies.into_iter().map(|(hub, body)| (id(hub), body)).collect();
        Collected { bodies, ..Collected::default() }
    }

    #[test]
    fn clients_of_all_hubs_are_listed() {
        let own = PresentClients { known: vec![PresentClient { client: "1".to_owned(), info: None }], unknown: 1 };
        let member = Member { client: "2".to_owned(), user: Some("42".to_owned()), ..Member::default() };
        let list = MemberList { members: vec![member], unknown: 2 };
        let all = presence(own, &mut collected(vec![(2, Body::Members(list))]));
        let named: Vec<_> = all.known.iter().map(|one| (one.client.as_str(), one.info().user())).collect();
        assert_eq!((named, all.unknown), (vec![("1", ""), ("2", "42")], 3));
    }

    #[test]
    fn counts_are_added_up_and_users_counted_once() {
        let own = UserCount { clients: 2, users: ["a", "b"].map(hash_of).into() };
        let list = |clients, users: &[&str]| {
            Body::Users(UserList { clients, users: users.iter().map(|user| hash_of(user)).collect() })
        };
        let mut answers = collected(vec![(2, list(3, &["b", "c"])), (3, list(1, &["c"]))]);
        assert_eq!(users(own, &mut answers).stats(), PresenceStats { clients: 6, users: 3 });

        let own = ChannelCounts::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let count = |name: &str, clients| ChannelCount { name: name.to_owned(), clients };
        let list = ChannelList { channels: vec![count("b", 3), count("c", u32::MAX)] };
        let mut answers = collected(vec![(2, Body::Channels(list.clone())), (3, Body::Channels(list))]);
        let expected = [("a".to_owned(), 1), ("b".to_owned(), 8), ("c".to_owned(), u32::MAX)].into();
        assert_eq!(channels(own, &mut answers), expected);
    }

    #[test]
    fn command_is_counted_over_all_hubs_and_the_first_error_is_told() {
        let outcome = |done, code, text: &str| Body::Outcome(Outcome { done, code, text: text.to_owned() });
        let mut answers =
            collected(vec![(4, outcome(1, 106, "four")), (3, outcome(2, 106, "three")), (2, outcome(3, 0, ""))]);
        let expected = Outcomes { done: 6, error: Some((id(3), 106, "three".to_owned())) };
        assert_eq!(outcomes(&mut answers), expected);
    }

    #[test]
    fn missing_hub_is_named() {
        let mut registry = Registry::new(id(1));
        registry.hear(Heartbeat { hub: 2, name: "two".to_owned(), ..Heartbeat::default() }, Duration::ZERO);
        let collected = Collected { missing: vec![id(2)], omitted: 5, ..Collected::default() };
        let merged = named((), &collected, &registry);
        assert_eq!(merged.missing, [MissingHub { id: id(2), name: "two".to_owned() }]);
        assert_eq!(merged.omitted, 5);
    }

    /// An answer of another kind than was asked for is a bug of a peer, and adds nothing.
    #[test]
    fn answer_of_another_kind_is_left_out() {
        let other = || collected(vec![(2, Body::Outcome(Outcome::default()))]);
        assert_eq!(presence(PresentClients::default(), &mut other()), PresentClients::default());
        assert_eq!(users(UserCount::default(), &mut other()), UserCount::default());
        assert_eq!(channels(ChannelCounts::default(), &mut other()), ChannelCounts::default());
    }
}
