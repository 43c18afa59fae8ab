//! Any frame of a client of the Centrifuge protocol that speaks Protobuf is commands, or is refused.

#![no_main]

mod commands;

use throng::protocol::centrifuge::Format;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| commands::check(Format::Protobuf, frame));
