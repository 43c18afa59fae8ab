//! A close log: the connections that the server closed, and with which codes.

use crate::measure::CloseCount;

/// Ends of connections, in the order they were seen.
#[derive(Debug, Default)]
pub(crate) struct CloseLog(Vec<Close>);

/// The end of one connection.
#[derive(Clone, Debug)]
struct Close {
    client: usize,
    code: u16,
    reason: String,
}

impl CloseLog {
    /// Notes one: 1005 for a close frame without a code, 1006 for none at all.
    pub(crate) fn note(&mut self, client: usize, code: u16, reason: &str) {
        self.0.push(Close { client, code, reason: reason.to_owned() });
    }

    /// Returns how many there were.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Counts those of the clients for which `is_wanted` holds, by code. The first reason stands for all of a code.
    pub(crate) fn counts(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<CloseCount> {
        let closes = self.0.iter().filter(|close| is_wanted(close.client));
        CloseCount::sum(closes.map(|close| CloseCount { code: close.code, reason: close.reason.clone(), count: 1 }))
    }
}
