//! The clocks that live events are measured with.

use nix::time::{ClockId, clock_gettime};

/// The monotonic clock that the programs stamp events with, beside the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The monotonic clock, in ns.
    pub now_ns: u64,
    /// How far the wall clock is ahead of it, in ns.
    pub wall_offset_ns: i128,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        let monotonic_ns = read_ns(ClockId::CLOCK_MONOTONIC);
        let wall_ns = read_ns(ClockId::CLOCK_REALTIME);
        Self {
            now_ns: u64::try_from(monotonic_ns).unwrap_or(0),
            wall_offset_ns: wall_ns - monotonic_ns,
        }
    }

    /// The wall clock, in ns since the Unix epoch.
    #[must_use]
    pub fn unix_ns(&self) -> i128 {
        i128::from(self.now_ns).saturating_add(self.wall_offset_ns)
    }
}

/// A clock of this kind cannot fail on Linux (clock_gettime(2)).
fn read_ns(clock: ClockId) -> i128 {
    clock_gettime(clock).map_or(0, |time| {
        i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec())
    })
}
