//! A worker: a process that holds a share of the clients and does what the coordinator requests.

// The conversation with the coordinator.
pub(crate) mod messages;
pub(crate) mod share;

mod link;
mod requests;
mod run;
mod tasks;
mod ticker;

// The loop that reads and sends.
mod engine;

// Connections.
mod arrivals;
mod connector;
mod dialer;
mod refusals;
mod retries;

mod client;
mod pool;
mod stream;
mod tls;

// Sending.
mod api_connection;
mod backend;
mod publisher;
mod source;

// Accounting of deliveries.
mod gaps;
mod positions;
mod read_tally;
mod spread;
mod tally;

mod close_log;
mod validators;

pub(crate) use run::run;
