//! Connected clients: the part of a client that its session and the API share, its subscriptions above all.
//!
//! Both change subscriptions under one lock that is held while they wait for the shard, so that a subscription under
//! way is made before it is ended. An index finds the client of a connection; it is in it from its connect to its end.

use super::messages::push_frame;
use crate::auth::UserId;
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{Channel, ConnectionId, Sink};
use crate::protocol::centrifuge::{Expiry, Format, Push, PushBody, UnsubscribeCode};
use crate::protocol::publication::ClientInfo as Publisher;
use crate::protocol::{ChannelName, ClientInfo};
use crate::session::hooks::Asker;
use crate::session::permission::Who;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex as AsyncMutex;

/// Most subscriptions of one client, as in Centrifugo.
pub const SUBSCRIPTIONS_MAX: usize = 128;

/// The clients that have connected, by connection.
#[derive(Debug)]
pub struct Clients<S: Sink>(Mutex<HashMap<ConnectionId, Arc<ConnectedClient<S>>>>);

/// A client that has said who it is.
#[derive(Debug)]
pub struct ConnectedClient<S: Sink> {
    pub(super) engine: Engine<S>,
    pub(super) id: ConnectionId,
    pub(super) format: Format,
    /// Pays for the replies and pushes that wait for it.
    pub(super) budget: ReplyBudget,
    pub(super) user: Option<UserId>,
    /// Headers of its handshake that the application gets.
    pub(super) headers: Vec<(String, Bytes)>,
    /// The channels that its token names.
    pub(super) token_channels: Vec<String>,
    /// What its publications say of it.
    pub(super) publisher: Arc<Publisher>,
    /// What others in a channel may know of it; `None` for an anonymous one.
    pub(super) info: Option<Arc<ClientInfo>>,
    pub(super) subscriptions: AsyncMutex<Subscriptions>,
}

/// The subscriptions of a client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    /// The session has ended: nothing may be added any more.
    pub(super) have_ended: bool,
}

/// A subscription of a client.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Arc<Channel>,
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

    fn end(&mut self) -> Vec<Subscription> {
        self.have_ended = true;
        std::mem::take(&mut self.all)
    }
}

impl<S: Sink> ConnectedClient<S> {
    /// Returns who it is.
    pub(super) fn who(&self) -> Who<'_> {
        self.user.as_ref().map_or(Who::Anonymous, |user| Who::Authenticated { user: user.as_str() })
    }

    /// Returns the client as the application is asked about it.
    pub fn asker(&self) -> Asker {
        let (id, user, headers) = (self.id, self.user.clone(), self.headers.clone());
        Asker { id, user, format: Some(self.format), headers }
    }

    /// Returns the id of its connection.
    pub fn id(&self) -> ConnectionId {
        self.id
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
        let Some(Subscription { channel }) = subscriptions.find(name.as_str()) else { return };
        self.engine.unsubscribe(self.id, channel).await;
        subscriptions.remove(name.as_str());
        self.push(name.as_str(), PushBody::Unsubscribe(UnsubscribeCode::Server.into())).await;
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
        for Subscription { channel } in self.subscriptions.lock().await.end() {
            self.engine.leave(self.id, &channel);
        }
    }
}

impl<S: Sink> Clients<S> {
    /// Returns the client of a connection, if it speaks this protocol and is connected.
    pub fn find(&self, id: ConnectionId) -> Option<Arc<ConnectedClient<S>>> {
        self.0.lock().get(&id).map(Arc::clone)
    }

    pub(super) fn add(&self, client: &Arc<ConnectedClient<S>>) {
        self.0.lock().insert(client.id, Arc::clone(client));
    }

    pub(super) fn remove(&self, id: ConnectionId) {
        self.0.lock().remove(&id);
    }
}

impl<S: Sink> Default for Clients<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
