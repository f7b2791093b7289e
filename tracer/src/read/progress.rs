//! How far reading has come, for somebody who waits at a terminal.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::say::say;

/// What takes less time needs no bar.
const SOON: Duration = Duration::from_secs(1);
const LOOK: &str = "synfin: {bar:30} {bytes} of {total_bytes}, {eta} left";

/// A bar on standard error, where that is a terminal.
pub(super) struct Progress {
    started: Instant,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            wanted: io::stderr().is_terminal(),
            bar: None,
        }
    }

    /// So many octets of so many were read.
    pub(super) fn tell(&mut self, (taken, size): (u64, u64)) {
        if !self.wanted || (self.bar.is_none() && self.started.elapsed() < SOON) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
            bar.set_position(taken);
            // The bar did not see how long it took to come this far.
            bar.reset_eta();
            match ProgressStyle::with_template(LOOK) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_position(taken);
    }

    /// Says a line that the bar does not overwrite.
    pub(super) fn say(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(words)),
            None => say(words),
        }
    }

    /// Takes the bar away for good.
    pub(super) fn clear(&mut self) {
        self.wanted = false;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
