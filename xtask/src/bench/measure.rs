//! What one run of a program costs: seconds by the wall clock, and the most memory it held.
//!
//! The kernel tells a process the peak memory of all children that it waited for together. So each
//! program gets a small parent of its own, this program again, which has only this child.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};

use crate::exec;

/// What a run cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Seconds by the wall clock, from the start of the program to its end.
    pub(crate) seconds: f64,
    /// Most resident memory, in KiB.
    pub(crate) peak_kib: u64,
}

/// Runs a command through `measurer`, whose [`as_parent`] then tells the cost. What the command says
/// on standard output is thrown away.
pub(crate) fn cost(measurer: &Path, command: &Command) -> Result<Cost> {
    let mut parent = Command::new(measurer);
    parent
        .args(["bench-part", "measure", "--"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = parent
        .output()
        .with_context(|| format!("measure `{}`", exec::shown(command)))?;
    ensure!(
        output.status.success(),
        "`{}` cannot be measured",
        exec::shown(command)
    );
    let said = String::from_utf8_lossy(&output.stdout);
    parse(&said).with_context(|| format!("read a cost in {said:?}"))
}

/// Runs a command as its only child, and says what it cost.
pub(crate) fn as_parent(words: &[OsString]) -> Result<()> {
    let (program, args) = words.split_first().context("measure no command")?;
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .with_context(|| format!("run `{}`", exec::shown(&command)))?;
    let seconds = begin.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}",
        exec::shown(&command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let peak_kib = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    println!("{seconds} {peak_kib}");
    Ok(())
}

fn parse(said: &str) -> Option<Cost> {
    let (seconds, peak_kib) = said.trim_end().split_once(' ')?;
    Some(Cost {
        seconds: seconds.parse().ok()?,
        peak_kib: peak_kib.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_read_as_it_is_said() {
        let cost = Cost {
            seconds: 0.25,
            peak_kib: 4096,
        };
        assert_eq!(parse("0.25 4096\n"), Some(cost));
        assert_eq!(parse(""), None);
    }
}
