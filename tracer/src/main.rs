//! The command `synfin`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use synfin::cli::{self, Cli, Command};
use synfin::detach;
use synfin::diagnosis;
use synfin::doctor;
use synfin::read;
use synfin::report;
use synfin::say::say;
use synfin::top;
use synfin::trace;
use synfin::writer::is_closed_pipe;

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

/// Prints what a command says; a reader that has heard enough is no error.
fn print(octets: &[u8]) -> anyhow::Result<()> {
    match io::stdout().write_all(octets) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("write to standard output"),
        _ => Ok(()),
    }
}

fn explain(options: &cli::Explain) -> anyhow::Result<()> {
    match &options.code {
        Some(code) => print(diagnosis::explain(code)?.as_bytes()),
        None => print(diagnosis::catalogue().as_bytes()),
    }
}
