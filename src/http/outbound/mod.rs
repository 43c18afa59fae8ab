//! Requests that the hub sends: to addresses of the settings only, without redirects, bounded in size.

mod client;
mod stream;

pub(crate) use client::{HttpClient, PostError};
pub(crate) use stream::Dialer;
