//! A server under test, and clients that judge it.
//!
//! What the server sends is always read by tungstenite, a second implementation. Clients that keep the rules write with
//! it too ([`Client`]); those that break them write plain bytes ([`Raw`]) and never answer by themselves.
//!
//! No test depends on the speed of the machine. A test that waits, waits for an event, and [`within`] only ends what
//! would hang for ever. Limits that count time are out of the way in [`start`]; a test of such a limit sets it, and
//! stops the clock with [`FrozenClock`] where being slow would change the outcome.

#![allow(dead_code, unused_imports, reason = "each test file uses a part")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub(crate) mod api;
pub(crate) mod application;
pub(crate) mod balancer;
pub(crate) mod centrifuge;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod config_file;
pub(crate) mod drain;
pub(crate) mod http;
pub(crate) mod nats;
pub(crate) mod place;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod tls;

pub(crate) use client::{Client, Judge, Raw, close_frame, frame, handshake, stream_with_buffer};
pub(crate) use clock::FrozenClock;
pub(crate) use http::{Answer, KEY, ask, exchange, get};

use std::net::SocketAddr;
use std::time::Duration;
use throng::config::{Config, MetricsAccess, NamespaceConfig};
use throng::hub::Hub;
use throng::metrics::ShardCounts;
use throng::net::socket::SocketSink;
use throng::protocol::CloseReason;
use throng::server::{Server, ServerError, ServerHandle, Stop};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far beyond what anything here takes on a busy machine: reaching it is a failure.
const HANG: Duration = Duration::from_secs(180);

/// A limit that no test reaches unless it moves the clock.
const NEVER: Duration = Duration::from_secs(3600);

/// Waits for an event that must come.
#[track_caller]
pub(crate) fn within<F: Future>(event: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(HANG, event).await {
            Ok(output) => output,
            Err(_) => panic!("nothing came at {caller}"),
        }
    }
}

/// A server in this process.
pub(crate) struct TestServer {
    pub(crate) addr: SocketAddr,
    pub(crate) internal: Option<SocketAddr>,
    hub: Hub<SocketSink>,
    handle: ServerHandle,
    stop: Option<oneshot::Sender<Stop>>,
    run: JoinHandle<Result<(), ServerError>>,
}

/// Starts a server on a free port with the defaults, changed by `tweak`. It ends no connection because of the time that
/// the test takes, unless `tweak` says so.
pub(crate) fn start(tweak: impl FnOnce(&mut Config)) -> impl Future<Output = TestServer> {
    let mut config = Config { addr: vec!["127.0.0.1:0".parse().unwrap()], ..Config::default() };
    let limits = &mut config.limits;
    limits.outbox_stall_max = NEVER;
    (config.sockets.handshake_timeout, config.sockets.message_timeout) = (NEVER, NEVER);
    // Plain clients do not answer pings.
    (limits.ping_interval, limits.close_timeout, config.stopping.shutdown_timeout) = (NEVER, NEVER, NEVER);
    // Most tests that read the metrics are not about who may.
    config.access.metrics = MetricsAccess::Public;
    tweak(&mut config);
    run(config)
}

/// Runs a server. Apart from [`start`], of which the compiler makes one for each `tweak`: a server in each would be
/// most of what there is to compile.
async fn run(config: Config) -> TestServer {
    let config = config.complete(1, 10_000).unwrap();
    let server = Server::bind(&config).await.unwrap();
    let (addr, internal, hub) = (server.addr().unwrap(), server.internal_addr(), server.hub().clone());
    let handle = server.handle();
    let (stop, stopped) = oneshot::channel::<Stop>();
    // A test that ends without stopping drops the sender, which stops the server too.
    let run = tokio::spawn(server.run(async move { stopped.await.unwrap_or(Stop::AtOnce) }));
    TestServer { addr, internal, hub, handle, stop: Some(stop), run }
}

/// Returns the namespaces of a file.
pub(crate) fn namespaces(text: &str) -> Vec<NamespaceConfig> {
    Config::from_toml(text).unwrap().namespaces
}

impl TestServer {
    /// Returns the hub of the server.
    pub(crate) fn hub(&self) -> &Hub<SocketSink> {
        &self.hub
    }

    /// Connects a client that keeps the rules and is subscribed when this returns.
    pub(crate) async fn connect(&self, target: &str) -> Client {
        Client::connect(self.addr, target).await
    }

    /// Connects a client that writes plain bytes.
    pub(crate) async fn raw(&self, target: &str) -> Raw {
        Raw::connect(self.addr, target, &[]).await
    }

    /// Begins a stop; [`TestServer::stopped`] waits for its end.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Returns the number of handshakes in progress.
    pub(crate) fn handshakes(&self) -> u64 {
        self.handle.handshakes()
    }

    /// Begins a stop that balancers can follow.
    pub(crate) fn begin_paced_stop(&mut self) {
        self.stop.take().unwrap().send(Stop::Paced).unwrap();
    }

    /// Waits until the server has ended.
    pub(crate) async fn stopped(mut self) {
        self.begin_stop();
        within(self.run).await.unwrap().unwrap();
    }

    /// Waits until no connection holds a place.
    pub(crate) async fn vacated(&self) {
        within(async {
            loop {
                let vacated = self.hub.placement().vacated();
                if self.hub.placement().taken() == 0 {
                    return;
                }
                vacated.await;
            }
        })
        .await;
    }

    /// Returns what all shards have counted so far.
    pub(crate) fn counts(&self) -> ShardCounts {
        let mut sum = ShardCounts::default();
        for counts in self.hub.metrics().shards().iter().map(|shard| shard.read()) {
            sum += counts;
        }
        sum
    }

    /// Waits until what all shards have counted is so.
    pub(crate) async fn counted(&self, is_so: impl Fn(&ShardCounts) -> bool) -> ShardCounts {
        within(async {
            loop {
                let counts = self.counts();
                if is_so(&counts) {
                    return counts;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Returns how many connections were closed for a reason of this kind so far. A client may know of its own end a
    /// moment earlier: [`TestServer::closed`] waits for the count.
    pub(crate) fn closes(&self, reason: CloseReason) -> u64 {
        self.counts().closes[reason.index()]
    }

    /// Waits until `count` connections were closed for a reason of this kind; more are a failure.
    pub(crate) async fn closed(&self, reason: CloseReason, count: u64) {
        let counts = self.counted(|counts| counts.closes[reason.index()] >= count).await;
        assert_eq!(counts.closes[reason.index()], count, "{reason:?}");
    }
}
