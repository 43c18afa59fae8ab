//! A server: the listener, the shards' tasks, and the order in which they stop.

use super::driver;
use super::http::{Context, Stage};
use super::listener::{Handshakes, Listener};
use super::serve::Door;
use super::socket::SocketSink;
use crate::config::{Address, Config};
use crate::hub::{Hub, Shard};
use crate::metrics::Metrics;
use crate::protocol::CloseReason;
use arc_swap::ArcSwap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use thiserror::Error;
use tokio::sync::watch;
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
    /// A shard failed again and again.
    #[error("a shard failed more than five times within a minute; see the log for the panics")]
    ShardsFailing,
}

/// A hub that listens.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    context: Arc<Context>,
    shards: Vec<Shard<SocketSink>>,
}

impl Server {
    /// Listens; connections wait until [`Server::run`].
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] when the address is no address of this machine, or is taken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let mut listeners = Vec::new();
        for address in &config.addr {
            listeners.push(bind(address, Door::new(address, false), config).await?);
        }
        if let Some(address) = &config.internal_addr {
            listeners.push(bind(address, Door::new(address, true), config).await?);
        }
        let metrics = Arc::new(Metrics::new(config.shards()));
        let (hub, shards) = Hub::tuned(&config.limits, &config.tuning, metrics);
        let settings = ArcSwap::from_pointee(config.clone());
        let context = Arc::new(Context { hub, settings, stage: watch::Sender::new(Stage::Serving) });
        Ok(Self { listeners, context, shards })
    }

    /// Returns the first address that clients reach by TCP, with the port that was picked.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addrs().first().copied()
    }

    /// Returns every TCP address it listens on, the internal one last.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::addr).collect()
    }

    /// Returns the hub behind it.
    pub fn hub(&self) -> &Hub<SocketSink> {
        &self.context.hub
    }

    /// Serves until `stop` ends; then closes every connection after its pending messages and returns.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShardsFailing`] when a shard had to be restarted too often.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future leaves the connections running without a listener.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { listeners, context, shards } = self;
        let started = Instant::now();
        let mut drivers = JoinSet::new();
        for shard in shards {
            drivers.spawn(driver::supervise(context.hub.clone(), shard, started));
        }
        let handshakes = Handshakes::new(context.hub.limits().handshakes_max);
        let result = tokio::select! {
            never = accept(&listeners, &context, &handshakes) => match never {},
            _ = drivers.join_next() => Err(ServerError::ShardsFailing),
            () = stop => Ok(()),
        };
        context.stage.send_replace(Stage::Stopping);
        stop_all(listeners, &context, &handshakes).await;
        result
    }
}

/// Closes what is open, and waits until it is or the time is over.
async fn stop_all(listeners: Vec<Listener>, context: &Arc<Context>, handshakes: &Handshakes) {
    let hub = &context.hub;
    let deadline = Instant::now() + context.settings.load().stopping.shutdown_timeout;
    let stopped = async {
        for shard in 0..hub.shards() {
            if let Ok(credit) = hub.inbox(shard).take(1).await {
                hub.close_all(shard, CloseReason::Shutdown, credit);
            }
        }
        tokio::select! {
            never = accept(&listeners, context, handshakes) => match never {},
            () = vacated(hub) => {}
        }
        drop(listeners);
        context.stage.send_replace(Stage::Ending);
        handshakes.finished().await;
        // A handshake that was under way when the stop began may have become a connection.
        vacated(hub).await;
    };
    if timeout_at(deadline, stopped).await.is_err() {
        tracing::warn!(connections = hub.placement().taken(), "stopped before every connection had ended");
    }
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

async fn bind(address: &Address, door: Door, config: &Config) -> Result<Listener, ServerError> {
    let listener = Listener::bind(address, door, config).await;
    listener.map_err(|error| ServerError::Listen { addr: address.to_string(), error })
}

/// Accepts at every listener for ever.
async fn accept(listeners: &[Listener], context: &Arc<Context>, handshakes: &Handshakes) -> Infallible {
    let accepting = listeners.iter().map(|listener| Box::pin(listener.accept(context, handshakes)));
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
