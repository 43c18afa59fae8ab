//! The messages of the wire: `schema.proto` as types, which a test holds to it.
//!
//! Protobuf has no absent scalar, so an empty text, list or number stands for none. JSON leaves those out, and its data
//! is kept as the text of one JSON value.

pub(super) mod command;
pub(super) mod reply;

#[cfg(test)]
mod tests;
