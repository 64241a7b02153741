//! See `broker::fuzzing::conversation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| broker::fuzzing::conversation(input));
