//! Any bytes of a client are events, or are refused; in whatever pieces they come, the events are the same.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| throng_fuzz::frames(bytes));
