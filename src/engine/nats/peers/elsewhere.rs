//! Elsewhere: how many, and who, are on other hubs in the channels whose subscribers here are told of others.
//!
//! Hubs ask each other once a second for a digest of each such channel: the number of its subscribers, and a sum over
//! the ids of its members. Where the sum is another one, the members are fetched, and the difference is what has joined
//! and left. So a lost message delays what is told, and hides nothing; and a channel in which nobody is told of others
//! costs nothing.

use crate::engine::merged::PresentClient;
use crate::hub::channel::Tells;
use crate::hub::{ClientId, HubId};
use crate::protocol::{ChannelName, PresenceEvent, PresenceEventKind, Profile};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most channels of one round; with more of them it takes several rounds until each had its turn.
pub(super) const CHANNELS_PER_ROUND: usize = 16_384;

/// Most members of other hubs that are remembered in all, some 50 MB. Beyond it joins and leaves are not told, which
/// the log says.
const MEMBERS_MAX: usize = 262_144;

/// What is known of the members of a channel on another hub.
type MemberMap = HashMap<Box<str>, Option<Arc<Profile>>>;

/// What is known of the channels whose subscribers are told of others.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    channels: BTreeMap<ChannelName, ToldChannelState>,
    /// Where the next round begins.
    next: Option<ChannelName>,
    /// Members of all channels.
    members: usize,
    /// There were too many at the last look.
    is_full: bool,
}

/// A channel, as other hubs have it.
#[derive(Debug, Default)]
struct ToldChannelState {
    hubs: BTreeMap<HubId, OnHub>,
    /// It had a round: a client that comes later joins.
    had_round: bool,
}

/// A channel on another hub.
#[derive(Debug, Default)]
struct OnHub {
    clients: u32,
    /// `None` until they were fetched.
    members: Option<MemberMap>,
    /// Of the members.
    digest: u64,
}

/// What has to be told of a channel.
#[derive(Debug, Default, Eq, PartialEq)]
pub(in crate::engine::nats) struct News {
    /// The number of its subscribers elsewhere is another one.
    pub(in crate::engine::nats) has_count: bool,
    /// Who has joined and left.
    pub(in crate::engine::nats) events: Vec<PresenceEvent>,
}

/// What a digest says.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Digested {
    /// Nothing else is needed.
    Done(News),
    /// The members have to be fetched, see [`Elsewhere::learn`].
    Fetch(News),
}

impl Elsewhere {
    /// Adds a channel whose subscribers are told of others, and returns how many are elsewhere.
    pub(super) fn tell(&mut self, name: &ChannelName) -> u32 {
        if let Some(state) = self.channels.get(name) {
            return state.hubs.values().fold(0, |sum, hub| sum.saturating_add(hub.clients));
        }
        self.channels.insert(name.clone(), ToldChannelState::default());
        0
    }

    /// Returns the channels of the next round, with what their subscribers are told, as `tells` says; those without any
    /// are forgotten.
    pub(super) fn begin_round(&mut self, tells: impl Fn(&ChannelName) -> Tells) -> Vec<(ChannelName, Tells)> {
        let (mut round, mut over) = (Vec::new(), Vec::new());
        let first = self.next.take();
        let is_before = |name: &&ChannelName| first.as_ref().is_some_and(|first| *name < first);
        let (before, after): (Vec<_>, Vec<_>) = self.channels.keys().partition(is_before);
        for name in after.into_iter().chain(before) {
            if round.len() >= CHANNELS_PER_ROUND {
                self.next = Some(name.clone());
                break;
            }
            match tells(name) {
                tells if tells == Tells::default() => over.push(name.clone()),
                tells => round.push((name.clone(), tells)),
            }
        }
        for name in over {
            self.forget(&name);
        }
        round
    }

    fn forget(&mut self, name: &ChannelName) {
        for hub in self.channels.remove(name).into_iter().flat_map(|state| state.hubs.into_values()) {
            self.members -= hub.members.map_or(0, |members| members.len());
        }
    }

    /// Takes what a hub says of a channel: its subscribers, and the sum over its members.
    pub(super) fn digest(&mut self, name: &ChannelName, id: HubId, tells: Tells, digest: (u32, u64)) -> Digested {
        let Some(state) = self.channels.get_mut(name) else { return Digested::Done(News::default()) };
        let (clients, members) = digest;
        let hub = state.hubs.entry(id).or_default();
        let has_count = tells.count && hub.clients != clients;
        hub.clients = clients;
        if !tells.events {
            return Digested::Done(News { has_count, events: Vec::new() });
        }
        let is_known = hub.members.is_some() && hub.digest == members;
        let hub_members = hub.members.as_ref().map_or(0, HashMap::len);
        if !is_known && !self.has_room(hub_members, usize::try_from(clients).unwrap_or(usize::MAX)) {
            return Digested::Done(News { has_count, events: Vec::new() });
        }
        // Nobody is there, so there is nothing to fetch.
        if clients == 0 && !is_known {
            return Digested::Done(News { has_count, ..self.learn(name, id, &[]) });
        }
        let news = News { has_count, events: Vec::new() };
        if is_known { Digested::Done(news) } else { Digested::Fetch(news) }
    }

    /// Takes who is in a channel on a hub, and returns what has changed since the last time. The first time that the
    /// channel is looked at, nobody has joined: they were there already.
    pub(super) fn learn(&mut self, name: &ChannelName, id: HubId, present: &[PresentClient]) -> News {
        let known = self.known(name, id);
        if !self.has_room(known, present.len()) {
            return News::default();
        }
        let Some(state) = self.channels.get_mut(name) else { return News::default() };
        let is_first = !state.had_round;
        let hub = state.hubs.entry(id).or_default();
        let before = hub.members.take();
        let now: MemberMap = present.iter().map(|one| (one.client.as_str().into(), one.info.clone())).collect();
        hub.digest = now
            .keys()
            .filter_map(|client| ClientId::parse(client))
            .fold(0, |sum, client| sum.wrapping_add(client.connection.digest()));
        self.members = self.members - known + now.len();
        let events = match &before {
            None if is_first => Vec::new(),
            None => changes(&MemberMap::new(), &now),
            Some(before) => changes(before, &now),
        };
        hub.members = Some(now);
        News { has_count: false, events }
    }

    /// Takes who is in a channel on a hub where nothing is known of it yet, because somebody here is told of them now.
    pub(super) fn begin(&mut self, name: &ChannelName, id: HubId, present: &[PresentClient]) {
        self.tell(name);
        let state = self.channels.get(name);
        let is_new = state.is_some_and(|state| !state.had_round && !state.hubs.contains_key(&id));
        if is_new {
            self.learn(name, id, present);
        }
    }

    /// Returns how many members are remembered of a channel on a hub.
    fn known(&self, name: &ChannelName, id: HubId) -> usize {
        let hub = self.channels.get(name).and_then(|state| state.hubs.get(&id));
        hub.and_then(|hub| hub.members.as_ref()).map_or(0, HashMap::len)
    }

    /// Returns whether so many members may be remembered in place of those that are known. Logs when that ends.
    fn has_room(&mut self, known: usize, members: usize) -> bool {
        let has_room = self.members - known + members <= MEMBERS_MAX;
        if !has_room && !self.is_full {
            tracing::warn!(
                "channels whose joins are told have more than {MEMBERS_MAX} members on other hubs: some are not told"
            );
        }
        self.is_full = !has_room;
        has_room
    }

    /// Notes that every hub that is there has said what is in a channel: who comes from here on joins.
    pub(super) fn end_round(&mut self, name: &ChannelName) {
        if let Some(state) = self.channels.get_mut(name) {
            state.had_round = true;
        }
    }

    /// Drops what is known of hubs that are not `live` any more. Returns what has to be told: their members have left.
    pub(super) fn keep_only(&mut self, live: &[HubId]) -> Vec<(ChannelName, News)> {
        let mut news = Vec::new();
        for (name, state) in &mut self.channels {
            let hubs = std::mem::take(&mut state.hubs).into_iter();
            let (there, gone): (_, BTreeMap<_, _>) = hubs.partition(|(id, _)| live.contains(id));
            state.hubs = there;
            for hub in gone.into_values() {
                let members = hub.members.unwrap_or_default();
                self.members -= members.len();
                let events = changes(&members, &MemberMap::new());
                if hub.clients > 0 || !events.is_empty() {
                    news.push((name.clone(), News { has_count: hub.clients > 0, events }));
                }
            }
        }
        news
    }
}

/// Returns what turns the members before into those now.
fn changes(before: &MemberMap, now: &MemberMap) -> Vec<PresenceEvent> {
    let missing_in = |members: &MemberMap, kind, from: &MemberMap| {
        let others = from.iter().filter(|(client, _)| !members.contains_key(*client));
        let event = others.map(|(client, info)| PresenceEvent { kind, client: client.clone(), info: info.clone() });
        event.collect::<Vec<_>>()
    };
    let mut events = missing_in(now, PresenceEventKind::Leave, before);
    events.extend(missing_in(before, PresenceEventKind::Join, now));
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::ConnectionId;

    const TOLD: Tells = Tells { count: true, events: true };

    fn name(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    fn hub(number: u64) -> HubId {
        HubId::new(number).unwrap()
    }

    fn client(hub: u64, slot: u32) -> PresentClient {
        let connection = ConnectionId::parse(&format!("0/{slot}.0")).unwrap();
        PresentClient { client: ClientId { hub: HubId::new(hub), connection }.to_string(), info: None }
    }

    fn digest_of(clients: &[PresentClient]) -> (u32, u64) {
        let ids = clients.iter().map(|one| ClientId::parse(&one.client).unwrap().connection.digest());
        (u32::try_from(clients.len()).unwrap(), ids.fold(0, u64::wrapping_add))
    }

    fn told(news: &News) -> Vec<(PresenceEventKind, String)> {
        let mut events: Vec<_> = news.events.iter().map(|event| (event.kind, event.client.to_string())).collect();
        events.sort_by_key(|(_, client)| client.clone());
        events
    }

    /// A channel that is told, with these members on hub 2 from the first round on.
    fn followed(present: &[PresentClient]) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        elsewhere.tell(&name("a"));
        assert_eq!(elsewhere.learn(&name("a"), hub(2), present), News::default(), "they were there already");
        elsewhere.digest(&name("a"), hub(2), TOLD, digest_of(present));
        elsewhere.end_round(&name("a"));
        elsewhere
    }

    #[test]
    fn subscribers_of_all_hubs_are_added_up_and_a_change_is_news_once() {
        let mut elsewhere = Elsewhere::default();
        let counts = Tells { count: true, events: false };
        assert_eq!(elsewhere.tell(&name("a")), 0);
        let mut digest = |id, clients| elsewhere.digest(&name("a"), hub(id), counts, (clients, 0));
        let news = |has_count| Digested::Done(News { has_count, events: Vec::new() });
        assert_eq!((digest(2, 5), digest(3, 2), digest(2, 5)), (news(true), news(true), news(false)));
        assert_eq!(digest(2, 4), news(true));
        assert_eq!(elsewhere.tell(&name("a")), 6);
    }

    #[test]
    fn members_are_fetched_when_the_digest_is_another_one_and_the_difference_is_told() {
        let mut elsewhere = followed(&[client(2, 0), client(2, 1)]);
        let same = digest_of(&[client(2, 1), client(2, 0)]);
        assert_eq!(elsewhere.digest(&name("a"), hub(2), TOLD, same), Digested::Done(News::default()));
        let now = [client(2, 1), client(2, 7)];
        let fetch = Digested::Fetch(News::default());
        assert_eq!(elsewhere.digest(&name("a"), hub(2), TOLD, digest_of(&now)), fetch, "as many, and others");
        let news = elsewhere.learn(&name("a"), hub(2), &now);
        let expected =
            [(PresenceEventKind::Leave, client(2, 0).client), (PresenceEventKind::Join, client(2, 7).client)];
        assert_eq!(told(&news), expected);
        assert_eq!(elsewhere.digest(&name("a"), hub(2), TOLD, digest_of(&now)), Digested::Done(News::default()));
        // The last ones leave without a fetch.
        let Digested::Done(news) = elsewhere.digest(&name("a"), hub(2), TOLD, (0, 0)) else { unreachable!() };
        assert!(news.has_count && news.events.len() == 2 && elsewhere.members == 0);
    }

    /// A hub that joins the cluster, or a channel, after the first round has members that join.
    #[test]
    fn members_of_a_hub_that_comes_later_join() {
        let mut elsewhere = followed(&[client(2, 0)]);
        let fetch = elsewhere.digest(&name("a"), hub(3), TOLD, digest_of(&[client(3, 0)]));
        assert_eq!(fetch, Digested::Fetch(News { has_count: true, events: Vec::new() }));
        let news = elsewhere.learn(&name("a"), hub(3), &[client(3, 0)]);
        assert_eq!(told(&news), [(PresenceEventKind::Join, client(3, 0).client)]);
    }

    #[test]
    fn members_of_a_hub_that_is_gone_have_left() {
        let mut elsewhere = followed(&[client(2, 0)]);
        assert_eq!(elsewhere.keep_only(&[hub(2)]), []);
        let news = elsewhere.keep_only(&[]);
        assert_eq!((news.len(), news[0].1.has_count), (1, true));
        assert_eq!(told(&news[0].1), [(PresenceEventKind::Leave, client(2, 0).client)]);
        assert_eq!((elsewhere.members, elsewhere.tell(&name("a"))), (0, 0));
    }

    #[test]
    fn channels_have_their_turns_and_those_that_nobody_is_told_of_are_forgotten() {
        let mut elsewhere = Elsewhere::default();
        for number in 0..CHANNELS_PER_ROUND + 2 {
            elsewhere.tell(&name(&format!("c{number}")));
        }
        let first = elsewhere.begin_round(|_| TOLD);
        let second = elsewhere.begin_round(|_| TOLD);
        assert_eq!((first.len(), second.len()), (CHANNELS_PER_ROUND, CHANNELS_PER_ROUND));
        let seen: std::collections::BTreeSet<_> = first.iter().chain(&second).map(|(name, _)| name.clone()).collect();
        assert_eq!(seen.len(), CHANNELS_PER_ROUND + 2);
        let mut elsewhere = followed(&[client(2, 0)]);
        assert_eq!(elsewhere.begin_round(|_| Tells::default()), []);
        assert_eq!((elsewhere.channels.len(), elsewhere.members), (0, 0));
    }

    #[test]
    fn remembered_members_are_bounded_and_all_join_when_there_is_room() {
        let mut elsewhere = followed(&[client(2, 0)]);
        let crowd: Vec<_> = (0..=u32::try_from(MEMBERS_MAX).unwrap()).map(|slot| client(3, slot)).collect();
        assert_eq!(elsewhere.learn(&name("a"), hub(3), &crowd), News::default());
        assert_eq!(elsewhere.members, 1);
        let news = elsewhere.learn(&name("a"), hub(3), &crowd[..10]);
        assert_eq!((news.events.len(), elsewhere.members), (10, 11));
    }
}
