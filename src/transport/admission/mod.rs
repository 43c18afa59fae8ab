//! An admission: who gets in, judged by where it comes from and by how many came before.
//!
//! Two doors. At the first, when a connection is accepted, [`Handshakes`] bounds what is unfinished; at the second,
//! when a request asks for a WebSocket, [`Admission::admit`] counts the client behind it. Addresses in `limits_exempt`
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

    /// Counts a client that asks for a WebSocket.
    ///
    /// # Errors
    ///
    /// 429 when its address has too much already, 503 when everybody together has, each with a time to come back.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr, config: &Config) -> Result<Leave, Refusal> {
        if client::is_in(&config.access.limits_exempt, client) {
            return Ok(None);
        }
        let (now, limits, key) = (Instant::now(), &config.admission, AddressKey::from(client));
        let rate = limits.handshake_rate_per_address_max;
        let rate = (rate, rate.saturating_mul(ADDRESS_BURST_SECONDS));
        self.table.lock().enter(key, now, rate, limits.connections_per_address_max).map_err(|excess| match excess {
            Excess::Rate(wait) => Refusal::AddressRate(seconds(wait)),
            Excess::Connections => Refusal::AddressConnections,
        })?;
        // From here on dropping it gives the place back.
        let ticket = Box::new(Ticket { admission: Arc::clone(self), key });
        let rate = limits.handshake_rate_max;
        let total = self.total.lock().try_take(now, (rate, rate.saturating_mul(TOTAL_BURST_SECONDS)));
        total.map_err(|wait| Refusal::TotalRate(seconds(wait)))?;
        Ok(Some(ticket))
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
