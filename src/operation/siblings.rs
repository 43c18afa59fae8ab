//! Siblings: whether the other hubs of the cluster have room for the connections that this one is going to close.

use super::state::State;
use crate::engine::nats::peers::Balance;

/// What the other hubs can take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Siblings {
    /// Hubs that serve.
    pub(crate) serving: usize,
    /// Connections that they take together.
    pub(crate) room: u64,
    /// Connections that this hub has.
    pub(crate) connections: u64,
}

impl Siblings {
    /// Returns those of this moment; `None` without a cluster.
    pub(crate) fn of(state: &State) -> Option<Self> {
        let peers = state.engine.peers()?;
        let connections = state.hub().placement().taken() as u64;
        // Of the others alone, so the stage of this hub does not matter.
        let Balance { serving, room, .. } = peers.balance(connections, state.lifecycle.stage().into());
        Some(Self { serving, room, connections })
    }

    /// Returns what is wrong, and what to do, if they cannot take the connections of this hub.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { serving, room, connections } = *self;
        match connections.checked_sub(room) {
            None | Some(0) => None,
            Some(_) if serving == 0 => Some(format!(
                "no other hub serves, so {connections} connections have nowhere to go: start another hub first, or \
                 cancel the drain of one"
            )),
            Some(lack) => Some(format!(
                "the other {serving} hubs have room for {room} of {connections} connections, {lack} too few: start \
                 another hub first, or raise --connections-max of those that serve"
            )),
        }
    }
}

/// Logs what is wrong when this hub begins to close its connections, if anything is.
pub(crate) fn log_lack(state: &State) {
    if let Some(warning) = Siblings::of(state).and_then(|siblings| siblings.warning()) {
        tracing::warn!("drain: {warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_without_a_place_are_told_with_what_to_do() {
        let warning = |serving, room, connections| Siblings { serving, room, connections }.warning();
        assert_eq!((warning(2, 100, 100), warning(0, 0, 0)), (None, None));
        let text = warning(2, 100, 150).unwrap();
        assert!(text.contains("the other 2 hubs have room for 100 of 150 connections, 50 too few"), "{text}");
        assert!(warning(0, 0, 1).unwrap().contains("no other hub serves"));
    }
}
