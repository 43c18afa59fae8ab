//! `connect`: who a client is, and how its connection goes on.

use super::clients::{ConnectedClient, Subscriptions};
use super::failure::Failure;
use crate::auth::{Claims, UserId};
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::ClientInfo;
use crate::protocol::centrifuge::{Connect, ConnectResult, DisconnectCode, Expiry, Format};
use crate::protocol::publication::ClientInfo as Publisher;
use crate::session::environment::Environment;
use crate::session::users::{Identity, UserPermit};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// Seconds that a client has to send a new token once its old one has expired, as in Centrifugo.
pub const EXPIRY_GRACE: u64 = 25;

/// A client that is let in.
#[derive(Debug)]
pub(super) struct Admitted<S: Sink> {
    pub(super) client: Arc<ConnectedClient<S>>,
    /// Counts for its user until the connection is gone; `None` for a client without a token.
    pub(super) permit: Option<UserPermit>,
    pub(super) result: ConnectResult,
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
    environment.clients().add(&client);
    Ok(Admitted { client, permit, result })
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
    let publisher = Publisher {
        user: user.as_ref().map_or_else(String::new, |user| user.as_str().to_owned()),
        client: id.to_string(),
        conn_info: conn_info.as_ref().map(|info| Bytes::copy_from_slice(info.as_bytes())),
        chan_info: None,
    };
    let info = ClientInfo { user: user.as_ref().map(UserId::shared), conn_info, chan_info: None };
    ConnectedClient {
        engine,
        id,
        format,
        budget: ReplyBudget::default(),
        user,
        token_channels: claims.map(|claims| claims.channels).unwrap_or_default(),
        publisher: Arc::new(publisher),
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
