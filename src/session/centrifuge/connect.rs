//! `connect`: who a client is, and how its connection goes on.

use super::clients::{ConnectedClient, EXPIRY_GRACE, SUBSCRIPTIONS_MAX, Subscriptions};
use super::failure::Failure;
use crate::auth::{Claims, UserId};
use crate::config::ChannelOptions;
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::centrifuge::{Connect, ConnectResult, DisconnectCode, ErrorCode, Expiry, Format};
use crate::protocol::publication::ClientInfo as Publisher;
use crate::protocol::{ChannelName, ClientInfo};
use crate::session::environment::Environment;
use crate::session::users::{Identity, UserPermit};
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
    /// The subscriptions that its token asks for.
    pub(super) channels: Vec<TokenChannel>,
}

/// A channel that a token subscribes its client to.
#[derive(Debug)]
pub(super) struct TokenChannel {
    pub(super) name: ChannelName,
    pub(super) options: Arc<ChannelOptions>,
    /// What others there may know of the client.
    pub(super) info: Option<Arc<str>>,
}

/// Lets a client in.
pub(super) fn connect<S: Sink>(
    engine: &Engine<S>,
    environment: &dyn Environment<S>,
    id: ConnectionId,
    format: Format,
    request: &Connect,
) -> Result<Admitted<S>, Failure> {
    let claims = match request.token.as_str() {
        "" if environment.is_token_required() => return Err(DisconnectCode::BadRequest.into()),
        "" => None,
        token => Some(environment.verify(token)?),
    };
    let channels = claims.as_ref().map_or(Ok(Vec::new()), |claims| token_channels(environment, claims))?;
    let permit = claims.as_ref().map(|claims| admit(environment, id, claims)).transpose()?;
    let expires_at = claims.as_ref().and_then(|claims| claims.connection_expires);
    let result = ConnectResult {
        client: id.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        expires: expiry(expires_at, environment.unix_seconds()),
        data: None,
        subs: Vec::new(),
        ping: whole_seconds(engine.hub().limits().ping_interval),
        pong: true,
    };
    let client = Arc::new(new_client(engine.clone(), id, format, claims));
    Ok(Admitted { client, permit, result, channels })
}

/// Returns the channels that a token subscribes its client to.
fn token_channels<S: Sink>(environment: &dyn Environment<S>, claims: &Claims) -> Result<Vec<TokenChannel>, Failure> {
    if claims.channels.len() > SUBSCRIPTIONS_MAX {
        return Err(ErrorCode::LimitExceeded.into());
    }
    let namespaces = environment.namespaces();
    let channel = |name: &String| -> Result<TokenChannel, Failure> {
        let known = ChannelName::parse(name).map_err(|_| ErrorCode::BadRequest)?;
        let options = namespaces.of(name).map_err(|_| ErrorCode::UnknownChannel)?;
        Ok(TokenChannel { name: known, options: Arc::clone(options), info: claims.channel_info(name) })
    };
    claims.channels.iter().map(channel).collect()
}

/// Returns what a client is told of a time at which it expires.
pub fn expiry(at: Option<u64>, now: u64) -> Option<Expiry> {
    let ttl = |at: u64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
    at.map(|at| Expiry { ttl: ttl(at) })
}

fn new_client<S: Sink>(
    engine: Engine<S>,
    id: ConnectionId,
    format: Format,
    claims: Option<Claims>,
) -> ConnectedClient<S> {
    let user = claims.as_ref().and_then(|claims| claims.user.clone());
    let conn_info = claims.as_ref().and_then(|claims| claims.info.clone());
    let info = ClientInfo { user: user.as_ref().map(UserId::shared), conn_info, chan_info: None };
    ConnectedClient {
        engine,
        id,
        format,
        budget: ReplyBudget::default(),
        user,
        token_channels: claims.map(|claims| claims.channels).unwrap_or_default(),
        publisher: Arc::new(Publisher::of(&id.to_string(), &info)),
        info: (info != ClientInfo::ANONYMOUS).then(|| Arc::new(info)),
        subscriptions: AsyncMutex::new(Subscriptions::default()),
    }
}

/// Counts the connection for the user that the token names.
fn admit<S: Sink>(environment: &dyn Environment<S>, id: ConnectionId, claims: &Claims) -> Result<UserPermit, Failure> {
    let expires_at = claims.connection_expires.map(|at| at.saturating_add(EXPIRY_GRACE));
    let identity = Identity { user: claims.user.clone(), expires_at };
    let admitted = environment.users().admit(id, identity, environment.connections_per_user_max());
    admitted.ok_or_else(|| DisconnectCode::ConnectionLimit.into())
}

fn whole_seconds(interval: Duration) -> u32 {
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
