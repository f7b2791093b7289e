//! Child processes: what they say is kept, they end in time, and none outlives its test.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::evidence;
use crate::wait::{self, limit};

/// A process that goes on saying something is waited for so many times as long as a silent one.
const MORE: u32 = 5;

/// How a process ended and what it said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status or signal.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end, whatever its status.
///
/// # Errors
/// Where it cannot be started, or does not end within [`limit`].
pub fn run(command: &mut Command) -> Result<Output> {
    Background::start(command)?.wait()
}

/// Runs a command that has to succeed, and gives its standard output.
///
/// # Errors
/// Where it cannot be started, does not end in time, or fails; with what it said.
pub fn succeed(command: &mut Command) -> Result<String> {
    let output = run(command)?;
    ensure!(
        output.status.success(),
        "`{}` ended with {}: {}",
        shown(command),
        output.status,
        output.stderr.trim()
    );
    Ok(output.stdout)
}

/// A process beside the test. It is killed where it still runs when dropped.
#[derive(Debug)]
pub struct Background {
    what: String,
    child: Child,
    stdout: Option<Collector>,
    stderr: Collector,
}

impl Background {
    /// Starts it with nothing to read, and keeps what it says.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let (mut process, stdout) = Self::start_unread(command)?;
        process.stdout = Some(Collector::of(stdout));
        Ok(process)
    }

    /// Starts it as [`Background::start`] does, but leaves its standard output to the caller.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_unread(command: &mut Command) -> Result<(Self, ChildStdout)> {
        let mut process = Self::spawn(command, Stdio::piped())?;
        let stdout = process.child.stdout.take();
        Ok((process, stdout.context("take the standard output")?))
    }

    /// Starts it as [`Background::start`] does, but throws its standard output away.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_muted(command: &mut Command) -> Result<Self> {
        Self::spawn(command, Stdio::null())
    }

    fn spawn(command: &mut Command, stdout: Stdio) -> Result<Self> {
        let what = shown(command);
        // A test run that is killed has no time to end what it started; the kernel does it then.
        let end_with_us = || Ok(set_pdeathsig(Signal::SIGKILL)?);
        // SAFETY: between fork and exec the closure makes one system call and nothing else.
        unsafe { command.pre_exec(end_with_us) };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start `{what}`"))?;
        let stderr = child.stderr.take().context("take the standard error")?;
        Ok(Self {
            what,
            child,
            stdout: None,
            stderr: Collector::of(stderr),
        })
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout
            .as_ref()
            .map(Collector::text)
            .unwrap_or_default()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for something in its standard output.
    ///
    /// # Errors
    /// Where it ends without, or says nothing for [`limit`]; with what it said.
    pub fn wait_for_stdout<T>(
        &mut self,
        what: &str,
        find: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let stdout = self
            .stdout
            .clone()
            .context("its standard output is not read")?;
        self.wait_for(what, &stdout, find)
    }

    /// Waits for something in its standard error.
    ///
    /// # Errors
    /// Where it ends without, or says nothing for [`limit`]; with what it said.
    pub fn wait_for_stderr<T>(
        &mut self,
        what: &str,
        find: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let stderr = self.stderr.clone();
        self.wait_for(what, &stderr, find)
    }

    fn wait_for<T>(
        &mut self,
        what: &str,
        said: &Collector,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        match said.wait_for(&mut find) {
            Some(found) => Ok(found),
            None => bail!(
                "waited for {what} of `{}` in vain; it said:\n{}{}",
                self.what,
                self.stdout(),
                self.stderr()
            ),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// Where it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // The number of a process that was waited for may be another's by now.
        let ended = self.child.try_wait().context("look after a process")?;
        ensure!(ended.is_none(), "`{}` has ended already", self.what);
        let pid = i32::try_from(self.id()).context("read a process number")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal}"))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Where that does not happen within [`limit`].
    pub fn wait(mut self) -> Result<Output> {
        let what = format!("the end of `{}`", self.what);
        let status = wait::until(what, || Ok(self.child.try_wait()?))?;
        if let Some(stdout) = &self.stdout {
            stdout.wait_for_end()?;
        }
        self.stderr.wait_for_end()?;
        Ok(Output {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        })
    }

    /// Kills it, as the kernel does with a process out of luck.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn kill(mut self) -> Result<Output> {
        self.child.kill().context("kill a process")?;
        self.wait()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            evidence::note(
                &format!("`{}` was still running", self.what),
                &format!("{}{}", self.stdout(), self.stderr()),
            );
            // A failure here has nowhere to go, and means that it has ended just now.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Removes from a directory what test runs have left that were killed: whatever begins with `prefix` and
/// the number of a process that is no more.
pub(crate) fn sweep(place: &Path, prefix: &str, remove: fn(PathBuf) -> io::Result<()>) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once('-'));
        if let Some((owner, _)) = owner
            && is_gone(owner)
            && let Err(error) = remove(entry.path())
        {
            eprintln!("{name} is left: {error}");
        }
    }
}

/// Whether the process of this number is no more, or is only waited for.
#[must_use]
pub fn is_gone(number: &str) -> bool {
    let program = Path::new("/proc").join(number).join("exe");
    number.parse::<u32>().is_ok() && program.read_link().is_err()
}

/// How a command line looks.
#[must_use]
pub fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Reads a pipe in a thread of its own, so that its writer never waits for the test.
#[derive(Clone, Debug)]
struct Collector {
    shared: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    octets: Vec<u8>,
    ended: bool,
}

impl Collector {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let collector = Self {
            shared: Arc::default(),
        };
        let ours = collector.clone();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut said = ours.lock();
                said.octets.extend(buffer.iter().take(read));
                said.ended = read == 0;
                ours.shared.1.notify_all();
                if said.ended {
                    return;
                }
            }
        });
        collector
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().octets).into_owned()
    }

    fn wait_for<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let last = Instant::now() + limit() * MORE;
        let mut said = self.lock();
        let (mut deadline, mut len) = (Instant::now() + limit(), said.octets.len());
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&said.octets)) {
                return Some(found);
            }
            // What a hundred lines are to say is on its way while they come.
            if said.octets.len() > len {
                (deadline, len) = (last.min(Instant::now() + limit()), said.octets.len());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.ended || left == Duration::ZERO {
                return None;
            }
            let (next, _) = (self.shared.1)
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner);
            said = next;
        }
    }

    fn wait_for_end(&self) -> Result<()> {
        wait::until("the end of a pipe", || Ok(self.lock().ended.then_some(())))
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_and_the_status_are_kept() -> Result<()> {
        let output = run(&mut shell("echo out; echo err >&2; exit 3"))?;
        assert_eq!(output.stdout, "out\n");
        assert_eq!(output.stderr, "err\n");
        assert_eq!(output.status.code(), Some(3));
        Ok(())
    }

    #[test]
    fn a_failing_command_is_named_with_what_it_said() {
        let error = succeed(&mut shell("echo woe >&2; false"));
        assert!(error.is_err_and(|error| error.to_string().contains("woe")));
    }

    #[test]
    fn waiting_for_words_of_a_process_that_ends_without_them_fails_at_once() -> Result<()> {
        let mut process = Background::start(&mut shell("echo something else"))?;
        let found = process.wait_for_stdout("a word", |text| text.find("word"));
        assert!(found.is_err_and(|error| error.to_string().contains("something else")));
        Ok(())
    }

    #[test]
    fn a_dropped_process_is_gone() -> Result<()> {
        let process = Background::start(&mut shell("exec sleep 600"))?;
        let pid = Pid::from_raw(i32::try_from(process.id())?);
        assert!(!is_gone(&pid.to_string()));
        drop(process);
        assert!(is_gone(&pid.to_string()));
        Ok(())
    }
}
