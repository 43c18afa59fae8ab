//! What a delta makes of its source is its target, whatever both are; the delta of a text is text.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| throng_fuzz::delta(bytes));
