//! The command `synfin`.

use std::process::ExitCode;

use synfin::cli::{self, Cli, Command};
use synfin::detach;
use synfin::diagnosis;
use synfin::doctor;
use synfin::read;
use synfin::report;
use synfin::say::say;
use synfin::top;
use synfin::trace;
use synfin::writer::print;

fn main() -> ExitCode {
    let result = match Cli::parse_checked().command {
        Command::Trace(options) => trace::run(&options),
        Command::Read(options) => read::run(&options),
        Command::Report(options) => report::run(&options),
        Command::Top(options) => top::run(&options),
        Command::Detach(options) => detach::run(&options).map_err(Into::into),
        Command::Doctor(options) => doctor::run(&options),
        Command::Explain(options) => explain(&options),
        Command::Completions(options) => print(&options.script()),
        Command::Man(options) => options
            .page()
            .map_err(Into::into)
            .and_then(|page| print(&page)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn explain(options: &cli::Explain) -> anyhow::Result<()> {
    match &options.code {
        Some(code) => print(diagnosis::explain(code)?.as_bytes()),
        None => print(diagnosis::catalogue().as_bytes()),
    }
}
