//! Server-side subscriptions: those that a backend, or the token of the client, asks for.

use super::clients::{ConnectedClient, SUBSCRIPTIONS_MAX, Subscription};
use super::connect::TokenChannel;
use super::messages::push_frame;
use super::terms::Terms;
use crate::config::ChannelOptions;
use crate::engine::NotSubscribed;
use crate::hub::{EncodeOpening, Full, Sink};
use crate::protocol::centrifuge::{Push, PushBody, StreamPosition, SubscribeResult};
use crate::protocol::position::Start;
use crate::protocol::{ChannelName, Payload, Publication};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use thiserror::Error;

/// Why a client was not subscribed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SubscribeRefusal {
    /// It has all the subscriptions that it may have.
    #[error("the client has {SUBSCRIPTIONS_MAX} subscriptions, as many as it may have; end one of them first")]
    Subscriptions,
    /// There is no place for it.
    #[error(transparent)]
    Full(#[from] Full),
    /// The hub does not follow the channel.
    #[error("the hub does not follow the channel: NATS does not answer; try again")]
    NotFollowed,
}

impl<S: Sink> ConnectedClient<S> {
    /// Subscribes the client because a backend says so, and tells it before the first publication. Does nothing if it
    /// is subscribed.
    ///
    /// # Errors
    ///
    /// [`SubscribeRefusal`] says which limit is reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future subscribes it to nothing.
    pub async fn subscribe(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        data: Option<Payload>,
    ) -> Result<(), SubscribeRefusal> {
        let terms = Terms::new(options, None);
        let encode = |start: Start, _: &mut dyn Iterator<Item = Publication>| -> Option<Bytes> {
            let body = PushBody::Subscribe(terms.push(start, data.clone()));
            Some(push_frame(self.format, &Push { channel: name.as_str().to_owned(), body }))
        };
        self.subscribe_server_side(name, options, &terms, None, &encode).await
    }

    /// Subscribes the client because its token says so, and returns what its connect is told.
    pub(super) async fn subscribe_at_connect(
        &self,
        channel: &TokenChannel,
        recover: Option<&StreamPosition>,
    ) -> Result<SubscribeResult, SubscribeRefusal> {
        let TokenChannel { name, options, info } = channel;
        let terms = Terms::new(options, recover);
        let result = Mutex::new(None);
        let encode = |start: Start, publications: &mut dyn Iterator<Item = Publication>| -> Option<Bytes> {
            *result.lock() = terms.result(start, publications);
            Some(Bytes::new())
        };
        self.subscribe_server_side(name, options, &terms, info.clone(), &encode).await?;
        Ok(result.into_inner().unwrap_or_default())
    }

    async fn subscribe_server_side(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        terms: &Terms<'_>,
        chan_info: Option<Arc<str>>,
        encode: EncodeOpening<'_>,
    ) -> Result<(), SubscribeRefusal> {
        let mut subscriptions = self.subscriptions.lock().await;
        if subscriptions.have_ended || subscriptions.find(name.as_str()).is_some() {
            return Ok(());
        }
        if subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(SubscribeRefusal::Subscriptions);
        }
        let options = self.subscribe_options(options, terms.since(), chan_info);
        match self.engine.subscribe_with(self.id, name, options, &self.budget, encode).await {
            Ok(subscribed) => subscriptions.add(Subscription { channel: subscribed.channel, expires_at: None }),
            Err(NotSubscribed::Full(full)) => return Err(full.into()),
            Err(NotSubscribed::NotFollowed) => return Err(SubscribeRefusal::NotFollowed),
            // Nothing is declined that nobody asked for.
            Err(NotSubscribed::Declined) => {}
        }
        Ok(())
    }
}
