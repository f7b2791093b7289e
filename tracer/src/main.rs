//! The command `synfin`.

use std::process::ExitCode;

use synfin::cli::{Cli, Command};
use synfin::detach;
use synfin::read;
use synfin::report;
use synfin::say::say;
use synfin::trace;

fn main() -> ExitCode {
    let result = match Cli::parse_checked().command {
        Command::Trace(options) => trace::run(&options),
        Command::Read(options) => read::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Detach(options) => detach::run(&options).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
