//! The operators' API below `/admin/`: JSON, with a key in every request.

mod channels;
mod cluster;
mod connections;
mod disconnect;
mod drain;
mod error;
mod query;
mod routes;

pub(super) use routes::{bearer, check_key_of, respond};
