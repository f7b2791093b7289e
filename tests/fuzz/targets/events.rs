//! Any events, in any order and at any time, through the assembler and the sinks.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| synfin_fuzz::events(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    synfin_fuzz::replay(synfin_fuzz::events)
}
