//! The fan-out: offers one coalesced message to every subscriber that is ready for it.

use super::connection::Connection;
use super::shard_channel::Subscription;
use crate::hub::{Sent, Sink};

/// One message for all who stand at `from`: the publications of `from..to` as one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whoever stands before it lags beyond the bound.
    pub(super) floor: u64,
    pub(super) frame: &'a [u8],
}

/// Why a subscriber was not served by a fan-out; the shard looks at it afterwards.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unserved {
    /// The sink took only this many bytes of the frame.
    Short(usize),
    /// The sink is gone.
    Gone,
    /// It stands between `from` and `to`: it came while the run gathered.
    Straggler,
    /// It is parked and lags beyond the bound.
    Lagging,
}

/// Offers a run to each of `subscriptions` and returns how many sends that took.
///
/// # Hot path
///
/// The loop body runs once per delivery of a message. It costs one send, one look at the connection's cache line and
/// one at the subscription's; no allocation, lock, atomic, look-up or clock. See `benches/fan_out.rs`.
pub(super) fn fan_out<S: Sink>(
    run: Run<'_>,
    subscriptions: &mut [Subscription],
    connections: &mut [Option<Connection<S>>],
    unserved: &mut Vec<(u32, Unserved)>,
) -> usize {
    let mut sends = 0;
    for subscription in subscriptions {
        let Some(Some(connection)) = connections.get_mut(subscription.slot as usize) else { continue };
        if subscription.cursor != run.from || !connection.takes_publications() {
            set_aside(run, *subscription, connection, unserved);
            continue;
        }
        sends += 1;
        match connection.sink.send(run.frame) {
            Sent::All => subscription.cursor = run.to,
            Sent::Short(0) => unserved.push((subscription.slot, Unserved::Short(0))),
            Sent::Short(taken) => {
                // The rest of the frame moves to the lane: the cursor stays on a message edge.
                subscription.cursor = run.to;
                unserved.push((subscription.slot, Unserved::Short(taken)));
            }
            Sent::Gone => unserved.push((subscription.slot, Unserved::Gone)),
        }
    }
    sends
}

#[cold]
fn set_aside<S>(run: Run<'_>, at: Subscription, connection: &Connection<S>, unserved: &mut Vec<(u32, Unserved)>) {
    if connection.takes_publications() {
        if at.cursor < run.to {
            unserved.push((at.slot, Unserved::Straggler));
        }
    } else if connection.is_parked && at.cursor < run.floor {
        unserved.push((at.slot, Unserved::Lagging));
    }
}
