//! `connect`: who a client is, and how its connection goes on.

use super::clients::{ConnectedClient, EXPIRY_GRACE, SUBSCRIPTIONS_MAX, Subscriptions};
use super::failure::Failure;
use crate::auth::{Claims, UserId};
use crate::config::{ChannelOptions, HookName};
use crate::engine::Engine;
use crate::engine::replies::ReplyBudget;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::centrifuge::{Connect, ConnectResult, DisconnectCode, ErrorCode, Expiry, Format};
use crate::protocol::{ChannelName, Payload, Profile};
use crate::session::environment::Environment;
use crate::session::hooks::{Admission, Asker};
use crate::session::users::{Identity, UserPermit};
use std::sync::{Arc, OnceLock};
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

/// Who a client is, as its token or the application says; by default an anonymous one that has neither.
#[derive(Debug, Default)]
struct Identified {
    /// Its connection is counted for its user, and can expire.
    is_known: bool,
    user: Option<UserId>,
    expires_at: Option<u64>,
    info: Option<Arc<str>>,
    /// The channels that it is subscribed to, and what others there may know of it.
    channels: Vec<(String, Option<Arc<str>>)>,
    data: Option<Payload>,
}

impl Identified {
    /// Adds the channel of its user, unless it is named already.
    fn add_personal_channel(&mut self) {
        let Some(user) = &self.user else { return };
        let personal = format!("#{}", user.as_str());
        if self.channels.iter().all(|(name, _)| *name != personal) {
            self.channels.push((personal, None));
        }
    }
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
    if environment.has_personal_channels() {
        identified.add_personal_channel();
    }
    let channels = token_channels(environment, &identified.channels)?;
    // The application is asked when it expires; otherwise the client sends a new token, for which it has some time.
    let is_asked = environment.hooks().has(HookName::Refresh);
    let grace = if is_asked { 0 } else { EXPIRY_GRACE };
    let permit = identified.is_known.then(|| admit(environment, id, &identified, grace)).transpose()?;
    let expires_at = identified.expires_at.filter(|_| !is_asked);
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
    Ok(Admitted { client, permit, result, channels })
}

/// Finds out who a client is: by its token, or else by asking the application.
async fn identify<S: Sink>(
    environment: &dyn Environment<S>,
    asker: &Asker,
    request: &Connect,
) -> Result<Identified, Failure> {
    if !request.token.is_empty() {
        let claims = environment.verify(&request.token)?;
        let channels = claims.channels.iter().map(|name| (name.clone(), claims.channel_info(name))).collect();
        let Claims { user, connection_expires: expires_at, info, .. } = claims;
        return Ok(Identified { is_known: true, user, expires_at, info, channels, data: None });
    }
    if environment.hooks().has(HookName::Connect) {
        let admission = environment.hooks().connect(asker, request).await.allowed()?;
        let Admission { user, expires_at, info, data, channels } = admission;
        let channels = channels.into_iter().map(|name| (name, None)).collect();
        return Ok(Identified { is_known: true, user, expires_at, info, channels, data });
    }
    if environment.is_token_required() { Err(DisconnectCode::BadRequest.into()) } else { Ok(Identified::default()) }
}

/// Returns the channels that a client is subscribed to as it connects.
fn token_channels<S: Sink>(
    environment: &dyn Environment<S>,
    channels: &[(String, Option<Arc<str>>)],
) -> Result<Vec<TokenChannel>, Failure> {
    if channels.len() > SUBSCRIPTIONS_MAX {
        return Err(ErrorCode::LimitExceeded.into());
    }
    let namespaces = environment.namespaces();
    let channel = |(name, info): &(String, Option<Arc<str>>)| -> Result<TokenChannel, Failure> {
        let known = ChannelName::parse(name).map_err(|_| ErrorCode::BadRequest)?;
        let options = namespaces.of(name).map_err(|_| ErrorCode::UnknownChannel)?;
        Ok(TokenChannel { name: known, options: Arc::clone(options), info: info.clone() })
    };
    channels.iter().map(channel).collect()
}

/// Returns what a client is told of a time at which it expires.
pub fn expiry(at: Option<u64>, now: u64) -> Option<Expiry> {
    let ttl = |at: u64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
    at.map(|at| Expiry { ttl: ttl(at) })
}

fn new_client<S: Sink>(engine: Engine<S>, format: Format, asker: Asker, identified: Identified) -> ConnectedClient<S> {
    let Identified { user, info: conn_info, channels, .. } = identified;
    let info = Profile { user: user.as_ref().map(UserId::shared), conn_info, chan_info: None };
    ConnectedClient {
        engine,
        id: asker.id,
        format,
        budget: ReplyBudget::default(),
        headers: asker.headers.into(),
        token_channels: channels.into_iter().map(|(name, _)| name).collect(),
        publisher: OnceLock::new(),
        info: (info != Profile::ANONYMOUS).then(|| Arc::new(info)),
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
