//! The terms of a subscription: what its channel offers, and what the client is told of where it begins.

use crate::config::ChannelOptions;
use crate::hub::{HistoryOptions, OnLag, Since};
use crate::protocol::centrifuge::{Expiry, Format, ServerSubscription, StreamPosition, SubscribeResult};
use crate::protocol::position::Start;
use crate::protocol::{Encoding, Epoch, Payload, Position, Publication};

/// What a subscription offers, and what the client wants of it.
#[expect(clippy::struct_excessive_bools, reason = "independent terms")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    is_recoverable: bool,
    is_positioned: bool,
    /// The position that the client wants to recover from.
    recover: Option<&'a StreamPosition>,
    /// An incomplete recovery is an error.
    rejects_unrecovered: bool,
    /// When the token of the subscription expires.
    expires: Option<Expiry>,
    /// Publications come as what has changed.
    has_deltas: bool,
    /// A backend made it.
    is_server_side: bool,
}

impl<'a> Terms<'a> {
    /// Returns the terms of a channel with these options, for a client that wants to recover from there.
    pub(super) fn new(channel: &ChannelOptions, recover: Option<&'a StreamPosition>) -> Self {
        let has_history = HistoryOptions::of(channel).is_on();
        let is_recoverable = has_history && channel.options.recovery;
        Self {
            is_recoverable,
            is_positioned: is_recoverable || has_history && channel.options.positioning,
            recover: recover.filter(|_| is_recoverable),
            rejects_unrecovered: false,
            expires: None,
            has_deltas: false,
            is_server_side: false,
        }
    }

    /// Declines a recovery that is incomplete.
    pub(super) fn rejecting_unrecovered(self, rejects_unrecovered: bool) -> Self {
        Self { rejects_unrecovered, ..self }
    }

    /// Tells when the token of the subscription expires.
    pub(super) fn expiring(self, expires: Option<Expiry>) -> Self {
        Self { expires, ..self }
    }

    /// Returns what becomes of a subscription that lags. A positioned one is made again, by its client if it made it.
    pub(super) fn on_lag(&self) -> OnLag {
        match (self.is_positioned, self.is_server_side) {
            (false, _) => OnLag::Policy,
            (true, false) => OnLag::Resubscribe,
            (true, true) => OnLag::Reconnect,
        }
    }

    /// Makes it the subscription of a backend.
    pub(super) fn server_side(self) -> Self {
        Self { is_server_side: true, ..self }
    }

    /// Sends publications as what has changed since the one before.
    pub(super) fn with_deltas(self, has_deltas: bool) -> Self {
        Self { has_deltas, ..self }
    }

    /// Returns how publications come in a format.
    pub(super) fn encoding(&self, format: Format) -> Encoding {
        if self.has_deltas { Encoding::CentrifugeDeltas(format) } else { Encoding::Centrifuge(format) }
    }

    pub(super) fn since(&self) -> Since {
        let Some(StreamPosition { epoch, offset }) = self.recover else { return Since::Now };
        if epoch.is_empty() {
            return Since::Offset(*offset);
        }
        // An epoch that is not one of ours is never the one of a channel.
        let epoch = Epoch::parse(epoch).unwrap_or(Epoch::UNKNOWN);
        Since::After { position: Position { epoch, offset: *offset }, or_newest: 0 }
    }

    /// Returns what the client is told; `None` if it does not want to begin like that.
    pub(super) fn result(
        &self,
        start: Start,
        publications: &mut dyn Iterator<Item = Publication>,
    ) -> Option<SubscribeResult> {
        let recovered = start.is_recovered == Some(true);
        if self.recover.is_some() && !recovered && self.rejects_unrecovered {
            return None;
        }
        let (epoch, top) = position(start);
        Some(SubscribeResult {
            expires: self.expires,
            recoverable: self.is_recoverable,
            positioned: self.is_positioned,
            epoch,
            // Its own position: the publications lead from there to the top.
            offset: self.recover.filter(|_| recovered).map_or(top, |recover| recover.offset),
            was_recovering: self.recover.is_some(),
            recovered,
            publications: publications.collect(),
            delta: self.has_deltas,
            ..SubscribeResult::default()
        })
    }

    /// Returns what a client is told of a subscription that it did not ask for.
    pub(super) fn push(&self, start: Start, data: Option<Payload>) -> ServerSubscription {
        let (epoch, offset) = position(start);
        let (recoverable, positioned) = (self.is_recoverable, self.is_positioned);
        ServerSubscription { recoverable, positioned, epoch, offset, data }
    }
}

fn position(start: Start) -> (String, u64) {
    start.position.map_or((String::new(), 0), |position| (position.epoch.to_string(), position.offset))
}
