//! This program inside of the sandbox: a part of a test that runs as a process of its own.

use std::env;
use std::io::Write as _;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::refused;

/// The first argument of a process that plays a part.
const INSIDE: &str = "--inside";

/// A command that plays a part.
pub(crate) fn command(part: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("find this program")?);
    command.args([INSIDE, part]);
    Ok(command)
}

/// Plays a part, where that was asked for; gives how it went.
pub(crate) fn played() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != INSIDE {
        return None;
    }
    let part = arguments.next()?;
    let rest: Vec<_> = arguments.collect();
    Some(match play(&part, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    })
}

fn play(part: &str, rest: &[String]) -> Result<()> {
    match part {
        "attempts" => refused::attempt(rest),
        _ => bail!("there is no part {part}"),
    }
}

/// Tells the test something.
pub(crate) fn tell(words: &str) -> Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{words}")?;
    Ok(stdout.flush()?)
}
