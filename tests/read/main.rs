//! `synfin read` on captures, held against what others say of them.

mod zeek;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [zeek::cases()];
    suite::run(cases.concat())
}
