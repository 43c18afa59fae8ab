//! A caller: a connected client with a command, and what every command about a channel begins with.

use super::clients::ConnectedClient;
use super::failure::Failure;
use crate::config::ChannelOptions;
use crate::hub::Sink;
use crate::protocol::ChannelName;
use crate::protocol::centrifuge::{DisconnectCode, ErrorCode};
use crate::session::environment::Environment;
use crate::session::permission::{self, Action, ClientOfChannel};
use std::sync::Arc;

/// A connected client with a command.
#[derive(Debug)]
pub(super) struct Caller<'a, S: Sink> {
    pub(super) client: &'a Arc<ConnectedClient<S>>,
    pub(super) environment: &'a dyn Environment<S>,
}

/// A channel that a command is about.
#[derive(Debug)]
pub(super) struct NamedChannel {
    pub(super) name: ChannelName,
    pub(super) options: Arc<ChannelOptions>,
}

/// Whether a client may do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Permission {
    /// It may.
    Given,
    /// The application decides.
    OfApplication,
}

impl<S: Sink> Caller<'_, S> {
    /// Returns the channel of that name.
    pub(super) fn channel(&self, name: &str) -> Result<NamedChannel, Failure> {
        if name.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let known = ChannelName::parse(name).map_err(|_| ErrorCode::BadRequest)?;
        let namespaces = self.environment.namespaces();
        let options = namespaces.of(name).map_err(|_| ErrorCode::UnknownChannel)?;
        Ok(NamedChannel { name: known, options: Arc::clone(options) })
    }

    /// Returns whether the client may do something with a channel. `has_token` says that a token with the command names
    /// it.
    pub(super) fn check(
        &self,
        action: Action,
        channel: &NamedChannel,
        has_token: bool,
        is_subscribed: bool,
    ) -> Result<Permission, Failure> {
        let name = channel.name.as_str();
        let has_channel_token = has_token || self.client.token_channels.iter().any(|one| one == name);
        let client = ClientOfChannel { who: self.client.who(), has_channel_token, is_subscribed };
        match permission::check(client, action, name, &channel.options) {
            Ok(()) => Ok(Permission::Given),
            Err(denied) if denied.asks_application() => Ok(Permission::OfApplication),
            Err(_) => Err(ErrorCode::PermissionDenied.into()),
        }
    }

    /// Returns a channel that the client may do something with, unless the application forbids it.
    pub(super) async fn permitted(&self, action: Action, name: &str) -> Result<(NamedChannel, Permission), Failure> {
        let channel = self.channel(name)?;
        let is_subscribed = self.client.subscriptions.lock().await.find(name).is_some();
        let permission = self.check(action, &channel, false, is_subscribed)?;
        Ok((channel, permission))
    }
}
