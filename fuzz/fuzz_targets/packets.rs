//! See `broker::fuzzing::packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker::fuzzing::packets(input));
