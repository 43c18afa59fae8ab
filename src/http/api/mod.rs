//! The HTTP API below `/api/`: what backends use to publish, to read and to manage. JSON in and out, with a key in
//! every request, in the shapes of Centrifugo's API.
//!
//! A request passes [`routes`]: key, method, scope, body; then its method does the work, alone or as a command of a
//! `batch`. Errors are of two sorts, see [`error`].

mod body;
mod call;
mod dispatch;
mod error;
mod everywhere;
mod gaps;
mod json;
mod key;
mod method;
mod openapi;
mod reply;
mod routes;

mod batch;
mod broadcast;
mod channels;
mod connections;
mod disconnect;
mod history;
mod info;
mod payload;
mod presence;
mod publish;
mod refresh;
mod stream;
mod subscribe;
mod unsubscribe;

pub(crate) use everywhere::HubForPeers;
pub(super) use everywhere::{Done, disconnect_user};
pub(super) use routes::respond;
