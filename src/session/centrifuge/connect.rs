//! `connect`: who a client is, and how its connection goes on.

use super::clients::{ConnectedClient, Subscriptions};
use super::failure::Failure;
use crate::auth::{Claims, UserId};
use crate::config::HookName;
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::centrifuge::{Connect, ConnectResult, DisconnectCode, Expiry, Format};
use crate::protocol::publication::ClientInfo as Publisher;
use crate::protocol::{ClientInfo, Payload};
use crate::session::environment::Environment;
use crate::session::hooks::{Admission, Asker};
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

/// Who a client is, as its token or the application says; by default an anonymous one that has neither.
#[derive(Debug, Default)]
struct Identified {
    /// Its connection is counted for its user, and can expire.
    is_known: bool,
    user: Option<UserId>,
    expires_at: Option<u64>,
    info: Option<Arc<str>>,
    channels: Vec<String>,
    data: Option<Payload>,
}

/// Lets a client in.
pub(super) async fn connect<S: Sink>(
    engine: &Engine<S>,
    environment: &dyn Environment<S>,
    format: Format,
    asker: Asker,
    request: &Connect,
) -> Result<Admitted<S>, Failure> {
    let id = asker.id;
    let mut identified = identify(environment, &asker, request).await?;
    let is_refreshed_here = environment.hooks().has(HookName::Refresh);
    let grace = if is_refreshed_here { 0 } else { EXPIRY_GRACE };
    let permit = identified.is_known.then(|| admit(environment, id, &identified, grace)).transpose()?;
    let expires_at = identified.expires_at.filter(|_| !is_refreshed_here);
    let result = ConnectResult {
        client: id.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        expires: expiry(expires_at, environment.unix_seconds()),
        data: identified.data.take(),
        subs: Vec::new(),
        ping: whole_seconds(engine.hub().limits().ping_interval),
        pong: true,
    };
    let client = Arc::new(new_client(engine.clone(), format, asker, identified));
    environment.clients().add(&client);
    Ok(Admitted { client, permit, result })
}

/// Finds out who a client is: by its token, or else by asking the application.
async fn identify<S: Sink>(
    environment: &dyn Environment<S>,
    asker: &Asker,
    request: &Connect,
) -> Result<Identified, Failure> {
    if !request.token.is_empty() {
        let Claims { user, connection_expires, info, channels, .. } = environment.verify(&request.token)?;
        return Ok(Identified { is_known: true, user, expires_at: connection_expires, info, channels, data: None });
    }
    if environment.hooks().has(HookName::Connect) {
        let Admission { user, expires_at, info, data, channels } =
            environment.hooks().connect(asker, request).await.allowed()?;
        return Ok(Identified { is_known: true, user, expires_at, info, channels, data });
    }
    if environment.is_token_required() { Err(DisconnectCode::BadRequest.into()) } else { Ok(Identified::default()) }
}

/// Returns what a client is told of a time at which it expires.
pub fn expiry(at: Option<u64>, now: u64) -> Option<Expiry> {
    let ttl = |at: u64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
    at.map(|at| Expiry { ttl: ttl(at) })
}

fn new_client<S: Sink>(engine: Engine<S>, format: Format, asker: Asker, identified: Identified) -> ConnectedClient<S> {
    let Identified { user, info: conn_info, channels, .. } = identified;
    let publisher = Publisher {
        user: user.as_ref().map_or_else(String::new, |user| user.as_str().to_owned()),
        client: asker.id.to_string(),
        conn_info: conn_info.as_ref().map(|info| Bytes::copy_from_slice(info.as_bytes())),
        chan_info: None,
    };
    let info = ClientInfo { user: user.as_ref().map(UserId::shared), conn_info, chan_info: None };
    ConnectedClient {
        engine,
        id: asker.id,
        format,
        budget: ReplyBudget::default(),
        user,
        headers: asker.headers,
        token_channels: channels,
        publisher: Arc::new(publisher),
        info: (info != ClientInfo::ANONYMOUS).then(|| Arc::new(info)),
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
    let identity = Identity { user: identified.user.clone(), expires_at };
    let admitted = environment.users().admit(id, identity, environment.connections_per_user_max());
    admitted.ok_or_else(|| DisconnectCode::ConnectionLimit.into())
}

fn whole_seconds(interval: Duration) -> u32 {
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
