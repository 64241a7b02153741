//! See `broker::fuzzing::topics`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker::fuzzing::topics(input));
