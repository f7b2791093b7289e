//! Any octets as a capture file.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| synfin_fuzz::captures(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    synfin_fuzz::replay(synfin_fuzz::captures)
}
