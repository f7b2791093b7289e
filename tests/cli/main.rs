//! The command line of synfin: what it takes, what it refuses, what it says, and how it ends.

mod captures;
mod ending;
mod faults;
mod formats;
mod manners;
mod output;
mod refusals;
mod report;
mod selection;
mod talks;
mod wrong_flags;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [
        captures::cases(),
        ending::cases(),
        faults::cases(),
        formats::cases(),
        manners::cases(),
        output::cases(),
        refusals::cases(),
        report::cases(),
        selection::cases(),
        wrong_flags::cases(),
    ];
    suite::run(cases.concat())
}
