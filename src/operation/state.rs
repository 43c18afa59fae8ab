//! The state of the server that connections, requests and the operator's commands share.

use super::api_key::ApiKeyCheck;
use super::idempotency::Idempotency;
use super::lifecycle::Lifecycle;
use super::memory::Memory;
use super::operator_key::KeyCheck;
use super::tokens::Tokens;
use super::watchdog::Watchdog;
use crate::config::{Config, Namespaces};
use crate::engine::Engine;
use crate::hub::Hub;
use crate::metrics::{Labels, Refusal};
use crate::net::admission::{Admission, Handshakes};
use crate::net::socket::SocketSink;
use crate::net::tls::Certificates;
use crate::session::centrifuge::clients::Clients;
use crate::session::hooks::Hooks;
use crate::session::users::Users;
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::sync::Arc;

/// Shared by every task of the server.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) engine: Engine<SocketSink>,
    /// The only owner of the settings of every layer above the hub; a reload replaces them as a whole.
    pub(crate) settings: ArcSwap<Config>,
    /// Made of the settings, so that a channel's options are one look-up.
    pub(crate) namespaces: Arc<ArcSwap<Namespaces>>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) keys: KeyCheck,
    pub(crate) tokens: Tokens,
    pub(crate) users: Arc<Users>,
    /// The application.
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) clients: Clients<SocketSink>,
    pub(crate) api_keys: ApiKeyCheck,
    pub(crate) idempotency: Idempotency,
    pub(crate) handshakes: Arc<Handshakes>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) memory: Memory,
    pub(crate) watchdog: Watchdog,
    /// `None` if no address is encrypted.
    pub(crate) certificates: Option<Certificates>,
}

impl State {
    pub(crate) fn hub(&self) -> &Hub<SocketSink> {
        self.engine.hub()
    }

    /// Counts a refusal and logs it with the client, or the proxy, that was refused. What the client sent stays out of
    /// the log.
    pub(crate) fn refuse(&self, peer: IpAddr, reason: Refusal) {
        self.hub().metrics().refuse(reason);
        tracing::debug!(%peer, reason = Refusal::VALUES[reason as usize], "refused");
    }
}
