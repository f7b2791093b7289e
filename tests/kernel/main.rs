//! The loaded programs, fed with frames by BPF_PROG_TEST_RUN, beside the same tracker in user space.

mod both;
mod budget;
mod captures;
mod counted;
mod flood;
mod hostile;
mod parity;
mod races;
mod selection;
mod tunnels;
mod version;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [
        budget::cases(),
        captures::cases(),
        counted::cases(),
        flood::cases(),
        hostile::cases(),
        parity::cases(),
        races::cases(),
        selection::cases(),
        tunnels::cases(),
        version::cases(),
    ];
    suite::run(cases.concat())
}
