//! Admission: decides whether a client may connect, by its address and by the number of others.
//!
//! Three checks, in this order. When a connection is accepted, [`Handshakes`] bounds the handshakes in progress. Before
//! a TLS handshake, [`Admission::count_attempt`] counts the peer against its rate. When a request asks for a WebSocket,
//! [`Admission::admit`] counts the client behind the proxies. Addresses in `limits_exempt` are exempt from the limits
//! per address and from the rates; an address that a proxy names is never exempt as loopback.

mod addresses;
mod handshakes;

use super::address::{AddressKey, ClientAddress, is_in};
use crate::config::Config;
use crate::metrics::Refusal;
use crate::rate::{Quota, TokenBucket};
use crate::session::users::UserPermit;
use addresses::{AddressExcess, AddressTable};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) use handshakes::{HandshakeGuard, HandshakeQuota, Handshakes, Turn};

/// Burst of handshakes of one address, in seconds of its rate.
const ADDRESS_BURST_SECONDS: u32 = 4;

/// Burst of handshakes of all addresses together, in seconds of their rate.
const TOTAL_BURST_SECONDS: u32 = 2;

/// Counts connections and attempts by address, and attempts in total.
#[derive(Debug)]
pub(crate) struct Admission {
    addresses: Mutex<AddressTable>,
    total: Mutex<TokenBucket>,
}

/// A connection that counts for its address until this is dropped.
#[derive(Debug)]
pub(crate) struct AddressPermit {
    admission: Arc<Admission>,
    key: AddressKey,
}

/// What a connection counts for until this is dropped: its address, its user, both, or nothing.
#[derive(Debug)]
pub(crate) struct Permit {
    /// Boxed, and empty for most, because every reader has one.
    _counted: Option<Box<Counted>>,
}

/// What is counted. Not larger for anonymous clients than the permit of an address.
#[derive(Debug)]
enum Counted {
    Address { _permit: AddressPermit },
    User { _permits: Box<(UserPermit, Option<AddressPermit>)> },
}

impl Permit {
    /// `address` is `None` for one in `limits_exempt`, `user` for a client without a token.
    pub(crate) fn new(address: Option<AddressPermit>, user: Option<UserPermit>) -> Self {
        let counted = match (address, user) {
            (address, Some(user)) => Some(Counted::User { _permits: Box::new((user, address)) }),
            (Some(address), None) => Some(Counted::Address { _permit: address }),
            (None, None) => None,
        };
        Self { _counted: counted.map(Box::new) }
    }
}

/// The limit that an attempt exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Excess {
    /// The address has all the connections it may have.
    AddressConnections,
    /// The address connects too fast. Holds the time until its next attempt may succeed.
    AddressRate(Duration),
    /// All addresses together connect too fast. Holds the time until the next attempt may succeed.
    TotalRate(Duration),
}

impl Excess {
    /// Returns the reason that the metrics count it under.
    pub(crate) const fn refusal(self) -> Refusal {
        match self {
            Self::AddressConnections => Refusal::ConnectionsAddress,
            Self::AddressRate(_) => Refusal::RateAddress,
            Self::TotalRate(_) => Refusal::RateTotal,
        }
    }
}

impl From<AddressExcess> for Excess {
    fn from(excess: AddressExcess) -> Self {
        match excess {
            AddressExcess::Connections => Self::AddressConnections,
            AddressExcess::Rate(wait) => Self::AddressRate(wait),
        }
    }
}

impl Admission {
    pub(crate) fn new() -> Self {
        Self { addresses: Mutex::default(), total: Mutex::new(TokenBucket::new(Instant::now())) }
    }

    /// Counts a peer before its TLS handshake, the most expensive step that an unknown client can cause. Returns
    /// whether it was counted: the client behind a trusted proxy is not known yet.
    ///
    /// # Errors
    ///
    /// When the address, or all addresses together, connect too fast.
    pub(crate) fn count_attempt(&self, peer: ClientAddress, config: &Config) -> Result<bool, Excess> {
        let access = &config.access;
        if peer.is_exempt(&access.limits_exempt) || is_in(&access.trusted_proxies, peer.addr) {
            return Ok(false);
        }
        self.count(peer.addr.into(), Instant::now(), config)?;
        Ok(true)
    }

    /// Counts a client that asks for a WebSocket, unless it is in `limits_exempt`; `is_counted` if
    /// [`Self::count_attempt`] counted it already.
    ///
    /// # Errors
    ///
    /// When the address has too many connections, or it, or all addresses together, connect too fast.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: ClientAddress,
        is_counted: bool,
        config: &Config,
    ) -> Result<Option<AddressPermit>, Excess> {
        if client.is_exempt(&config.access.limits_exempt) {
            return Ok(None);
        }
        let (now, key) = (Instant::now(), AddressKey::from(client.addr));
        // Once per handshake: with TLS the peer was counted before it, unless it is a proxy.
        if !is_counted {
            self.count(key, now, config)?;
        }
        self.addresses.lock().acquire(key, now, config.admission.connections_per_address_max)?;
        Ok(Some(AddressPermit { admission: Arc::clone(self), key }))
    }

    fn count(&self, key: AddressKey, now: Instant, config: &Config) -> Result<(), Excess> {
        let limits = &config.admission;
        let quota = Quota::with_burst(limits.handshake_rate_per_address_max, ADDRESS_BURST_SECONDS);
        self.addresses.lock().count_attempt(key, now, quota)?;
        let quota = Quota::with_burst(limits.handshake_rate_max, TOTAL_BURST_SECONDS);
        self.total.lock().try_take(now, quota).map_err(Excess::TotalRate)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        self.admission.addresses.lock().release(self.key, Instant::now());
    }
}
