//! What asks a live command to end.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::until;

/// Signals, and the end of a time.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// Where the terminal has to be given back.
    terminal: Option<[Signal; 2]>,
    deadline: Option<Instant>,
    came: bool,
}

impl Stop {
    /// From here on a signal ends the command in good order.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            terminal: None,
            deadline: None,
            came: false,
        })
    }

    /// The same, for SIGHUP and SIGQUIT as well: the terminal has to be given back.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub fn of_terminal() -> anyhow::Result<Self> {
        Ok(Self {
            terminal: Some([
                signal(SignalKind::hangup()).context("listen for SIGHUP")?,
                signal(SignalKind::quit()).context("listen for SIGQUIT")?,
            ]),
            ..Self::new()?
        })
    }

    /// Ends the trace after this time, from now on.
    pub fn come_after(&mut self, duration: Option<Duration>) {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    }

    /// Waits until the end is asked for. May be cancelled.
    pub async fn requested(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = self.signal() => {}
            () = until(deadline) => {}
        }
    }

    /// Whether a signal came by now.
    pub async fn was_signalled(&mut self) -> bool {
        // The runtime takes signals in while nothing else is to be done.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            () = self.signal() => true,
            () = std::future::ready(()) => false,
        }
    }

    async fn signal(&mut self) {
        if self.came {
            return;
        }
        let terminal = async {
            match &mut self.terminal {
                Some([hangup, quit]) => tokio::select! {
                    came = hangup.recv() => came,
                    came = quit.recv() => came,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = terminal => {}
        }
        self.came = true;
    }
}
