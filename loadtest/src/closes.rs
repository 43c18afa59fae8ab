//! The closes: how many connections the server ended, with which codes, and when.

use std::collections::BTreeMap;

use serde::Serialize;

/// Ends of connections, in the order they were seen.
#[derive(Debug, Default)]
pub(crate) struct Closes(Vec<Close>);

/// The end of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Close {
    pub(crate) client: usize,
    /// As sent by the server; 1005 for a close frame without a code, 1006 for none at all.
    pub(crate) code: u16,
    pub(crate) reason: String,
}

/// Connections that ended the same way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CloseCount {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) count: usize,
}

impl Closes {
    /// Notes one.
    pub(crate) fn note(&mut self, client: usize, code: u16, reason: &str) {
        self.0.push(Close { client, code, reason: reason.to_owned() });
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Counts those of the clients for which `is_wanted` holds, by code. The first reason stands for all of a code.
    pub(crate) fn counts(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<CloseCount> {
        let mut counts = BTreeMap::new();
        for close in self.0.iter().filter(|close| is_wanted(close.client)) {
            let first = || CloseCount { code: close.code, reason: close.reason.clone(), count: 0 };
            counts.entry(close.code).or_insert_with(first).count += 1;
        }
        counts.into_values().collect()
    }
}
