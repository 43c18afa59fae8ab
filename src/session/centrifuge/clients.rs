//! Connected clients: the part of a client that its session and the API share, its subscriptions above all.
//!
//! Both change subscriptions under one lock that is held while they wait for the shard, so that a subscription under
//! way is made before it is ended. An index finds the client of a connection; it is in it from its connect to its end.

use super::messages::push_frame;
use crate::auth::UserId;
use crate::config::ChannelOptions;
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{Channel, Command, ConnectionId, MessageShape, Since, Sink, SubscribeOptions};
use crate::protocol::centrifuge::{DisconnectCode, Expiry, Format, Push, PushBody, UnsubscribeCode};
use crate::protocol::publication::ClientInfo;
use crate::protocol::{ChannelName, CloseReason, Encoding, Profile};
use crate::session::hooks::Asker;
use crate::session::permission::Who;
use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use tokio::sync::Mutex as AsyncMutex;

/// Seconds that a client has to send a new token once its old one has expired, as in Centrifugo.
pub const EXPIRY_GRACE: u64 = 25;

/// Most subscriptions of one client, as in Centrifugo.
pub const SUBSCRIPTIONS_MAX: usize = 128;

/// The clients that have connected, by connection.
#[derive(Debug)]
pub struct Clients<S: Sink>(Mutex<Index<S>>);

#[derive(Debug)]
struct Index<S: Sink> {
    clients: HashMap<ConnectionId, Arc<ConnectedClient<S>>>,
    /// When clients have to be looked at because a subscription has expired, in seconds since the Unix epoch.
    due: BTreeSet<(u64, ConnectionId)>,
    /// The entries of clients in `due`. Not with the others, because most clients have none.
    due_of: HashMap<ConnectionId, u64>,
}

impl<S: Sink> Index<S> {
    fn set_due(&mut self, id: ConnectionId, at: Option<u64>) {
        let before = match at {
            Some(at) => self.due_of.insert(id, at),
            None => self.due_of.remove(&id),
        };
        if let Some(before) = before {
            self.due.remove(&(before, id));
        }
        self.due.extend(at.map(|at| (at, id)));
    }
}

/// A client that has said who it is.
#[derive(Debug)]
pub struct ConnectedClient<S: Sink> {
    pub(super) engine: Engine<S>,
    pub(super) id: ConnectionId,
    pub(super) format: Format,
    /// Pays for the replies and pushes that wait for it.
    pub(super) budget: ReplyBudget,
    /// Headers of its handshake that the application gets.
    pub(super) headers: Box<[(String, Bytes)]>,
    /// The channels that its token names.
    pub(super) token_channels: Box<[String]>,
    /// What its publications say of it, from the first of them on.
    pub(super) publisher: OnceLock<Arc<ClientInfo>>,
    /// What others in a channel may know of it; `None` for an anonymous one.
    pub(super) info: Option<Arc<Profile>>,
    pub(super) subscriptions: AsyncMutex<Subscriptions>,
}

/// The subscriptions of a client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// One without an allocation: many clients have no more.
    all: SmallVec<[Subscription; 1]>,
    /// The session has ended: nothing may be added any more.
    pub(super) have_ended: bool,
}

/// A subscription of a client.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Arc<Channel>,
    /// When its token expires, in seconds since the Unix epoch; `None` without one.
    pub(super) expires_at: Option<u64>,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the subscription to a channel. There are few of them.
    pub(super) fn find(&self, name: &str) -> Option<&Subscription> {
        self.all.iter().find(|one| one.channel.name().as_str() == name)
    }

    pub(super) fn add(&mut self, subscription: Subscription) {
        self.all.push(subscription);
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Subscription> {
        let at = self.all.iter().position(|one| one.channel.name().as_str() == name)?;
        Some(self.all.swap_remove(at))
    }

    pub(super) fn set_expiry(&mut self, name: &str, at: Option<u64>) {
        let known = self.all.iter_mut().find(|one| one.channel.name().as_str() == name);
        known.into_iter().for_each(|one| one.expires_at = at);
    }

    /// Returns when the first of them has expired and had its grace; `None` if none does.
    pub(super) fn ends_at(&self) -> Option<u64> {
        self.all.iter().filter_map(|one| one.expires_at).min().map(|at| at.saturating_add(EXPIRY_GRACE))
    }

    fn end(&mut self) -> SmallVec<[Subscription; 1]> {
        self.have_ended = true;
        std::mem::take(&mut self.all)
    }
}

impl<S: Sink> ConnectedClient<S> {
    /// Returns who it is.
    pub(super) fn who(&self) -> Who<'_> {
        self.user().map_or(Who::Anonymous, |user| Who::Authenticated { user })
    }

    /// Returns its user; `None` for an anonymous one.
    pub(super) fn user(&self) -> Option<&str> {
        self.profile().user.as_deref()
    }

    /// Returns the client as the application is asked about it.
    pub fn asker(&self) -> Asker {
        let (id, user, headers) = (self.id, self.user().and_then(UserId::new), self.headers.to_vec());
        Asker { id, user, format: Some(self.format), headers }
    }

    /// Returns what its publications say of it.
    pub(super) fn publisher(&self) -> Arc<ClientInfo> {
        let known = || Arc::new(ClientInfo::of(&self.id.to_string(), self.profile()));
        Arc::clone(self.publisher.get_or_init(known))
    }

    fn profile(&self) -> &Profile {
        self.info.as_deref().unwrap_or(&Profile::ANONYMOUS)
    }

    /// Returns the id of its connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Returns how it subscribes to a channel with these options. `chan_info` is what others there may know of it.
    pub(super) fn subscribe_options(
        &self,
        channel: &Arc<ChannelOptions>,
        since: Since,
        chan_info: Option<Arc<str>>,
    ) -> SubscribeOptions {
        let info = match chan_info {
            None => self.info.clone(),
            chan_info => Some(Arc::new(Profile { chan_info, ..self.profile().clone() })),
        };
        SubscribeOptions {
            since,
            shape: MessageShape { encoding: Encoding::Centrifuge(self.format), ..MessageShape::default() },
            channel: Arc::clone(channel),
            now: 0,
            bytes_max: self.engine.hub().limits().outbox_bytes_max,
            // Where nobody can ask for it, nobody keeps it.
            info: info.filter(|_| channel.options.presence),
        }
    }

    /// Sends a frame of replies as soon as it may wait for the client.
    pub(super) async fn reply(&self, frame: Bytes) {
        self.engine.reply(self.id, frame, &self.budget).await;
    }

    /// Ends a subscription because a backend says so, and tells the client.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the client subscribed, or unsubscribed and not told of it.
    pub async fn unsubscribe(&self, name: &ChannelName) {
        let mut subscriptions = self.subscriptions.lock().await;
        let Some(Subscription { channel, .. }) = subscriptions.find(name.as_str()) else { return };
        self.engine.unsubscribe(self.id, channel).await;
        subscriptions.remove(name.as_str());
        self.push(name.as_str(), PushBody::Unsubscribe(UnsubscribeCode::Server.into())).await;
    }

    /// Closes the client if a subscription has expired. One whose subscriptions change at the moment is not waited for:
    /// it may take as long as its socket does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the client open.
    pub async fn close_if_expired(&self, now: u64, clients: &Clients<S>) {
        let Ok(subscriptions) = self.subscriptions.try_lock() else { return };
        let ends_at = subscriptions.ends_at();
        if ends_at.is_some_and(|at| at <= now) {
            let reason = CloseReason::Centrifuge(DisconnectCode::SubscriptionExpired);
            self.engine.hub().inbox(self.id.shard()).send(Command::Close { id: self.id, reason }).await;
        }
        clients.set_due(self.id, ends_at);
    }

    /// Tells the client when its token ends now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future tells it nothing.
    pub async fn tell_expiry(&self, expiry: Option<Expiry>) {
        self.push("", PushBody::Refresh(expiry)).await;
    }

    async fn push(&self, channel: &str, body: PushBody) {
        let frame = push_frame(self.format, &Push { channel: channel.to_owned(), body });
        self.reply(frame).await;
    }

    /// Ends all subscriptions with the session.
    pub(super) async fn end(&self) {
        for Subscription { channel, .. } in self.subscriptions.lock().await.end() {
            self.engine.leave(self.id, &channel);
        }
    }
}

impl<S: Sink> Clients<S> {
    /// Returns the client of a connection, if it speaks this protocol and is connected.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<ConnectedClient<S>>> {
        self.0.lock().clients.get(&id).map(Arc::clone)
    }

    pub(super) fn add(&self, client: &Arc<ConnectedClient<S>>) {
        self.0.lock().clients.insert(client.id, Arc::clone(client));
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        let index = &mut *self.0.lock();
        index.clients.remove(&id);
        index.set_due(id, None);
    }

    /// Sets when a client has to be looked at, if it is there.
    pub fn set_due(&self, id: ConnectionId, at: Option<u64>) {
        let index = &mut *self.0.lock();
        if index.clients.contains_key(&id) {
            index.set_due(id, at);
        }
    }

    /// Returns the clients that have to be looked at.
    pub fn due(&self, now: u64) -> Vec<Arc<ConnectedClient<S>>> {
        let index = self.0.lock();
        let due = index.due.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, id)| index.clients.get(id)).map(Arc::clone).collect()
    }
}

impl<S: Sink> Default for Clients<S> {
    fn default() -> Self {
        Self(Mutex::new(Index { clients: HashMap::new(), due: BTreeSet::new(), due_of: HashMap::new() }))
    }
}
