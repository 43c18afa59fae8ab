//! How a session begins: who its client is, and what it may do in its channel. Where neither a token nor a namespace
//! says so, the application is asked, as about clients of the Centrifuge protocol.

use super::handshake;
use crate::auth::Claims;
use crate::config::{ChannelOptions, Config, HookName};
use crate::engine::replies::ReplyBudget;
use crate::http::error::RequestError;
use crate::hub::{ConnectionId, Hub, MessageShape, Since};
use crate::net::socket::SocketSink;
use crate::operation::state::State;
use crate::protocol::centrifuge::{Connect, Format, Subscribe};
use crate::protocol::{ChannelName, Encoding, Profile};
use crate::session::hooks::{Asker, Subscription};
use crate::session::identified::Identified;
use crate::session::permission::{self, Action, ClientOfChannel, Denied, Who};
use crate::session::users::{Identity, UserPermit};
use crate::session::{Application, CentrifugeOptions, OpenOptions, Protocol, Publishing};
use bytes::Bytes;
use std::sync::Arc;

/// How the session begins.
#[derive(Debug)]
pub(super) enum Start {
    Channel { name: ChannelName, options: OpenOptions },
    Centrifuge { options: CentrifugeOptions, state: Arc<State> },
}

/// What a client of the chat protocol asks for.
#[derive(Debug)]
pub(super) struct ChatRequest {
    pub(super) channel: Option<ChannelName>,
    pub(super) shape: MessageShape,
    pub(super) since: Since,
}

/// A connection that is about to begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartRequest<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) settings: &'a Config,
    pub(super) id: ConnectionId,
    pub(super) is_rate_limited: bool,
}

/// How a session begins, and what counts its connection for its user.
type Started = (Start, Option<UserPermit>);

/// What a client may do in the channel that it asks for.
struct Permitted {
    options: Arc<ChannelOptions>,
    /// What is said of its subscription.
    subscription: Subscription,
    may_read_history: bool,
    publishing: Result<(), Denied>,
}

impl StartRequest<'_> {
    /// Returns how a client of the chat protocol begins.
    pub(super) async fn chat(
        self,
        asked: ChatRequest,
        claims: Option<Claims>,
        headers: Vec<(String, Bytes)>,
    ) -> Result<Started, RequestError> {
        let mut asker = Asker { headers, ..Asker::of(self.state.hub().client_id(self.id), None) };
        let mut client = self.identify(claims, &mut asker).await?;
        let ChatRequest { channel, shape, since } = asked;
        let first = client.channels.first().map(|(name, _)| name.as_str());
        let name = channel.map_or_else(|| handshake::default_channel(first), Ok)?;
        let permitted = self.permitted(&name, &client, &asker).await?;
        let Permitted { options, subscription, may_read_history, publishing } = permitted;
        // A connection of one subscription ends with it.
        let ends = [client.expires_at, subscription.expires_at];
        client.expires_at = ends.into_iter().flatten().min();
        client.is_known |= client.expires_at.is_some();
        let asker = Arc::new(asker);
        let user = self.admit(&client, &asker)?;
        check_room(self.state.hub(), &name, &options)?;
        let info = client.profile(subscription.info);
        let open = OpenOptions {
            protocol: Protocol::Chat,
            shape,
            since: if may_read_history { since } else { since.without_newest() },
            is_rate_limited: self.is_rate_limited,
            // Where nobody can ask for it, nobody keeps it.
            info: (options.options.presence && info != Profile::ANONYMOUS).then(|| Arc::new(info)),
            publishing: self.publishing(publishing, &options, asker),
            channel: options,
        };
        Ok((Start::Channel { name, options: open }, user))
    }

    /// Returns how a client begins that gets its own messages back.
    pub(super) async fn echo(
        self,
        claims: Option<Claims>,
        headers: Vec<(String, Bytes)>,
    ) -> Result<Started, RequestError> {
        let mut asker = Asker { headers, ..Asker::of(self.state.hub().client_id(self.id), None) };
        let client = self.identify(claims, &mut asker).await?;
        let user = self.admit(&client, &Arc::new(asker))?;
        let options = OpenOptions {
            protocol: Protocol::Echo,
            shape: MessageShape { encoding: Encoding::Frames, ..MessageShape::default() },
            since: Since::default(),
            is_rate_limited: self.is_rate_limited,
            channel: Arc::clone(self.state.hub().default_options()),
            info: None,
            publishing: Publishing::Forbidden,
        };
        let name = ChannelName::private("echo", self.id);
        check_room(self.state.hub(), &name, &options.channel)?;
        Ok((Start::Channel { name, options }, user))
    }

    /// Returns how a client of the Centrifuge protocol begins.
    pub(super) fn centrifuge(self, format: Format, headers: Vec<(String, Bytes)>) -> Start {
        let options = CentrifugeOptions { format, is_rate_limited: self.is_rate_limited, headers };
        Start::Centrifuge { options, state: Arc::clone(self.state) }
    }

    /// Finds out who a client is: by its token, or else by asking the application.
    async fn identify(self, claims: Option<Claims>, asker: &mut Asker) -> Result<Identified, RequestError> {
        let client = match claims {
            Some(claims) => claims.into(),
            None if self.settings.has_hook(HookName::Connect) => {
                self.state.hooks.connect(asker, &Connect::default()).await.admitted()?.into()
            }
            None if self.settings.tokens.token_required => return Err(RequestError::TokenMissing),
            None => Identified::default(),
        };
        (asker.user, asker.meta) = (client.user.clone(), client.meta.clone());
        Ok(client)
    }

    /// Returns what a client may do in a channel to which it may subscribe.
    async fn permitted(
        self,
        name: &ChannelName,
        client: &Identified,
        asker: &Asker,
    ) -> Result<Permitted, RequestError> {
        let options = Arc::clone(self.state.namespaces.load().of(name.as_str())?);
        let named = client.subscription(name.as_str());
        let who = client.user.as_ref().map_or(Who::Anonymous, |user| Who::Authenticated { user: user.as_str() });
        let outside = ClientOfChannel { who, has_channel_token: named.is_some(), is_subscribed: false };
        let subscription = match permission::check(outside, Action::Subscribe, name.as_str(), &options) {
            Ok(()) => named.cloned().unwrap_or_default(),
            Err(denied) if denied.asks_application() => {
                let request = Subscribe { channel: name.as_str().to_owned(), ..Subscribe::default() };
                self.state.hooks.subscribe(asker, &request).await.admitted()?
            }
            Err(denied) => return Err(denied.into()),
        };
        let subscribed = ClientOfChannel { is_subscribed: true, ..outside };
        let may = |action| permission::check(subscribed, action, name.as_str(), &options);
        // Without the permission to read the history it gets no lines of it; what it missed since a position it gets
        // in any case.
        let (may_read_history, publishing) = (may(Action::History).is_ok(), may(Action::Publish));
        Ok(Permitted { options, subscription, may_read_history, publishing })
    }

    fn publishing(self, may: Result<(), Denied>, options: &ChannelOptions, asker: Arc<Asker>) -> Publishing {
        let bytes_max = u32::try_from(options.publish_bytes_max()).unwrap_or(u32::MAX);
        match may {
            Ok(()) => Publishing::Allowed(bytes_max),
            Err(denied) if denied.asks_application() => {
                let (hooks, users) = (Arc::clone(&self.state.hooks), Arc::clone(&self.state.users));
                let application = Application { hooks, users, asker, budget: ReplyBudget::default() };
                Publishing::Asked(bytes_max, Box::new(application))
            }
            Err(_) => Publishing::Forbidden,
        }
    }

    /// Counts the connection for its user, if it is known.
    fn admit(self, client: &Identified, asker: &Arc<Asker>) -> Result<Option<UserPermit>, RequestError> {
        if !client.is_known {
            return Ok(None);
        }
        let asker = (!self.settings.hooks.is_empty()).then(|| Arc::clone(asker));
        let identity = Identity { user: client.user.clone(), expires_at: client.expires_at, asker };
        let connections_max = self.settings.tokens.connections_per_user_max;
        let permit = self.state.users.admit(self.id, identity, connections_max);
        permit.map(Some).ok_or(RequestError::UserConnections)
    }
}

/// Checks that there is room for one more subscriber. Only a hint: others may be faster.
fn check_room(hub: &Hub<SocketSink>, channel: &ChannelName, options: &ChannelOptions) -> Result<(), RequestError> {
    if !hub.directory().has_room_for(channel) {
        return Err(RequestError::TooManyChannels);
    }
    if hub.directory().subscribers(channel) >= options.subscribers_max() {
        return Err(RequestError::ChannelFull);
    }
    Ok(())
}
