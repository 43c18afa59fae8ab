//! The terms of a subscription: what its channel offers, and what the client is told of where it begins.

use crate::config::ChannelOptions;
use crate::hub::{HistoryOptions, Since};
use crate::protocol::centrifuge::{Expiry, ServerSubscription, StreamPosition, SubscribeResult};
use crate::protocol::position::Start;
use crate::protocol::{Epoch, Payload, Position, Publication};

/// What a subscription offers, and what the client wants of it.
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
