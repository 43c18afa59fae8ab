//! `subscribe` and `unsubscribe`.

use super::caller::{Caller, NamedChannel, Permission};
use super::clients::{SUBSCRIPTIONS_MAX, Subscription};
use super::failure::Failure;
use super::messages::reply_frame;
use crate::auth::Claims;
use crate::engine::NotSubscribed;
use crate::hub::{HistoryOptions, MessageShape, Since, Sink, SubscribeOptions};
use crate::protocol::centrifuge::{
    DisconnectCode, ErrorCode, Reply, ReplyBody, StreamPosition, Subscribe, SubscribeResult,
};
use crate::protocol::position::Start;
use crate::protocol::{ClientInfo, Encoding, Epoch, Payload, Position, Publication};
use crate::session::hooks::Subscription as Approved;
use crate::session::permission::Action;
use bytes::Bytes;
use std::sync::Arc;

/// What the reply to a subscription says besides where it begins.
#[derive(Clone, Copy, Debug)]
struct Terms<'a> {
    is_recoverable: bool,
    is_positioned: bool,
    /// The position that the client wants to recover from.
    recover: Option<&'a StreamPosition>,
    /// An incomplete recovery is an error.
    rejects_unrecovered: bool,
    /// Of the application.
    data: Option<&'a Payload>,
}

impl<S: Sink> Caller<'_, S> {
    /// Subscribes the client. Its reply goes the way of the subscription, before the first publication.
    pub(super) async fn subscribe(&self, id: u32, request: &Subscribe) -> Result<(), Failure> {
        let channel = self.channel(&request.channel)?;
        // Maps and shared polls, and filters, which must not be left out silently.
        if request.kind != 0 || request.has_filter {
            return Err(ErrorCode::NotAvailable.into());
        }
        let mut subscriptions = self.client.subscriptions.lock().await;
        if subscriptions.find(&request.channel).is_some() {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let claims = self.subscription_claims(&request.token, &request.channel)?;
        let approved = match self.check(Action::Subscribe, &channel, claims.is_some(), false)? {
            Permission::Given => Approved::default(),
            Permission::OfApplication => {
                self.environment.hooks().subscribe(&self.client.asker(), request).await.allowed()?
            }
        };
        let chan_info = approved.info.or_else(|| claims.and_then(|claims| claims.info));
        let options = &channel.options.options;
        let has_history = HistoryOptions::of(&channel.options).is_on();
        let is_recoverable = has_history && options.recovery;
        let terms = Terms {
            is_recoverable,
            is_positioned: has_history && (options.positioning || options.recovery),
            recover: request.recover.as_ref().filter(|_| is_recoverable),
            rejects_unrecovered: request.rejects_unrecovered,
            data: approved.data.as_ref(),
        };
        let format = self.client.format;
        let encode = |start: Start, publications: &mut dyn Iterator<Item = Publication>| -> Option<Bytes> {
            let result = terms.result(start, publications)?;
            Some(reply_frame(format, &Reply { id, result: Ok(ReplyBody::Subscribe(result)) }))
        };
        let options = self.subscribe_options(&channel, terms.since(), chan_info);
        let client = self.client;
        let subscribed = client.engine.subscribe_with(client.id, &channel.name, options, &client.budget, &encode).await;
        let subscribed = subscribed.map_err(|refusal| match refusal {
            NotSubscribed::Full(_) => ErrorCode::LimitExceeded,
            NotSubscribed::Declined => ErrorCode::UnrecoverablePosition,
        })?;
        subscriptions.add(Subscription { channel: subscribed.channel });
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub(super) async fn unsubscribe(&self, name: &str) -> Result<ReplyBody, Failure> {
        if name.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let mut subscriptions = self.client.subscriptions.lock().await;
        if let Some(Subscription { channel }) = subscriptions.remove(name) {
            self.client.engine.unsubscribe(self.client.id, &channel).await;
        }
        Ok(ReplyBody::Unsubscribe)
    }

    /// Verifies the token of a subscription, which has to be for this user and this channel.
    fn subscription_claims(&self, token: &str, channel: &str) -> Result<Option<Claims>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let claims = self.environment.verify(token)?;
        if claims.user != self.client.user || claims.channel.as_deref() != Some(channel) {
            return Err(DisconnectCode::InvalidToken.into());
        }
        Ok(Some(claims))
    }

    fn subscribe_options(&self, channel: &NamedChannel, since: Since, chan_info: Option<Arc<str>>) -> SubscribeOptions {
        let encoding = Encoding::Centrifuge(self.client.format);
        let info = match chan_info {
            None => self.client.info.clone(),
            chan_info => {
                let known = self.client.info.as_deref().unwrap_or(&ClientInfo::ANONYMOUS);
                Some(Arc::new(ClientInfo { chan_info, ..known.clone() }))
            }
        };
        SubscribeOptions {
            since,
            shape: MessageShape { encoding, ..MessageShape::default() },
            channel: Arc::clone(&channel.options),
            now: 0,
            bytes_max: self.client.engine.hub().limits().outbox_bytes_max,
            info: info.filter(|_| channel.options.options.presence),
        }
    }
}

impl Terms<'_> {
    fn since(&self) -> Since {
        let Some(StreamPosition { epoch, offset }) = self.recover else { return Since::Now };
        if epoch.is_empty() {
            return Since::Offset(*offset);
        }
        // An epoch that is not one of ours is never the one of a channel.
        let epoch = Epoch::parse(epoch).unwrap_or(Epoch::UNKNOWN);
        Since::After { position: Position { epoch, offset: *offset }, or_newest: 0 }
    }

    /// Returns what the client is told; `None` if it does not want to begin like that.
    fn result(&self, start: Start, publications: &mut dyn Iterator<Item = Publication>) -> Option<SubscribeResult> {
        let recovered = start.is_recovered == Some(true);
        if self.recover.is_some() && !recovered && self.rejects_unrecovered {
            return None;
        }
        let (epoch, top) = start.position.map_or((String::new(), 0), |at| (at.epoch.to_string(), at.offset));
        Some(SubscribeResult {
            expires: None,
            recoverable: self.is_recoverable,
            positioned: self.is_positioned,
            epoch,
            // Its own position: the publications lead from there to the top.
            offset: self.recover.filter(|_| recovered).map_or(top, |recover| recover.offset),
            was_recovering: self.recover.is_some(),
            recovered,
            publications: publications.collect(),
            data: self.data.cloned(),
        })
    }
}
