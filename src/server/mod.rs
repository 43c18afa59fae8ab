//! The server layer: listens, runs the tasks of the shards, and stops everything in order.

mod error;
mod handle;
mod stop;

mod bind;
mod bound_address;
mod listener;
mod unix_socket;

mod accept_error;
mod brief_response;
mod connection;
mod descriptor_reserve;

pub use bound_address::{BoundAddress, BoundSocket};
pub use error::{ReloadError, ServerError};
pub use handle::ServerHandle;
pub use stop::Stop;

use crate::config::{Address, Config, EngineKind, Namespaces};
use crate::engine::Engine;
use crate::engine::nats::Nats;
use crate::http::api::HubForPeers;
use crate::http::events::{self, EventSender};
use crate::http::hooks::HttpHooks;
use crate::http::jwks;
use crate::hub::{Hub, Shard};
use crate::metrics::Metrics;
use crate::net::admission::{Admission, Handshakes};
use crate::net::driver;
use crate::net::endpoint::Endpoint;
use crate::net::socket::SocketSink;
use crate::net::tls::{self, Certificates};
use crate::operation::api_key::ApiKeyCheck;
use crate::operation::cluster;
use crate::operation::expiry;
use crate::operation::histories;
use crate::operation::idempotency::Idempotency;
use crate::operation::lagging;
use crate::operation::lifecycle::Lifecycle;
use crate::operation::memory::Memory;
use crate::operation::occupancy;
use crate::operation::operator_key::KeyCheck;
use crate::operation::state::State;
use crate::operation::tokens::{self, Tokens};
use crate::operation::watchdog::Watchdog;
use crate::session::centrifuge::clients::Clients;
use crate::session::hooks::Hooks;
use arc_swap::ArcSwap;
use listener::Listener;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// A hub that listens on its addresses.
///
/// [`Server::bind`] makes errors of the configuration visible before anything runs; [`Server::run`] serves.
///
/// # Examples
///
/// A server on a free port, which is stopped as soon as it runs:
///
/// ```
/// use throng::config::Config;
/// use throng::server::{Server, Stop};
/// use tokio::sync::oneshot;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config { addr: vec!["127.0.0.1:0".parse()?], ..Config::default() };
/// // For a machine with 1 core, in a process that may open 1,000 descriptors.
/// let server = Server::bind(&config.complete(1, 1_000)?).await?;
/// println!("listening on {:?}", server.addr());
///
/// let (stop, stopped) = oneshot::channel();
/// let running = tokio::spawn(server.run(async { stopped.await.unwrap_or(Stop::AtOnce) }));
/// stop.send(Stop::AtOnce).ok();
/// running.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    state: Arc<State>,
    hooks: Arc<HttpHooks>,
    /// `None` if no events are sent.
    events: Option<EventSender>,
    shards: Vec<Shard<SocketSink>>,
}

impl Server {
    /// Listens on every address of the configuration. Clients can connect, and wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] if an address does not belong to this machine or is in use; [`ServerError::Tls`] or
    /// [`ServerError::TlsSetup`] if encrypted addresses cannot be served.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the listeners.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let certificates = certificates(config)?;
        let tokens = Tokens::new(config)?;
        let mut listeners = Vec::new();
        for address in &config.addr {
            listeners.extend(listen(address, Endpoint::new(address, false, certificates.as_ref()), config).await?);
        }
        if let Some(address) = &config.internal_addr {
            listeners.extend(listen(address, Endpoint::new(address, true, certificates.as_ref()), config).await?);
        }
        let metrics = Arc::new(Metrics::new(config.shards()));
        let hooks = Arc::new(HttpHooks::new(&config.hooks, Arc::clone(&metrics)));
        let (hub, shards) = Hub::tuned(&config.limits, &config.tuning, metrics);
        hub.set_socket_limits(config.sockets.clone());
        let namespaces = Namespaces::new(&config.default_namespace, &config.namespaces);
        let namespaces = Arc::new(ArcSwap::from_pointee(namespaces));
        let engine = engine(hub.clone(), config, &namespaces).await?;
        let users = Arc::default();
        let events = events::channel(&config.events, &users, hub.id(), hub.metrics()).map(|(queue, sender)| {
            hub.set_observer(queue);
            sender
        });
        let state = State {
            engine,
            settings: ArcSwap::from_pointee(config.clone()),
            namespaces,
            lifecycle: Arc::new(Lifecycle::new()),
            keys: KeyCheck::new(),
            tokens,
            users,
            hooks: Arc::clone(&hooks) as Arc<dyn Hooks>,
            clients: Clients::default(),
            api_keys: ApiKeyCheck::new(),
            idempotency: Idempotency::new(),
            handshakes: Handshakes::new(),
            admission: Arc::new(Admission::new()),
            memory: Memory::new(config.admission.memory_max),
            watchdog: Watchdog::default(),
            certificates,
        };
        Ok(Self { listeners, state: Arc::new(state), hooks, events, shards })
    }

    /// Returns the first address for clients that is TCP, with the port that the system chose for port 0.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.listeners.iter().filter(|listener| !listener.is_internal()).find_map(Listener::addr)
    }

    /// Returns the address for operators if it is TCP, with the port that the system chose for port 0.
    pub fn internal_addr(&self) -> Option<SocketAddr> {
        self.listeners.iter().filter(|listener| listener.is_internal()).find_map(Listener::addr)
    }

    /// Returns every address on which the server listens, those for clients first.
    pub fn bound_addresses(&self) -> Vec<BoundAddress> {
        self.listeners.iter().filter_map(Listener::bound_address).collect()
    }

    /// Returns a handle that works while the server runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.state), Arc::clone(&self.hooks))
    }

    /// Returns the hub, to publish without a client or to read its metrics.
    pub fn hub(&self) -> &Hub<SocketSink> {
        self.state.hub()
    }

    /// Serves until `stop` completes, then closes every connection after its pending messages, as [`Stop`] says.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShardsFailing`] if a shard had to be restarted too often.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future ends the shards, and leaves their connections open without service.
    pub async fn run(self, stop: impl Future<Output = Stop>) -> Result<(), ServerError> {
        let Self { listeners, state, events, shards, .. } = self;
        let started = Instant::from_std(state.hub().metrics().started());
        let mut drivers = JoinSet::new();
        for shard in shards {
            drivers.spawn(driver::supervise(state.hub().clone(), shard, started));
        }
        // Aborted when this function returns.
        let mut monitors = JoinSet::new();
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { monitored.memory.watch(monitored.hub()).await });
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { histories::sweep(&monitored.engine).await });
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { occupancy::announce(&monitored.engine).await });
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { lagging::watch(&monitored).await });
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { monitored.watchdog.watch(monitored.hub()).await });
        let monitored = Arc::clone(&state);
        monitors.spawn(async move { cluster::watch(&monitored).await });
        watch_tokens(&mut monitors, &state);
        let (peers, local) = (Arc::clone(&state), Arc::new(HubForPeers(Arc::clone(&state))));
        let told = Arc::clone(&local);
        monitors.spawn(async move { peers.engine.run_peers(told).await });
        let unsent = events.as_ref().map(EventSender::unsent);
        if let Some(sender) = events {
            monitors.spawn(sender.run());
        }

        // Until the last client is gone: those who wait for their turn in a drain get everything meanwhile.
        let (engine, (failed, failure)) = (state.engine.clone(), oneshot::channel());
        monitors.spawn(async move {
            let Err(unusable) = engine.run().await;
            // Nobody waits for it any more if the hub stops.
            failed.send(unusable).ok();
        });
        let serving = async {
            let requested = tokio::select! {
                Ok(unusable) = failure => Err(ServerError::Cluster(unusable)),
                // Drivers never end by themselves but for this.
                _ = drivers.join_next() => Err(ServerError::ShardsFailing),
                stop = stop => Ok(stop),
            };
            let pace = requested.as_ref().copied().unwrap_or(Stop::AtOnce).pace(&state);
            let deadline = stop::drain(&state, pace).await;
            (requested, deadline)
        };
        // The listeners stay open during the drain, so that new clients get a response. They are closed here.
        let (requested, deadline) = tokio::select! {
            never = accept(listeners, &state) => match never {},
            drained = serving => drained,
        };
        if timeout_at(deadline, stop::end(&state)).await.is_err() {
            let connections = state.hub().placement().taken();
            tracing::warn!(connections, "stopped before every connection had ended");
        }
        stop::leave_cluster(&state, &*local).await;
        if let Some(unsent) = unsent {
            stop::flush_events(&unsent, deadline).await;
        }
        requested.map(drop)
    }
}

/// Returns where the order of the channels is decided.
async fn engine(
    hub: Hub<SocketSink>,
    config: &Config,
    namespaces: &Arc<ArcSwap<Namespaces>>,
) -> Result<Engine<SocketSink>, ServerError> {
    Ok(match config.cluster.engine {
        EngineKind::Memory => Engine::Memory(hub),
        EngineKind::Nats => Engine::Nats(Arc::new(Nats::new(hub, config, Arc::clone(namespaces)).await?)),
    })
}

/// Starts what tokens need while the server runs.
fn watch_tokens(monitors: &mut JoinSet<()>, state: &Arc<State>) {
    let (config, watched) = (state.settings.load(), Arc::clone(state));
    monitors.spawn(async move { expiry::watch(&watched).await });
    if let Some(url) = config.tokens.jwks_url.clone() {
        monitors.spawn(jwks::keep_fresh(Arc::clone(state), url));
    }
    if config.tokens.token_insecure {
        monitors.spawn(tokens::warn_of_insecure_tokens());
    }
}

/// Reads the certificate, if one is configured.
fn certificates(config: &Config) -> Result<Option<Certificates>, ServerError> {
    let Some((certificate, key)) = config.tls.files() else { return Ok(None) };
    let certificate = tls::load(certificate, key)?;
    // Unlike a reload, a start accepts an expired certificate: a hub that does not start helps no client, and the log
    // has a warning.
    certificate.announce(SystemTime::now());
    Ok(Some(Certificates::new(certificate)?))
}

async fn listen(address: &Address, endpoint: Endpoint, config: &Config) -> Result<Vec<Listener>, ServerError> {
    let flag = if endpoint.is_internal { "--internal-addr" } else { "--addr" };
    let listeners = Listener::bind(address, endpoint, config).await;
    listeners.map_err(|error| ServerError::Listen { addr: address.clone(), flag, error })
}

/// Accepts on every listener, for ever.
async fn accept(listeners: Vec<Listener>, state: &Arc<State>) -> Infallible {
    let mut loops: Vec<_> = listeners.iter().map(|listener| Box::pin(listener.run(state))).collect();
    poll_fn(|cx| {
        for accepting in &mut loops {
            if let Poll::Ready(never) = accepting.as_mut().poll(cx) {
                return Poll::Ready(never);
            }
        }
        Poll::Pending
    })
    .await
}
