//! A frame: commands of a client in their order, or replies and pushes of ours.

use super::command::Command;
use super::format::{Format, Malformed};
use super::reply::{Push, Reply};
use super::{json, protobuf};

/// Reads the commands of a frame in their order; nothing follows the first that is malformed.
///
/// An empty frame has none: the protocol closes a connection that sends one, with code 3501.
pub fn commands(format: Format, frame: &[u8]) -> Commands<'_> {
    Commands { format, rest: frame }
}

/// The commands of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Commands<'a> {
    format: Format,
    rest: &'a [u8],
}

impl Iterator for Commands<'_> {
    type Item = Result<Command, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let command = match self.format {
            Format::Json => json::command(&mut self.rest),
            Format::Protobuf => protobuf::command(&mut self.rest),
        };
        if command.is_err() {
            self.rest = &[];
        }
        Some(command)
    }
}

/// Appends a reply as a part of a frame.
///
/// Parts follow each other as they are. In JSON each ends with a newline, and a frame leaves out the last one.
pub fn reply(format: Format, reply: &Reply, out: &mut Vec<u8>) {
    match format {
        Format::Json => json::reply(reply, out),
        Format::Protobuf => protobuf::reply(reply, out),
    }
}

/// Appends a push as a part of a frame, as [`reply`] does.
pub fn push(format: Format, push: &Push, out: &mut Vec<u8>) {
    match format {
        Format::Json => json::push(push, out),
        Format::Protobuf => protobuf::push(push, out),
    }
}
