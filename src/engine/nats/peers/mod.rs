//! Peers: the other hubs of the cluster, who is there, what they are asked, and what they tell.
//!
//! Everything here goes over core NATS and may be lost. So nothing is concluded from silence: a heartbeat is repeated, an
//! answer that does not come is named as missing, and a count that was lost is corrected by the next digest.
//!
//! # Policy
//!
//! Every number has a bound: hubs, asks under way, parts and bytes of an answer. What is beyond a bound is counted and
//! named in the answer, never dropped silently.

mod gathering;
mod merge;
mod message;
mod registry;
