//! One request under way: what its key may do, and how long it may wait.

use super::error::{ApiError, ErrorKind};
use super::method::Method;
use crate::config::ChannelOptions;
use crate::hub::Command;
use crate::net::socket::SocketSink;
use crate::operation::api_key::Scopes;
use crate::operation::state::State;
use crate::protocol::ChannelName;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) scopes: Scopes,
    /// When it does not wait for shards any longer; `None` if it waits as long as it takes.
    pub(super) deadline: Option<Instant>,
    /// Another hub passes it on, so it concerns this hub alone.
    pub(super) is_of_peer: bool,
}

impl Call<'_> {
    /// Checks that the key of the request is for this method.
    pub(super) fn check_scope(&self, method: Method) -> Result<(), ApiError> {
        match method.scope() {
            Some(scope) if !self.scopes.contain(scope) => {
                let word = crate::config::ApiScope::WORDS[scope as usize];
                let text = format!("the key is not for {}, which needs the scope {word}", method.name());
                Err(ApiError::new(ErrorKind::PermissionDenied, text))
            }
            _ => Ok(()),
        }
    }

    /// Counts an answer.
    pub(super) fn count(&self, method: Method, error: Option<&ApiError>) {
        let code = error.map_or(0, |error| error.kind.code());
        self.state.hub().metrics().api.count(method as usize, code);
    }

    /// Waits for something that shards have to take, until the deadline. `undone` says what was not done then.
    pub(super) async fn within<T>(&self, work: impl Future<Output = T>, undone: &str) -> Result<T, ApiError> {
        let Some(deadline) = self.deadline else { return Ok(work.await) };
        timeout_at(deadline, work).await.map_err(|_| {
            let waited = humantime::format_duration(self.state.settings.load().api.publish_timeout);
            let text = format!("too many requests: shards had no room for --publish-timeout {waited}; {undone}");
            ApiError::new(ErrorKind::Busy, text)
        })
    }

    /// Sends a command to a shard.
    pub(super) async fn send(&self, shard: usize, command: Command<SocketSink>) -> Result<(), ApiError> {
        self.within(self.state.hub().inbox(shard).send(command), "the connections after it are as they were").await
    }

    /// Returns a channel and the options of its namespace.
    pub(super) fn channel(&self, name: &str) -> Result<(ChannelName, Arc<ChannelOptions>), ApiError> {
        let channel = ChannelName::parse(name).map_err(|error| ApiError::bad_request(format!("channel: {error}")))?;
        let namespaces = self.state.namespaces.load();
        let options = namespaces.of(name).map_err(|error| {
            ApiError::new(ErrorKind::UnknownChannel, format!("unknown channel: channel {name}: {error}"))
        })?;
        Ok((channel, Arc::clone(options)))
    }
}
