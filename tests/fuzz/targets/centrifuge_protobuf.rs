//! Any frame of a client of the Centrifuge protocol that speaks Protobuf is commands, or is refused.

#![no_main]

use throng_fuzz::protocol::centrifuge::Format;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| throng_fuzz::commands(Format::Protobuf, frame));
