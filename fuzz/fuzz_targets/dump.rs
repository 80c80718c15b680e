#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebuild_core::testing::fuzz::dump(data));
