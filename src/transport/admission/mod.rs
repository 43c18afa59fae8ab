//! An admission: who gets in, judged by where it comes from and by how many came before.
//!
//! Two doors. At the first, when a connection is accepted, [`Handshakes`] bounds what is unfinished; at the second,
//! when a request asks for a WebSocket, [`Admission::admit`] counts the client behind it. Where TLS comes before the
//! request, [`Admission::knock`] counts first. Addresses in `limits_exempt`
//! pass both as far as addresses and rates are concerned.

mod handshakes;
mod table;

use super::client::{self, AddressKey};
use super::handshake::Refusal;
use crate::config::Config;
use crate::session::rate::Bucket;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use table::{Excess, Table};
use tokio::time::Instant;

pub(super) use handshakes::{Cut, Handshakes, Progress};

/// Handshakes of one address that may come at once, in seconds of its rate.
const ADDRESS_BURST_SECONDS: u32 = 4;

/// Handshakes in all that may come at once, in seconds of their rate.
const TOTAL_BURST_SECONDS: u32 = 2;

/// Who is in, and who came lately.
#[derive(Debug)]
pub(super) struct Admission {
    table: Mutex<Table>,
    total: Mutex<Bucket>,
}

/// A client's leave to be here. Dropped, it no longer counts for its address.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Arc<Admission>,
    key: AddressKey,
}

/// How a client got in: limits on addresses and rates hold for who has a ticket.
pub(super) type Leave = Option<Box<Ticket>>;

impl Admission {
    pub(super) fn new() -> Self {
        Self { table: Mutex::default(), total: Mutex::new(Bucket::new(Instant::now())) }
    }

    /// Counts a client that is about to cost a TLS handshake, the dearest thing that a stranger can ask for. Returns
    /// whether it is counted with that: who is behind a balancer is not known yet.
    ///
    /// # Errors
    ///
    /// When its address, or everybody together, comes too fast.
    pub(super) fn knock(&self, peer: IpAddr, config: &Config) -> Result<bool, Refusal> {
        let access = &config.access;
        if client::is_in(&access.limits_exempt, peer) || client::is_in(&access.trusted_proxies, peer) {
            return Ok(false);
        }
        self.count(peer.into(), Instant::now(), config)?;
        Ok(true)
    }

    /// Counts a client that asks for a WebSocket; `has_knocked` when it was counted for coming already.
    ///
    /// # Errors
    ///
    /// 429 when its address has too much already, 503 when everybody together has, each with a time to come back.
    pub(super) fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        has_knocked: bool,
        config: &Config,
    ) -> Result<Leave, Refusal> {
        if client::is_in(&config.access.limits_exempt, client) {
            return Ok(None);
        }
        let (now, key) = (Instant::now(), AddressKey::from(client));
        if !has_knocked {
            self.count(key, now, config)?;
        }
        let entered = self.table.lock().enter(key, now, config.admission.connections_per_address_max);
        entered.map_err(|excess| refusal(&excess))?;
        Ok(Some(Box::new(Ticket { admission: Arc::clone(self), key })))
    }

    fn count(&self, key: AddressKey, now: Instant, config: &Config) -> Result<(), Refusal> {
        let limits = &config.admission;
        let rate = limits.handshake_rate_per_address_max;
        let rate = (rate, rate.saturating_mul(ADDRESS_BURST_SECONDS));
        self.table.lock().knock(key, now, rate).map_err(|excess| refusal(&excess))?;
        let rate = limits.handshake_rate_max;
        let total = self.total.lock().try_take(now, (rate, rate.saturating_mul(TOTAL_BURST_SECONDS)));
        total.map_err(|wait| Refusal::TotalRate(seconds(wait)))
    }
}

fn refusal(excess: &Excess) -> Refusal {
    match excess {
        Excess::Rate(wait) => Refusal::AddressRate(seconds(*wait)),
        Excess::Connections => Refusal::AddressConnections,
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.table.lock().leave(self.key, Instant::now());
    }
}

/// Returns whole seconds, at least one.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + 1
}
