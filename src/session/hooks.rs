//! Hooks: the questions that the application answers while a client waits.
//!
//! A session asks through [`Hooks`] and does not know how the application is reached. An application that fails, or is
//! too slow, answers too: with the error that its clients may try again after.

use crate::auth::UserId;
use crate::config::HookName;
use crate::hub::ClientId;
use crate::protocol::centrifuge::{Connect, Error, Format, Rpc, Subscribe};
use crate::protocol::{Disconnection, Payload};
use bytes::Bytes;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Seconds until the application is asked again after it has failed, as Centrifugo waits: its clients stay meanwhile.
pub const RETRY_SECONDS: u64 = 60;

/// An answer that comes.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Decision<T>> + Send + 'a>>;

/// The application.
pub trait Hooks: fmt::Debug + Send + Sync {
    /// Returns whether the application is asked this, about that channel if the question is about one. A question that
    /// it is not asked has an error as its answer.
    fn has(&self, name: HookName, channel: Option<&str>) -> bool;

    /// Asks who a client without a token is.
    fn connect<'a>(&'a self, asker: &'a Asker, request: &'a Connect) -> Answer<'a, Admission>;

    /// Asks whether a connection that expires goes on.
    fn refresh<'a>(&'a self, asker: &'a Asker) -> Answer<'a, Renewal>;

    /// Asks whether a client may subscribe.
    fn subscribe<'a>(&'a self, asker: &'a Asker, request: &'a Subscribe) -> Answer<'a, Subscription>;

    /// Asks whether a subscription that expires goes on.
    fn sub_refresh<'a>(&'a self, asker: &'a Asker, channel: &'a str) -> Answer<'a, Renewal>;

    /// Asks whether a client may publish.
    fn publish<'a>(&'a self, asker: &'a Asker, channel: &'a str, data: &'a Payload) -> Answer<'a, Approval>;

    /// Makes a call of a client. The answer is what it returns.
    fn rpc<'a>(&'a self, asker: &'a Asker, request: &'a Rpc) -> Answer<'a, Option<Payload>>;
}

/// The client that a question is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asker {
    /// Its id as it and backends know it.
    pub client: ClientId,
    /// `None` for an anonymous one, and before the answer to `connect`.
    pub user: Option<UserId>,
    /// `None` for a client of the chat protocol.
    pub format: Option<Format>,
    /// What the application said of it to itself, or its token: one JSON object that clients never see.
    pub meta: Option<Arc<str>>,
    /// Headers of its handshake, of which each hook gets those that its table names.
    pub headers: Vec<(String, Bytes)>,
}

impl Asker {
    /// Returns a client of the chat protocol of which nothing else is known.
    pub fn of(client: ClientId, user: Option<UserId>) -> Self {
        Self { client, user, format: None, meta: None, headers: Vec::new() }
    }
}

/// What the application decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision<T> {
    /// The client may.
    Allowed(T),
    /// The command of the client has this error, a temporary one if the application failed.
    Refused(Error),
    /// The connection ends.
    Closed(Disconnection),
}

/// A client that the application lets in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Admission {
    /// `None` for an anonymous one.
    pub user: Option<UserId>,
    /// When the connection expires, in seconds since 1970; `None` if it does not.
    pub expires_at: Option<u64>,
    /// What others may know of it: one JSON value without white space between its parts.
    pub info: Option<Arc<str>>,
    /// What the client gets.
    pub data: Option<Payload>,
    /// The channels that it is subscribed to, as those that a token names.
    pub channels: Vec<(String, Subscription)>,
    /// Comes back with every later question about it, as [`Asker::meta`].
    pub meta: Option<Arc<str>>,
}

/// A subscription that the application allows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscription {
    /// What others in the channel may know of the client, as [`Admission::info`].
    pub info: Option<Arc<str>>,
    /// What the client gets.
    pub data: Option<Payload>,
    /// When the subscription expires, as [`Admission::expires_at`].
    pub expires_at: Option<u64>,
}

/// A publication that the application allows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Approval {
    /// What is published instead.
    pub data: Option<Payload>,
    /// Names and values that subscribers get with it, by name.
    pub tags: Vec<(String, String)>,
}

/// What becomes of a connection, or a subscription, that expires.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// It ends.
    Expired,
    /// It goes on.
    Until(Extension),
}

/// How a connection, or a subscription, goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Extension {
    /// Until then, in seconds since 1970; `None` if it does not expire any more.
    pub expires_at: Option<u64>,
    /// What others may know of the client in its later subscriptions; `None` for what they knew.
    pub info: Option<Arc<str>>,
    /// Replaces [`Asker::meta`]; `None` leaves it as it was.
    pub meta: Option<Arc<str>>,
}
