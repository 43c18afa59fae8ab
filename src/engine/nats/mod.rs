//! The engine of a cluster: several hubs behind one balancer that are one service, over NATS.

pub mod peers;
