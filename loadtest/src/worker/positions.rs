//! Positions: where each client stands in the history of the channel, in a protocol that numbers lines.

use super::messages::Recoveries;
use crate::wire::meaning::Start;

/// Instead of an offset: the client has none.
const NOWHERE: u64 = u64::MAX;

/// The positions of the clients of a worker, in their one channel.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// The incarnation of the history that the clients know.
    epoch: String,
    /// The number of the newest line by client; empty in a protocol without numbers.
    offsets: Vec<u64>,
    pub(crate) recoveries: Recoveries,
}

impl Positions {
    /// Notes where the server says that a client begins.
    pub(super) fn begin(&mut self, client: usize, start: &Start) {
        if self.offsets.len() <= client {
            self.offsets.resize(client + 1, NOWHERE);
        }
        self.offsets[client] = NOWHERE;
        if let Some((epoch, offset)) = &start.position {
            epoch.clone_into(&mut self.epoch);
            // The lines that follow bring it up to there.
            self.offsets[client] = offset.saturating_sub(start.follow);
        }
        match start.is_recovered {
            Some(true) => {
                self.recoveries.complete += 1;
                self.recoveries.lines += start.follow;
            }
            Some(false) => self.recoveries.incomplete += 1,
            None => {}
        }
    }

    /// Returns the offset of a client, to be kept up to date by what it reads; nothing if the channel keeps no history.
    #[inline]
    pub(super) fn offset(&mut self, client: usize) -> Option<&mut u64> {
        self.offsets.get_mut(client).filter(|offset| **offset != NOWHERE)
    }

    /// Returns where a client stands, as the server takes it; nothing if it was never told.
    pub(super) fn of(&self, client: usize) -> Option<String> {
        let offset = self.offsets.get(client).filter(|offset| **offset != NOWHERE)?;
        Some(format!("{}:{offset}", self.epoch))
    }
}
