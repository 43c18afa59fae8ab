//! A round: the hubs are asked how many, and who, are in the channels whose subscribers here are told of others.

use super::collector::Collected;
use super::elsewhere::{Digested, News};
use super::message::{self, Body, DigestsAsk, Question, ToldChannel};
use super::{Peers, Route};
use crate::engine::merged::PresentClient;
use crate::hub::channel::Tells;
use crate::hub::{Hub, HubId, Sink};
use crate::protocol::ChannelName;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap};

/// Most lists of members that are fetched at the same time.
const FETCHES_MAX: usize = 16;

/// What has to be told of channels.
type AllNews = Vec<(ChannelName, News)>;

impl Peers {
    /// Adds a channel whose subscribers are told of others, and returns how many are elsewhere.
    pub(in crate::engine::nats) fn tell_of(&self, name: &ChannelName) -> u32 {
        self.elsewhere.lock().tell(name)
    }

    /// Takes who is in a channel elsewhere as those who were there when somebody here asked.
    pub(super) fn begin_elsewhere(&self, name: &ChannelName, collected: &Collected) {
        let elsewhere = &mut *self.elsewhere.lock();
        for (id, present) in present_by_hub(collected).into_iter().filter(|_| collected.omitted == 0) {
            elsewhere.begin(name, id, &present);
        }
    }

    /// Asks the other hubs, and returns what has to be told.
    pub(in crate::engine::nats) async fn round<S: Sink>(&self, route: Route<'_>, hub: &Hub<S>) -> AllNews {
        let live: Vec<_> = self.registry.lock().live().map(|peer| peer.id).collect();
        let tells = |name: &ChannelName| hub.directory().get(name).map(|channel| channel.tells()).unwrap_or_default();
        let (mut news, round) = {
            let mut elsewhere = self.elsewhere.lock();
            (elsewhere.keep_only(&live), elsewhere.begin_round(tells))
        };
        let told = round.iter().map(|(name, tells)| ToldChannel { name: name.to_string(), has_events: tells.events });
        // All fit: a round has at most as many as one answer.
        let (parts, _) = message::split(told.collect());
        let mut rest = round.as_slice();
        for channels in parts {
            let (these, others) = rest.split_at(channels.len());
            rest = others;
            if !these.is_empty() {
                self.ask_part(route, these, channels, &mut news).await;
            }
        }
        news
    }

    /// Asks about some of the channels of a round.
    async fn ask_part(
        &self,
        route: Route<'_>,
        round: &[(ChannelName, Tells)],
        channels: Vec<ToldChannel>,
        news: &mut AllNews,
    ) {
        let collected = self.gather(route, None, Question::Digests(DigestsAsk { channels })).await;
        let is_whole = collected.missing.is_empty() && collected.omitted == 0;
        let digests = digests_by_hub(collected);
        let mut fetches = Vec::new();
        for (name, tells) in round {
            for (id, of_hub) in &digests {
                let digest = of_hub.get(name.as_str()).copied().unwrap_or_default();
                let digested = self.elsewhere.lock().digest(name, *id, *tells, digest);
                news.push(match digested {
                    Digested::Done(news) => (name.clone(), news),
                    Digested::Fetch(news) => {
                        fetches.push((name.clone(), *id));
                        (name.clone(), news)
                    }
                });
            }
        }
        let fetched = stream::iter(fetches).map(|(name, id)| self.fetch(route, name, id)).buffer_unordered(FETCHES_MAX);
        let fetched: Vec<_> = fetched.collect().await;
        if is_whole && fetched.iter().all(Option::is_some) {
            let elsewhere = &mut *self.elsewhere.lock();
            round.iter().for_each(|(name, _)| elsewhere.end_round(name));
        }
        news.extend(fetched.into_iter().flatten());
        news.retain(|(_, news)| *news != News::default());
    }

    /// Fetches who is in a channel on a hub; `None` if it does not say so completely: the next round tries again.
    async fn fetch(&self, route: Route<'_>, name: ChannelName, id: HubId) -> Option<(ChannelName, News)> {
        let collected = self.gather(route, Some(id), Question::Presence(name.to_string())).await;
        let present = present_by_hub(&collected).remove(&id).filter(|_| collected.omitted == 0)?;
        let news = self.elsewhere.lock().learn(&name, id, &present);
        Some((name, news))
    }
}

/// Returns who is in a channel on each hub that has answered completely.
fn present_by_hub(collected: &Collected) -> BTreeMap<HubId, Vec<PresentClient>> {
    let mut hubs = BTreeMap::<_, Vec<_>>::new();
    for (id, body) in &collected.bodies {
        if let Body::Members(list) = body
            && !collected.missing.contains(id)
        {
            let present = list.members.iter();
            let present = present.map(|one| PresentClient { client: one.client.clone(), info: one.info() });
            hubs.entry(*id).or_default().extend(present);
        }
    }
    hubs
}

/// Returns the digests of each hub that has answered completely, by channel.
fn digests_by_hub(collected: Collected) -> BTreeMap<HubId, HashMap<String, (u32, u64)>> {
    let mut hubs = BTreeMap::<_, HashMap<_, _>>::new();
    for (id, body) in collected.bodies {
        if let Body::Digests(list) = body
            && !collected.missing.contains(&id)
        {
            let digests = list.digests.into_iter().map(|digest| (digest.name, (digest.clients, digest.members)));
            hubs.entry(id).or_default().extend(digests);
        }
    }
    hubs
}
