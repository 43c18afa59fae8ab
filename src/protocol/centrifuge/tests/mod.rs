//! Both formats, against the examples of the protocol, against each other, and against any bytes.

mod any_bytes;
mod examples;
mod formats;

use super::{Format, Push, Reply, push, reply};
use crate::protocol::{Payload, Publication};

/// What a client gets.
#[derive(Clone, Debug)]
enum Sent {
    Reply(Reply),
    Push(Push),
}

impl Sent {
    fn encode(&self, format: Format) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Reply(one) => reply(format, one, &mut out),
            Self::Push(one) => push(format, one, &mut out),
        }
        out
    }
}

fn published(offset: u64, value: &str) -> Publication {
    Publication { offset, at: 0, payload: Payload::json(value) }
}
