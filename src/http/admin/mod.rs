//! The operators' API below `/admin/`: JSON, with a key in every request.

mod channels;
mod connections;
mod drain;
mod error;
mod query;
mod routes;

pub(super) use routes::{check_key_of, respond};
