//! The README as somebody new walks through it: every command that it shows is one of these, and is run,
//! or says why not.

mod commands;
mod readme;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    suite::run([readme::cases(), commands::cases()].concat())
}
