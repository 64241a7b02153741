//! See `broker::fuzzing::connect`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker::fuzzing::connect(input));
