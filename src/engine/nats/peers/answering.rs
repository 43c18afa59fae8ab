//! Answering: what this hub says to an ask of another.

use super::message::{
    self, Answer, Ask, Body, ChannelCount, ChannelList, ChannelsAsk, Digest, DigestList, DigestsAsk, MESSAGE_BYTES_MAX,
    Member, MemberList, Outcome, PARTS_MAX, PeerCommand, PeerStage, Question, UserList,
};
use crate::engine::merged::{UserCount, matching_channels};
use crate::hub::{Hub, HubId, Sink};
use crate::protocol::ChannelName;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Most channels in one answer, whatever the ask says: one more than the API lists.
const CHANNELS_MAX: usize = 10_001;

/// Users of one part of an answer, 8 bytes each.
const USERS_PER_PART: usize = MESSAGE_BYTES_MAX / 8 - 32;

/// Longest time that an ask may give: nobody waits for longer.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What the layers above the engine tell other hubs of this one, and do for them.
pub trait LocalHub: fmt::Debug + Send + Sync {
    /// Returns how far this hub is on its way to the end.
    fn stage(&self) -> PeerStage;

    /// Returns where clients reach this hub, as it is configured.
    fn addresses(&self) -> Vec<String>;

    /// Carries out a command of a backend on the connections of this hub, within `wait`.
    fn carry_out(&self, command: PeerCommand, wait: Duration) -> CarriedOut<'_>;
}

/// What comes of a command.
pub type CarriedOut<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Returns the parts of the answer to an ask.
pub(super) async fn answer<S: Sink>(hub: &Hub<S>, own: HubId, local: &dyn LocalHub, ask: Ask) -> Vec<Answer> {
    let wait = Duration::from_millis(ask.wait_millis.into()).min(WAIT_MAX);
    let (bodies, omitted) = match ask.question {
        Some(Question::Presence(name)) => members(hub, &name),
        Some(Question::PresenceStats(name)) => users(hub, &name),
        Some(Question::Channels(ask)) => channels(hub, ask).await,
        Some(Question::Command(command)) => (vec![Some(Body::Outcome(local.carry_out(command, wait).await))], 0),
        Some(Question::Digests(ask)) => digests(hub, ask),
        // One of a newer hub.
        None => (vec![None], 0),
    };
    let last = bodies.len() - 1;
    let part = |(number, body)| Answer {
        hub: own.get(),
        part: u32::try_from(number).unwrap_or(u32::MAX),
        is_last: number == last,
        omitted: if number == last { omitted } else { 0 },
        body,
    };
    bodies.into_iter().enumerate().map(part).collect()
}

fn members<S: Sink>(hub: &Hub<S>, name: &str) -> (Vec<Option<Body>>, u64) {
    let members = ChannelName::parse(name).map(|name| hub.presence(&name)).unwrap_or_default();
    let known = members.known.iter().map(|one| Member::new(hub.client_id(one.id).to_string(), one.info()));
    let (parts, omitted) = message::split(known.collect());
    // Once, whatever the number of parts.
    let unknown = std::iter::once(members.unknown).chain(std::iter::repeat(0));
    let body = |(members, unknown)| Some(Body::Members(MemberList { members, unknown }));
    (parts.into_iter().zip(unknown).map(body).collect(), omitted)
}

fn users<S: Sink>(hub: &Hub<S>, name: &str) -> (Vec<Option<Body>>, u64) {
    let members = ChannelName::parse(name).map(|name| hub.presence(&name)).unwrap_or_default();
    let UserCount { clients, users } = UserCount::of(&members);
    let users: Vec<_> = users.into_iter().collect();
    let omitted = users.len().saturating_sub(USERS_PER_PART * PARTS_MAX);
    let clients = std::iter::once(clients).chain(std::iter::repeat(0));
    let parts = users.chunks(USERS_PER_PART).take(PARTS_MAX).map(<[u64]>::to_vec);
    // Nobody is an answer too.
    let parts = parts.chain(users.is_empty().then(Vec::new));
    let body = |(users, clients)| Some(Body::Users(UserList { clients, users }));
    (parts.zip(clients).map(body).collect(), omitted as u64)
}

/// Returns the digests of those channels that have subscribers.
fn digests<S: Sink>(hub: &Hub<S>, ask: DigestsAsk) -> (Vec<Option<Body>>, u64) {
    let digests = ask.channels.into_iter().filter_map(|channel| {
        let name = ChannelName::parse(&channel.name).ok()?;
        let (clients, members) = if channel.has_events {
            hub.digest(&name)
        } else {
            (hub.directory().get(&name).map_or(0, |channel| channel.subscribers()), 0)
        };
        (clients > 0).then_some(Digest { name: channel.name, clients, members })
    });
    let (parts, omitted) = message::split(digests.collect());
    let body = |digests| Some(Body::Digests(DigestList { digests }));
    (parts.into_iter().map(body).collect(), omitted)
}

async fn channels<S: Sink>(hub: &Hub<S>, ask: ChannelsAsk) -> (Vec<Option<Body>>, u64) {
    let max = usize::try_from(ask.limit).unwrap_or(CHANNELS_MAX).min(CHANNELS_MAX);
    let hub = hub.clone();
    // A hub has up to a million channels, and a worker has sockets to serve.
    let listed = spawn_blocking(move || matching_channels(&hub, &ask.pattern, max));
    // An error would be a panic, or the end of the runtime.
    let (counts, _) = listed.await.unwrap_or_default();
    let counts = counts.into_iter().map(|(name, clients)| ChannelCount { name, clients });
    let (parts, omitted) = message::split(counts.collect());
    let body = |channels| Some(Body::Channels(ChannelList { channels }));
    (parts.into_iter().map(body).collect(), omitted)
}
