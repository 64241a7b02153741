//! See `broker::fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker::fuzzing::frames(input));
