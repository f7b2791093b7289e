//! The daemon under test: started in a namespace, waited for, stopped by signal, and read.

use std::fs;
use std::path::Path;
use std::process::{ChildStdout, Command};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::evidence;
use crate::netns::{NEAR, Namespace};
use crate::process::{self, Background, Output};
use crate::record::{self, Connection};
use crate::requirement::{self, has_tcx};

/// How the line begins that says that an interface is traced.
const TRACING: &str = "synfin: tracing";

/// The summary's name for the segments that the programs saw.
pub const SEGMENTS: &str = "TCP segments";

/// The summary's name for the segments that ask for a connection.
pub const SYNS: &str = "SYNs";

/// Modes of attaching that every promise holds in, where the kernel has them.
#[must_use]
pub fn modes() -> [&'static str; 2] {
    let tc = if has_tcx() { "tcx" } else { "clsact" };
    ["native", tc]
}

/// All modes of attaching that the kernel has.
#[must_use]
pub fn all_modes() -> Vec<&'static str> {
    let tcx = has_tcx().then_some("tcx");
    ["native", "generic", "clsact"]
        .into_iter()
        .chain(tcx)
        .collect()
}

/// `synfin` with these arguments, inside the namespace.
#[must_use]
pub fn command(namespace: &Namespace, arguments: &[&str]) -> Command {
    let mut command = namespace.command(requirement::daemon());
    command.args(arguments);
    command
}

/// Runs `synfin` to its end by itself.
///
/// # Errors
/// Where it cannot be started or does not end.
pub fn run(namespace: &Namespace, arguments: &[&str]) -> Result<Output> {
    finished(process::run(&mut command(namespace, arguments))?)
}

/// A running `synfin trace`.
#[derive(Debug)]
pub struct Tracer {
    process: Background,
}

impl Tracer {
    /// Traces [`NEAR`] with records in JSON.
    ///
    /// # Errors
    /// Where it does not come to trace.
    pub fn json(namespace: &Namespace, arguments: &[&str]) -> Result<Self> {
        let fixed = ["trace", "-i", NEAR, "--format", "json"];
        Self::start(&mut command(namespace, &[&fixed, arguments].concat()), 1)
    }

    /// Starts any command that traces so many interfaces, and waits until it does.
    ///
    /// # Errors
    /// Where it does not come to trace.
    pub fn start(command: &mut Command, interfaces: usize) -> Result<Self> {
        let mut process = Background::start(command)?;
        await_tracing(&mut process, interfaces)?;
        Ok(Self { process })
    }

    /// Starts a command as [`Tracer::start`] does, and leaves its standard output to the caller.
    ///
    /// # Errors
    /// Where it does not come to trace.
    pub fn start_unread(command: &mut Command) -> Result<(Self, ChildStdout)> {
        let (mut process, stdout) = Background::start_unread(command)?;
        await_tracing(&mut process, 1)?;
        Ok((Self { process }, stdout))
    }

    /// Starts a command as [`Tracer::start`] does, and throws its standard output away.
    ///
    /// # Errors
    /// Where it does not come to trace.
    pub fn start_muted(command: &mut Command) -> Result<Self> {
        let mut process = Background::start_muted(command)?;
        await_tracing(&mut process, 1)?;
        Ok(Self { process })
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The number of the process that attaches for it, where there is one.
    ///
    /// # Errors
    /// Where it has ended, or has started others.
    pub fn attacher(&self) -> Result<Option<u32>> {
        let id = self.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.context("list a process' children")?;
        match children.split_whitespace().collect::<Vec<_>>()[..] {
            [] => Ok(None),
            [child] => Ok(Some(child.parse()?)),
            _ => bail!("it has started {children}"),
        }
    }

    /// Sends a signal to the process that attaches for it; gives its number.
    ///
    /// # Errors
    /// Where there is none.
    pub fn signal_attacher(&self, signal: Signal) -> Result<u32> {
        let attacher = self.attacher()?.context("no process attaches for it")?;
        kill(Pid::from_raw(i32::try_from(attacher)?), signal)?;
        Ok(attacher)
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// Sends it a signal that does not end it.
    ///
    /// # Errors
    /// Where it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits until so many connections have been told.
    ///
    /// # Errors
    /// Where they are not told in time.
    pub fn await_connections(&mut self, count: usize) -> Result<()> {
        let told = |text: &str| {
            let lines = text
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let told = lines
                .filter(|line| line.contains(r#""type":"connection""#))
                .count();
            (told >= count).then_some(())
        };
        self.process
            .wait_for_stdout(&format!("{count} connections"), told)
    }

    /// Waits for a text on standard output.
    ///
    /// # Errors
    /// Where it does not come in time.
    pub fn await_text(&mut self, text: &str) -> Result<()> {
        self.process
            .wait_for_stdout(text, |said| said.contains(text).then_some(()))
    }

    /// Waits for a line on standard error that begins so, for the `times`th time.
    ///
    /// # Errors
    /// Where it is not said in time.
    pub fn await_said(&mut self, words: &str, times: usize) -> Result<()> {
        let line = format!("synfin: {words}");
        self.process
            .wait_for_stderr(&format!("{line:?}, {times} times"), |said| {
                let lines = said
                    .split_inclusive('\n')
                    .filter(|said| said.ends_with('\n'));
                let count = lines.filter(|said| said.starts_with(&line)).count();
                (count >= times).then_some(())
            })
    }

    /// Stops it as Ctrl-C does; that is no failure.
    ///
    /// # Errors
    /// Where it does not end, or not with status 0.
    pub fn stop(self) -> Result<Output> {
        self.stop_by(Signal::SIGINT)
    }

    /// Stops it by a signal that it has to take as the wish to end.
    ///
    /// # Errors
    /// Where it does not end, or not with status 0.
    pub fn stop_by(mut self, signal: Signal) -> Result<Output> {
        self.process.signal(signal)?;
        let output = self.finish()?;
        ensure!(
            output.status.success(),
            "{signal} ended it with {}",
            output.status
        );
        Ok(output)
    }

    /// Waits until it ends by itself, with whatever status.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn finish(self) -> Result<Output> {
        finished(self.process.wait()?)
    }

    /// Kills it, so that it has no time to clean up.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn kill(self) -> Result<Output> {
        finished(self.process.kill()?)
    }

    /// Stops it after so many connections were told, and reads them all.
    ///
    /// # Errors
    /// Where they are not told, or told badly.
    pub fn connections(mut self, count: usize) -> Result<(Vec<Connection>, Output)> {
        self.await_connections(count)?;
        let output = self.stop()?;
        Ok((record::connections(&output.stdout)?, output))
    }

    /// Stops it after one connection was told, and reads it.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn connection(self) -> Result<Connection> {
        let (mut connections, _) = self.connections(1)?;
        ensure!(
            connections.len() == 1,
            "{} connections where one was",
            connections.len()
        );
        connections.pop().context("a connection")
    }
}

fn await_tracing(process: &mut Background, interfaces: usize) -> Result<()> {
    let what = format!("`{TRACING}` on {interfaces} interfaces");
    process.wait_for_stderr(&what, |text| {
        let lines = text.split_inclusive('\n');
        let lines = lines.filter(|line| line.starts_with(TRACING) && line.ends_with('\n'));
        (lines.count() >= interfaces).then_some(())
    })
}

/// How the line begins that says that something was done which the sandbox does not allow.
pub const REFUSED: &str = "synfin: the sandbox refused";

fn finished(output: Output) -> Result<Output> {
    evidence::note(
        &format!("synfin ended with {}; standard output", output.status),
        &output.stdout,
    );
    evidence::note("standard error", &output.stderr);
    ensure!(
        !output.stderr.contains("panicked at"),
        "it panicked: {}",
        output.stderr
    );
    ensure!(
        !output.stderr.contains(REFUSED),
        "it did what its sandbox does not allow: {}",
        output.stderr
    );
    Ok(output)
}

/// That it ended well, and did nothing that its sandbox does not allow.
///
/// # Errors
/// Where it did not, with what it said.
pub fn ended_well(output: &Output) -> Result<()> {
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        output.stderr
    );
    ensure!(!output.stderr.contains(REFUSED), "{}", output.stderr);
    Ok(())
}

/// A count of the summary, by its name; `None` where the summary does not name it, which it need
/// not where the count is zero.
#[must_use]
pub fn count(output: &Output, name: &str) -> Option<u64> {
    let lines = output.stderr.lines();
    let mut items = lines.flat_map(|line| line.split("  ").flat_map(|part| part.split(" · ")));
    items.find_map(|item| {
        let (number, named) = item.trim().split_once(' ')?;
        (named == name).then(|| number.parse().ok())?
    })
}

/// Whether the program of this process is the daemon: `ip netns exec` has replaced itself.
///
/// # Errors
/// Where the process is no more.
pub fn is_daemon(pid: u32) -> Result<bool> {
    let program = Path::new("/proc").join(pid.to_string()).join("exe");
    let program = program.read_link().context("read a process' program")?;
    Ok(program == requirement::daemon().canonicalize()?)
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_count_of_the_summary_is_found_by_its_name() {
        let summary = "synfin: 23 connections\n  events     12 TCP segments · 8 events\n  \
                       rejects    3 bad_ip_length · 1 later_fragment\n";
        let output = Output {
            status: ExitStatus::default(),
            stdout: String::new(),
            stderr: summary.to_owned(),
        };
        assert_eq!(count(&output, SEGMENTS), Some(12));
        assert_eq!(count(&output, "events"), Some(8));
        assert_eq!(count(&output, "later_fragment"), Some(1));
        assert_eq!(count(&output, "tiny_fragment"), None);
    }
}
