//! The server layer: listens, starts the shards' tasks, and stops everything in order.

mod connection;
mod descriptor_reserve;
mod handle;
mod listener;

pub use handle::ServerHandle;

use crate::config::{Address, Config};
use crate::hub::{Hub, Shard};
use crate::metrics::Metrics;
use crate::net::admission::{Admission, Handshakes};
use crate::net::driver;
use crate::net::endpoint::Endpoint;
use crate::net::socket::SocketSink;
use crate::net::tls::{self, Certificates, TlsError};
use crate::operation::lifecycle::{Lifecycle, Stage};
use crate::operation::memory::Memory;
use crate::operation::operator_key::KeyCheck;
use crate::operation::pace::Pace;
use crate::operation::state::State;
use crate::operation::watchdog;
use arc_swap::ArcSwap;
use listener::Listener;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Why a server did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is not one, or is taken.
    #[error("can not listen on {addr}: {error}; choose another address with --addr HOST:PORT")]
    Listen {
        /// As configured.
        addr: String,
        /// What the system said.
        error: io::Error,
    },
    /// The certificate or its key can not be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS itself does not work here.
    #[error("TLS can not be offered: {0}")]
    TlsSetup(#[from] rustls::Error),
    /// A shard failed again and again.
    #[error("a shard failed more than five times within a minute; see the log for the panics")]
    ShardsFailing,
}

/// A hub that listens.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    state: Arc<State>,
    shards: Vec<Shard<SocketSink>>,
}

impl Server {
    /// Listens; connections wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] when the address is no address of this machine, or is taken; [`ServerError::Tls`] when
    /// the certificate can not be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let certificates = certificates(config)?;
        let mut listeners = Vec::new();
        for address in &config.addr {
            listeners.push(bind(address, Endpoint::new(address, false, certificates.as_ref()), config).await?);
        }
        if let Some(address) = &config.internal_addr {
            listeners.push(bind(address, Endpoint::new(address, true, certificates.as_ref()), config).await?);
        }
        let metrics = Arc::new(Metrics::new(config.shards()));
        let (hub, shards) = Hub::tuned(&config.limits, &config.tuning, metrics);
        let settings = ArcSwap::from_pointee(config.clone());
        let lifecycle = Arc::new(Lifecycle::new());
        let (handshakes, admission) = (Handshakes::new(), Arc::new(Admission::new()));
        let (keys, memory) = (KeyCheck::new(), Memory::new(config.admission.memory_max));
        let state = Arc::new(State { hub, settings, lifecycle, keys, handshakes, admission, memory, certificates });
        Ok(Self { listeners, state, shards })
    }

    /// Returns the first address that clients reach by TCP, with the port that was picked.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.listeners.iter().filter(|listener| !listener.is_internal()).find_map(Listener::addr)
    }

    /// Returns the internal address, with the port that was picked.
    pub fn internal_addr(&self) -> Option<SocketAddr> {
        self.listeners.iter().filter(|listener| listener.is_internal()).find_map(Listener::addr)
    }

    /// Returns what changes its settings while it runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.state))
    }

    /// Returns the hub behind it.
    pub fn hub(&self) -> &Hub<SocketSink> {
        &self.state.hub
    }

    /// Serves until `stop` ends; then leaves as it says: every connection is closed after its pending messages.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShardsFailing`] when a shard had to be restarted too often.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future leaves the connections running without a listener.
    pub async fn run(self, stop: impl Future<Output = Stop>) -> Result<(), ServerError> {
        let Self { listeners, state, shards } = self;
        let started = Instant::from_std(state.hub.metrics().started());
        let mut drivers = JoinSet::new();
        for shard in shards {
            drivers.spawn(driver::supervise(state.hub.clone(), shard, started));
        }
        let (mut chores, watched) = (JoinSet::new(), Arc::clone(&state));
        chores.spawn(async move { watched.memory.watch(&watched.hub).await });
        let watched = Arc::clone(&state);
        chores.spawn(async move { watchdog::watch(&watched.hub).await });
        let mut accepting = Box::pin(accept(listeners, Arc::clone(&state)));
        let asked = tokio::select! {
            never = &mut accepting => match never {},
            _ = drivers.join_next() => Err(ServerError::ShardsFailing),
            stop = stop => Ok(stop),
        };
        let pace = pace(&state, *asked.as_ref().unwrap_or(&Stop::AtOnce));
        let last = pace.grace + pace.time + state.settings.load().stopping.shutdown_timeout;
        let emptied = async {
            tokio::select! {
                never = &mut accepting => match never {},
                () = empty(&state, pace) => {}
            }
            // The door closes behind the last one.
            drop(accepting);
            state.lifecycle.enter(Stage::Ending);
            state.handshakes.finished().await;
            // A handshake that was under way when the stop began may have become a connection.
            vacated(&state.hub).await;
        };
        if timeout_at(Instant::now() + last, emptied).await.is_err() {
            let connections = state.hub.placement().taken();
            tracing::warn!(connections, "stopped before every connection had ended");
        }
        asked.map(drop)
    }
}

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// As balancers and clients can follow: `lb_grace`, then closes spread over `drain_time`.
    Paced,
    /// All closes now: a person waits.
    AtOnce,
}

fn pace(state: &State, stop: Stop) -> Pace {
    let stopping = &state.settings.load().stopping;
    match stop {
        Stop::Paced => Pace { grace: stopping.lb_grace, time: stopping.drain_time },
        Stop::AtOnce => Pace::AT_ONCE,
    }
}

/// Closes what is open, and waits until it is gone.
async fn empty(state: &State, pace: Pace) {
    state.lifecycle.stop(&state.hub, pace).await;
    vacated(&state.hub).await;
}

/// Waits until no connection holds a place.
async fn vacated(hub: &Hub<SocketSink>) {
    loop {
        let vacated = hub.placement().vacated();
        if hub.placement().taken() == 0 {
            return;
        }
        vacated.await;
    }
}

/// Reads the certificate, if there is one.
fn certificates(config: &Config) -> Result<Option<Certificates>, ServerError> {
    let Some((certificate, key)) = config.tls.files() else { return Ok(None) };
    let certificate = tls::load(certificate, key)?;
    // One that has ended is better than no hub: there may be clients that do not look.
    certificate.announce(SystemTime::now());
    Ok(Some(Certificates::new(certificate)?))
}

async fn bind(address: &Address, endpoint: Endpoint, config: &Config) -> Result<Listener, ServerError> {
    let listener = Listener::bind(address, endpoint, config).await;
    listener.map_err(|error| ServerError::Listen { addr: address.to_string(), error })
}

/// Accepts at every listener for ever.
async fn accept(listeners: Vec<Listener>, state: Arc<State>) -> Infallible {
    let accepting = listeners.iter().map(|listener| Box::pin(listener.accept(&state)));
    let mut accepting: Vec<_> = accepting.collect();
    poll_fn(|cx| {
        for one in &mut accepting {
            // None of them ends.
            if let Poll::Ready(never) = one.as_mut().poll(cx) {
                match never {}
            }
        }
        Poll::Pending
    })
    .await
}
