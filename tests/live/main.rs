//! synfin on live traffic, between network namespaces that each test makes for itself.

mod article;
mod attaching;
mod devices;
mod diagnosing;
mod doctoring;
mod enduring;
mod faults;
mod flooded;
mod flooding;
mod interfaces;
mod judging;
mod looking;
mod losing;
mod namespaces;
mod odd_frames;
mod offline;
mod paths;
mod programs;
mod races;
mod topping;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [
        article::cases(),
        enduring::cases(),
        faults::cases(),
        attaching::cases(),
        devices::cases(),
        diagnosing::cases(),
        doctoring::cases(),
        flooding::cases(),
        flooded::cases(),
        interfaces::cases(),
        judging::cases(),
        looking::cases(),
        losing::cases(),
        namespaces::cases(),
        odd_frames::cases(),
        offline::cases(),
        paths::cases(),
        programs::cases(),
        races::cases(),
        topping::cases(),
    ];
    suite::run(cases.concat())
}
