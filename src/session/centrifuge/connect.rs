//! `connect`: who a client is, and how its connection goes on.

use super::clients::{ConnectedClient, EXPIRY_GRACE, Known, SUBSCRIPTIONS_MAX, Subscriptions};
use super::failure::Failure;
use crate::config::{ChannelOptions, HookName};
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::ChannelName;
use crate::protocol::centrifuge::{Connect, ConnectResult, DisconnectCode, ErrorCode, Expiry, Format};
use crate::session::environment::Environment;
use crate::session::hooks::{Asker, Subscription};
use crate::session::identified::Identified;
use crate::session::users::{Identity, UserPermit};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// A client that is let in.
#[derive(Debug)]
pub(super) struct Admitted<S: Sink> {
    pub(super) client: Arc<ConnectedClient<S>>,
    /// Counts for its user until the connection is gone; `None` for a client without a token.
    pub(super) permit: Option<UserPermit>,
    pub(super) result: ConnectResult,
    /// The subscriptions that its token, or the application, asks for.
    pub(super) channels: Vec<TokenChannel>,
}

/// A channel that a token, or the application, subscribes its client to.
#[derive(Debug)]
pub(super) struct TokenChannel {
    pub(super) name: ChannelName,
    pub(super) options: Arc<ChannelOptions>,
    /// What is said of it.
    pub(super) subscription: Subscription,
    /// When it ends unless it is renewed, in seconds since 1970.
    pub(super) ends_at: Option<u64>,
}

/// Lets a client in.
pub(super) async fn connect<S: Sink>(
    engine: &Engine<S>,
    environment: &dyn Environment<S>,
    format: Format,
    asker: Asker,
    request: &Connect,
) -> Result<Admitted<S>, Failure> {
    let id = asker.client.connection;
    let mut identified = identify(environment, &asker, request).await?;
    if environment.has_personal_channels() {
        identified.add_personal_channel();
    }
    let channels = token_channels(environment, &identified.channels)?;
    // The application is asked when it expires; otherwise the client sends a new token, for which it has some time.
    let is_asked = environment.hooks().has(HookName::Refresh, None);
    let grace = if is_asked { 0 } else { EXPIRY_GRACE };
    let permit = identified.is_known.then(|| admit(environment, id, &identified, grace)).transpose()?;
    let expires_at = identified.expires_at.filter(|_| !is_asked);
    let result = ConnectResult {
        client: asker.client.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        expires: expiry(expires_at, environment.unix_seconds()),
        data: identified.data.take(),
        subs: Vec::new(),
        ping: whole_seconds(engine.hub().limits().ping_interval),
        pong: true,
    };
    let client = Arc::new(new_client(engine.clone(), format, asker, identified));
    Ok(Admitted { client, permit, result, channels })
}

/// Finds out who a client is: by its token, or else by asking the application.
async fn identify<S: Sink>(
    environment: &dyn Environment<S>,
    asker: &Asker,
    request: &Connect,
) -> Result<Identified, Failure> {
    if !request.token.is_empty() {
        return Ok(environment.verify(&request.token)?.into());
    }
    if environment.hooks().has(HookName::Connect, None) {
        return Ok(environment.hooks().connect(asker, request).await.allowed()?.into());
    }
    if environment.is_token_required() { Err(DisconnectCode::BadRequest.into()) } else { Ok(Identified::default()) }
}

/// Returns the channels that a client is subscribed to as it connects.
fn token_channels<S: Sink>(
    environment: &dyn Environment<S>,
    channels: &[(String, Subscription)],
) -> Result<Vec<TokenChannel>, Failure> {
    if channels.len() > SUBSCRIPTIONS_MAX {
        return Err(ErrorCode::LimitExceeded.into());
    }
    let namespaces = environment.namespaces();
    let channel = |(name, subscription): &(String, Subscription)| -> Result<TokenChannel, Failure> {
        let known = ChannelName::parse(name).map_err(|_| ErrorCode::BadRequest)?;
        let options = namespaces.of(name).map_err(|_| ErrorCode::UnknownChannel)?;
        let ends_at = subscription_end(environment, name, subscription.expires_at);
        Ok(TokenChannel { name: known, options: Arc::clone(options), subscription: subscription.clone(), ends_at })
    };
    // A channel may be named twice: as one of `channels` and of `subs`, or as that of the user.
    let is_first = |at: usize| channels[..at].iter().all(|(name, _)| *name != channels[at].0);
    channels.iter().enumerate().filter(|(at, _)| is_first(*at)).map(|(_, one)| channel(one)).collect()
}

/// Returns when a subscription ends that expires at this time: with a grace if the client renews it, and at once if the
/// application is asked.
pub(super) fn subscription_end<S: Sink>(
    environment: &dyn Environment<S>,
    channel: &str,
    expires_at: Option<u64>,
) -> Option<u64> {
    let is_asked = environment.hooks().has(HookName::SubRefresh, Some(channel));
    expires_at.map(|at| at.saturating_add(if is_asked { 0 } else { EXPIRY_GRACE }))
}

/// Returns what a client is told of a time at which it expires.
pub fn expiry(at: Option<u64>, now: u64) -> Option<Expiry> {
    let ttl = |at: u64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
    at.map(|at| Expiry { ttl: ttl(at) })
}

fn new_client<S: Sink>(engine: Engine<S>, format: Format, asker: Asker, identified: Identified) -> ConnectedClient<S> {
    let profile = identified.profile(None);
    let Identified { channels, meta, .. } = identified;
    ConnectedClient {
        engine,
        id: asker.client.connection,
        format,
        budget: ReplyBudget::default(),
        headers: asker.headers.into(),
        token_channels: channels.into_iter().map(|(name, _)| name).collect(),
        user: profile.user.clone(),
        known: Mutex::new(Known::new(profile, meta)),
        subscriptions: AsyncMutex::new(Subscriptions::default()),
    }
}

/// Counts the connection for its user. It ends so many seconds after it has expired.
fn admit<S: Sink>(
    environment: &dyn Environment<S>,
    id: ConnectionId,
    identified: &Identified,
    grace: u64,
) -> Result<UserPermit, Failure> {
    let expires_at = identified.expires_at.map(|at| at.saturating_add(grace));
    let identity = Identity { user: identified.user.clone(), expires_at, asker: None };
    let admitted = environment.users().admit(id, identity, environment.connections_per_user_max());
    admitted.ok_or_else(|| DisconnectCode::ConnectionLimit.into())
}

fn whole_seconds(interval: Duration) -> u32 {
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
