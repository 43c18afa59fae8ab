//! The state of the process: what connections, requests and the operator's commands share.

use super::lifecycle::Lifecycle;
use super::memory::Memory;
use super::operator_key::KeyCheck;
use crate::config::Config;
use crate::hub::Hub;
use crate::net::admission::{Admission, Handshakes};
use crate::net::socket::SocketSink;
use crate::net::tls::Certificates;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What every connection and every request may need.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) hub: Hub<SocketSink>,
    /// What the operator decided; a reload replaces it.
    pub(crate) settings: ArcSwap<Config>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) keys: KeyCheck,
    pub(crate) handshakes: Arc<Handshakes>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) memory: Memory,
    /// What encrypted addresses show; `None` when there are none.
    pub(crate) certificates: Option<Certificates>,
}
