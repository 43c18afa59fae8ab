//! `subscribe`, `unsubscribe` and `sub_refresh`.

use super::caller::{Caller, Permission};
use super::clients::{SUBSCRIPTIONS_MAX, Subscription, Subscriptions};
use super::connect::expiry;
use super::failure::Failure;
use super::messages::reply_frame;
use super::terms::Terms;
use crate::auth::{Claims, UserId};
use crate::engine::NotSubscribed;
use crate::hub::Sink;
use crate::protocol::Publication;
use crate::protocol::centrifuge::{
    DisconnectCode, ErrorCode, Reply, ReplyBody, SubRefresh, Subscribe, SubscribeResult,
};
use crate::protocol::position::Start;
use crate::session::environment::TokenRefusal;
use crate::session::hooks::Subscription as Approved;
use crate::session::permission::Action;
use bytes::Bytes;

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
        let claims = self.subscription_claims(&request.token, &request.channel, ErrorCode::PermissionDenied.into())?;
        let approved = match self.check(Action::Subscribe, &channel, claims.is_some(), false)? {
            Permission::Given => Approved::default(),
            Permission::OfApplication => {
                self.environment.hooks().subscribe(&self.client.asker(), request).await.allowed()?
            }
        };
        let terms = Terms::new(&channel.options, request.recover.as_ref());
        let expires_at = claims.as_ref().and_then(|claims| claims.connection_expires);
        let expires = expiry(expires_at, self.environment.unix_seconds());
        let terms = terms.rejecting_unrecovered(request.rejects_unrecovered).expiring(expires);
        let format = self.client.format;
        let encode = |start: Start, publications: &mut dyn Iterator<Item = Publication>| -> Option<Bytes> {
            let result = SubscribeResult { data: approved.data.clone(), ..terms.result(start, publications)? };
            Some(reply_frame(format, &Reply { id, result: Ok(ReplyBody::Subscribe(result)) }))
        };
        let client = self.client;
        let chan_info = approved.info.or_else(|| claims.and_then(|claims| claims.info));
        let options = client.subscribe_options(&channel.options, terms.since(), chan_info);
        let subscribed = client.engine.subscribe_with(client.id, &channel.name, options, &client.budget, &encode).await;
        let subscribed = subscribed.map_err(|refusal| match refusal {
            NotSubscribed::Full(_) => ErrorCode::LimitExceeded,
            NotSubscribed::Declined => ErrorCode::UnrecoverablePosition,
            // SDKs try again after a temporary error.
            NotSubscribed::NotFollowed => ErrorCode::Internal,
        })?;
        subscriptions.add(Subscription { channel: subscribed.channel, expires_at });
        self.note_expiries(&subscriptions);
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub(super) async fn unsubscribe(&self, name: &str) -> Result<ReplyBody, Failure> {
        if name.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let mut subscriptions = self.client.subscriptions.lock().await;
        if let Some(Subscription { channel, .. }) = subscriptions.remove(name) {
            self.client.engine.unsubscribe(self.client.id, &channel).await;
            self.note_expiries(&subscriptions);
        }
        Ok(ReplyBody::Unsubscribe)
    }

    /// Moves the end of a subscription to that of a new token.
    pub(super) async fn sub_refresh(&self, request: &SubRefresh) -> Result<ReplyBody, Failure> {
        if request.channel.is_empty() || request.token.is_empty() && request.kind == 0 {
            return Err(DisconnectCode::BadRequest.into());
        }
        // Those of shared polls.
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        let mut subscriptions = self.client.subscriptions.lock().await;
        if subscriptions.find(&request.channel).is_none() {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let claims = self.subscription_claims(&request.token, &request.channel, DisconnectCode::InvalidToken.into())?;
        let expires_at = claims.and_then(|claims| claims.connection_expires);
        subscriptions.set_expiry(&request.channel, expires_at);
        self.note_expiries(&subscriptions);
        Ok(ReplyBody::SubRefresh(expiry(expires_at, self.environment.unix_seconds())))
    }

    /// Sets when the client is looked at because a subscription has expired.
    fn note_expiries(&self, subscriptions: &Subscriptions) {
        self.environment.clients().set_due(self.client.id, subscriptions.ends_at());
    }

    /// Verifies the token of a subscription, which has to be for this user and this channel. `invalid` is the answer
    /// to one that is no token of ours.
    fn subscription_claims(&self, token: &str, channel: &str, invalid: Failure) -> Result<Option<Claims>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let claims = self.environment.verify(token).map_err(|refusal| match refusal {
            TokenRefusal::Invalid(_) => invalid,
            TokenRefusal::Expired | TokenRefusal::KeyPending => refusal.into(),
        })?;
        if claims.user.as_ref().map(UserId::as_str) != self.client.user() || claims.channel.as_deref() != Some(channel)
        {
            return Err(DisconnectCode::InvalidToken.into());
        }
        Ok(Some(claims))
    }
}
