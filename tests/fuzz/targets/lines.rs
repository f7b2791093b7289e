//! Any octets as lines of JSON.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| synfin_fuzz::lines(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    synfin_fuzz::replay(synfin_fuzz::lines)
}
