//! The page of `synfin report` in a browser: what it shows, with its script and without, and that nothing from a
//! record becomes markup.

mod hostile;
mod live;
mod looking;
mod many;
mod page;

use std::process::ExitCode;

use synfin_tests::suite;

fn main() -> ExitCode {
    let cases = [
        hostile::cases(),
        live::cases(),
        looking::cases(),
        many::cases(),
    ];
    suite::run(cases.concat())
}
