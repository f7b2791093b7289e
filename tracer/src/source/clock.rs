//! The clocks that live events are measured with.

use std::fs;
use std::sync::LazyLock;

use nix::time::{ClockId, clock_gettime};

/// The monotonic clock that the programs stamp events with, beside the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The kernel's monotonic clock, in ns.
    pub now_ns: u64,
    /// How far the wall clock is ahead of it, in ns.
    pub wall_offset_ns: i128,
}

/// How far the monotonic clock of this process is ahead of the kernel's, in ns. It cannot change: a
/// time namespace is entered before its first process (time_namespaces(7)).
static AHEAD_NS: LazyLock<i128> = LazyLock::new(|| {
    let offsets = fs::read_to_string("/proc/self/timens_offsets");
    // Where there is no such file there are no time namespaces.
    offsets.map_or(0, |offsets| monotonic_offset_ns(&offsets))
});

impl Clock {
    /// Reads what a file tells of the clocks, which a confined process cannot do any more.
    pub fn get_ready() {
        LazyLock::force(&AHEAD_NS);
    }

    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        // The programs know of no time namespace.
        let monotonic_ns = read_ns(ClockId::CLOCK_MONOTONIC) - *AHEAD_NS;
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

/// In the lines of `timens_offsets`, each a clock, seconds and nanoseconds.
fn monotonic_offset_ns(offsets: &str) -> i128 {
    let offset = |line: &str| {
        let mut words = line.split_whitespace();
        let is_monotonic = matches!(words.next(), Some("monotonic" | "1"));
        let [seconds, ns] = [words.next()?, words.next()?].map(str::parse::<i128>);
        is_monotonic.then_some(seconds.ok()? * 1_000_000_000 + ns.ok()?)
    };
    offsets.lines().find_map(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_that_of_the_monotonic_clock() {
        let offsets = "monotonic           86400         5\nboottime               7         0\n";
        assert_eq!(monotonic_offset_ns(offsets), 86_400_000_000_005);
        assert_eq!(
            monotonic_offset_ns("boottime 7 0\nmonotonic -1 0\n"),
            -1_000_000_000
        );
        assert_eq!(monotonic_offset_ns(""), 0);
        assert_eq!(monotonic_offset_ns("monotonic a b"), 0);
    }

    #[test]
    fn both_clocks_together_are_the_wall_clock() {
        let before = read_ns(ClockId::CLOCK_REALTIME);
        let told = Clock::read().unix_ns();
        // The wall clock may be set meanwhile, but not by a day.
        assert!((told - before).abs() < 86_400_000_000_000);
    }
}
