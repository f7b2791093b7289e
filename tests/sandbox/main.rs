//! What synfin may do once it is confined, whom it can be started as, and that it does nothing that it may
//! not: its sandbox from outside and, by the same functions in this very program, from inside.

mod attaching;
mod calls;
mod inside;
mod privileges;
mod refused;
mod screen;
mod talk;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    if let Some(status) = inside::played() {
        return status;
    }
    let cases = [
        attaching::cases(),
        calls::cases(),
        privileges::cases(),
        refused::cases(),
        screen::cases(),
    ];
    suite::run(cases.concat())
}
