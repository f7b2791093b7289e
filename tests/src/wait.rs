//! Waiting on conditions instead of times.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::pace;

/// How long anything may take, on a slow and busy machine as well; on an emulated one the verifier alone
/// takes a quarter of a minute for a program.
#[must_use]
pub fn limit() -> Duration {
    Duration::from_secs(if pace::is_emulated() { 240 } else { 60 })
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until there is an answer. `what` completes "waited … for".
///
/// # Errors
/// Where the look fails, or there is no answer within [`limit`].
pub fn until<T>(what: impl Display, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit();
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what} in vain", limit().as_secs());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
