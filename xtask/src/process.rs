//! Child processes that never outlive us, and waiting that always ends.

use std::{
    fmt::Display,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    exec::{self, say},
    interrupt,
};

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(3);

const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A process that we started. Dropping it asks it to end, and makes it end.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        say(format_args!("$ {}", exec::shown(command)));
        let child = command
            .spawn()
            .with_context(|| format!("start `{}`", exec::shown(command)))?;
        Ok(Self { child })
    }

    /// The process itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("look after a child process")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        // An ended process was waited for by `ended`, and its number may be another's by now.
        if self.ended()?.is_none() {
            let pid = i32::try_from(self.child.id()).context("read a process number")?;
            kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal}"))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if self.ended()?.is_some() {
                return Ok(());
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        self.child.kill().context("kill a child process")?;
        self.child.wait().context("wait for a child process")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            say(format_args!("{error:#}"));
        }
    }
}

/// Looks again and again until there is an answer, at most this long or until we are interrupted.
/// `what` completes "waited … for".
pub(crate) fn wait_for<T>(
    what: impl Display,
    at_most: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + at_most;
    loop {
        interrupt::check()?;
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what} in vain", at_most.as_secs());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_answer() -> Result<()> {
        let mut looks = 0;
        let answer = wait_for("the third look", Duration::from_secs(5), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        })?;
        assert_eq!(answer, 3);
        Ok(())
    }

    #[test]
    fn waiting_in_vain_names_what_it_waited_for() {
        let outcome = wait_for("a ship", Duration::ZERO, || Ok(None::<()>));
        assert!(outcome.is_err_and(|error| error.to_string().contains("a ship")));
    }

    #[test]
    fn a_dropped_process_is_gone() -> Result<()> {
        let mut running = Running::start(Command::new("sleep").arg("60"))?;
        let pid = running.child().id();
        drop(running);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        Ok(())
    }
}
