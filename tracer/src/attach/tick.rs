//! The kernel's tick rate, which turns seconds into jiffies.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_getres};

use super::AttachError;

/// Ticks a second: the coarse clock advances by one tick (see clock_getres(2)).
pub(super) fn rate() -> Result<u64, AttachError> {
    let tick: Duration = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_err(|errno| AttachError::Clock(io::Error::from(errno)))?
        .into();
    let second = Duration::from_secs(1).as_nanos();
    let rate = second.checked_div(tick.as_nanos()).unwrap_or(1);
    Ok(u64::try_from(rate).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_is_one_that_kernels_are_built_with() {
        let rate = super::rate().unwrap();
        assert!((24..=1200).contains(&rate), "{rate}");
    }
}
