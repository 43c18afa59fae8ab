//! A pool: the clients of one worker, and how many of them are open or connecting.
//!
//! # Invariants
//!
//! - `open` is the number of clients that are open or stalled, `connecting` of those between SYN and the end of the
//!   greeting. Both change here and nowhere else.

use super::client::{Client, State};
use super::stream::Stream;
use crate::clock::now_ns;
use std::ops::{Index, IndexMut};

/// The clients, by their number in this worker.
#[derive(Debug)]
pub(super) struct Pool {
    clients: Vec<Client>,
    open: usize,
    connecting: usize,
}

impl Pool {
    /// Returns an empty pool with room for `capacity` clients.
    pub(super) fn new(capacity: usize) -> Self {
        Self { clients: Vec::with_capacity(capacity), open: 0, connecting: 0 }
    }

    /// Returns the number of clients in any state.
    pub(super) const fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns the number of clients that are open or stalled.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Returns the number of clients whose handshake is in progress.
    pub(super) const fn connecting(&self) -> usize {
        self.connecting
    }

    pub(super) fn get(&self, index: usize) -> Option<&Client> {
        self.clients.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Client> {
        self.clients.get_mut(index)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Client> {
        self.clients.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Client> {
        self.clients.iter_mut()
    }

    /// Adds a client without a socket and returns its number.
    pub(super) fn add(&mut self) -> usize {
        self.clients.push(Client::new());
        self.clients.len() - 1
    }

    /// Gives a client the socket of a new attempt to connect.
    pub(super) fn begin(&mut self, index: usize, stream: Stream) {
        self.clients[index].begin(stream, now_ns());
        self.connecting += 1;
    }

    /// Counts a connecting client as open.
    pub(super) fn opened(&mut self, index: usize) {
        self.clients[index].state = State::Open;
        self.connecting -= 1;
        self.open += 1;
    }

    /// Takes a client back to the state before an attempt, whatever state it is in.
    pub(super) fn reset(&mut self, index: usize) {
        match self.clients[index].state {
            State::Waiting | State::Closed => {}
            State::Open | State::Stalled => self.open -= 1,
            State::Connecting | State::Shaking(_) | State::Greeting(_) => self.connecting -= 1,
        }
        self.clients[index].end(State::Waiting);
    }

    /// Ends a client that is open.
    pub(super) fn close(&mut self, index: usize, state: State) {
        self.open -= 1;
        self.clients[index].end(state);
    }

    /// Ends all attempts in progress.
    pub(super) fn abandon_attempts(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.is_connecting()) {
            self.connecting -= 1;
            client.end(State::Closed);
        }
    }
}

impl Index<usize> for Pool {
    type Output = Client;

    fn index(&self, index: usize) -> &Client {
        &self.clients[index]
    }
}

impl IndexMut<usize> for Pool {
    fn index_mut(&mut self, index: usize) -> &mut Client {
        &mut self.clients[index]
    }
}
