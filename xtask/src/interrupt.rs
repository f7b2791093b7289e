//! Ctrl-C and termination, as a flag that waiting loops look at.
//!
//! The process then ends by an ordinary error, so that everything it made is dropped on the way.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process.
pub(crate) fn watch() -> Result<()> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Relaxed)).context("watch for Ctrl-C")
}

/// An error once the flag is set.
pub(crate) fn check() -> Result<()> {
    ensure!(!INTERRUPTED.load(Relaxed), "interrupted");
    Ok(())
}
