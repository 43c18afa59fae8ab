//! The fan-out: offers one frame to every subscriber that is ready for it.

use super::connection::Connection;
use super::shard_channel::Subscription;
use crate::hub::id::Slot;
use crate::hub::{Sent, Sink};

/// One frame for all subscribers at `from`: the publications of `from..to`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) from: u64,
    pub(super) to: u64,
    /// A parked subscriber below it lags beyond the bound.
    pub(super) floor: u64,
    pub(super) frame: &'a [u8],
}

/// Why a subscriber was not served in full; the shard handles it after the loop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unserved {
    /// The sink took only this many bytes of the frame.
    Short(usize),
    /// The sink is gone.
    Gone,
    /// Its cursor is between `from` and `to`: it subscribed while publications were coalesced. Or it gets its messages
    /// split, which is not the common frame.
    Straggler,
    /// It is parked and lags beyond the bound.
    Lagging,
}

/// Offers a run to each of `subscriptions` and returns how many got all of it.
///
/// # Hot path
///
/// The loop body runs once per delivery of a message. It costs one send, one look at the connection's cache line and
/// one at the subscription's; no allocation, lock, atomic, look-up or clock. See `benches/fan_out.rs`.
pub(super) fn fan_out<S: Sink>(
    run: Run<'_>,
    subscriptions: &mut [Subscription],
    connections: &mut [Option<Connection<S>>],
    unserved: &mut Vec<(Slot, Unserved)>,
) -> usize {
    let mut served = 0;
    for subscription in subscriptions {
        let Some(Some(connection)) = connections.get_mut(subscription.slot.index()) else { continue };
        if subscription.cursor != run.from || !connection.takes_publications() {
            set_aside(run, *subscription, connection, unserved);
            continue;
        }
        match connection.sink.send(run.frame) {
            Sent::All => {
                subscription.cursor = run.to;
                served += 1;
            }
            Sent::Short(0) => unserved.push((subscription.slot, Unserved::Short(0))),
            Sent::Short(taken) => {
                // The rest of the frame moves to the control queue: the cursor stays on a message boundary.
                subscription.cursor = run.to;
                unserved.push((subscription.slot, Unserved::Short(taken)));
            }
            Sent::Gone => unserved.push((subscription.slot, Unserved::Gone)),
        }
    }
    served
}

#[cold]
fn set_aside<S>(run: Run<'_>, at: Subscription, connection: &Connection<S>, unserved: &mut Vec<(Slot, Unserved)>) {
    if connection.takes_publications() || connection.takes_split() {
        if at.cursor < run.to {
            unserved.push((at.slot, Unserved::Straggler));
        }
    } else if connection.is_parked && at.cursor < run.floor {
        unserved.push((at.slot, Unserved::Lagging));
    }
}
