//! Waiting on conditions instead of times.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take, on a slow and busy machine as well.
pub const LIMIT: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until there is an answer. `what` completes "waited … for".
///
/// # Errors
/// Where the look fails, or there is no answer within [`LIMIT`].
pub fn until<T>(what: impl Display, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {} s for {what} in vain", LIMIT.as_secs());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
