//! How fast a capture is replayed. Time is an argument.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// How many times as fast as it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// In thousandths.
    Times(u64),
    /// As fast as it can be read.
    Max,
}

/// A speed that is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a speed is a number from 0.001 to 1000000, such as 0.5 or 10, or max")]
pub struct BadSpeed;

const LEAST: u64 = 1;
const MOST: u64 = 1_000_000_000;

impl FromStr for Speed {
    type Err = BadSpeed;

    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().map_err(|_| BadSpeed)?;
        // A number of seconds is a checked number that is not negative.
        let times = Duration::try_from_secs_f64(times).map_err(|_| BadSpeed)?;
        let times = u64::try_from(times.as_millis()).map_err(|_| BadSpeed)?;
        if !(LEAST..=MOST).contains(&times) {
            return Err(BadSpeed);
        }
        Ok(Self::Times(times))
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) if times % 1_000 == 0 => write!(f, "{}×", times / 1_000),
            Self::Times(times) => write!(f, "{}.{:03}×", times / 1_000, times % 1_000),
            Self::Max => write!(f, "max"),
        }
    }
}

/// The time of a capture beside that of whoever looks on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    speed: Speed,
    paused: bool,
    /// When it was what time there; nothing was read yet where there is none.
    base: Option<(Instant, u64)>,
}

impl Pace {
    pub(super) const fn new(speed: Speed) -> Self {
        Self {
            speed,
            paused: false,
            base: None,
        }
    }

    pub(super) const fn speed(&self) -> Speed {
        self.speed
    }

    pub(super) const fn paused(&self) -> bool {
        self.paused
    }

    /// What time it is there, in ns; that of the first packet where that is `first_ns`.
    pub(super) fn now_ns(&mut self, now: Instant, first_ns: u64) -> u64 {
        let (since, base_ns) = *self.base.get_or_insert((now, first_ns));
        let passed = now.saturating_duration_since(since).as_nanos();
        let passed = match self.speed {
            _ if self.paused => 0,
            Speed::Times(times) => passed * u128::from(times) / 1_000,
            Speed::Max => return u64::MAX,
        };
        base_ns.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// When it is what time there.
    pub(super) fn when(&self, time_ns: u64) -> Option<Instant> {
        let (since, base_ns) = self.base?;
        match self.speed {
            _ if self.paused => None,
            Speed::Times(times) => {
                let wait = u128::from(time_ns.saturating_sub(base_ns)) * 1_000 / u128::from(times);
                since.checked_add(Duration::from_nanos(
                    u64::try_from(wait).unwrap_or(u64::MAX),
                ))
            }
            Speed::Max => Some(since),
        }
    }

    /// From now on it is this time there.
    pub(super) const fn set(&mut self, now: Instant, time_ns: u64) {
        self.base = Some((now, time_ns));
    }

    /// Stands still, or goes on; `time_ns` is what time it is there.
    pub(super) const fn pause(&mut self, paused: bool, now: Instant, time_ns: u64) {
        if paused != self.paused {
            self.paused = paused;
            self.set(now, time_ns);
        }
    }

    /// Goes twice as fast, or half as fast; `time_ns` is what time it is there.
    pub(super) fn change(&mut self, faster: bool, now: Instant, time_ns: u64) {
        self.speed = match (self.speed, faster) {
            (Speed::Times(times), true) => Speed::Times((times * 2).min(MOST)),
            (Speed::Times(times), false) => Speed::Times((times / 2).max(LEAST)),
            (Speed::Max, true) => Speed::Max,
            (Speed::Max, false) => Speed::Times(1_000_000),
        };
        self.set(now, time_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_speed_is_a_number_or_max() {
        for (text, speed) in [
            ("1", Ok(Speed::Times(1_000))),
            ("0.5", Ok(Speed::Times(500))),
            ("1000000", Ok(Speed::Times(MOST))),
            ("max", Ok(Speed::Max)),
        ] {
            assert_eq!(text.parse(), speed);
        }
        for text in ["", "0", "-1", "inf", "nan", "1e99", "2000000", "fast"] {
            assert_eq!(text.parse::<Speed>(), Err(BadSpeed), "{text}");
        }
        assert_eq!(Speed::Times(2_000).to_string(), "2×");
        assert_eq!(Speed::Times(500).to_string(), "0.500×");
    }

    #[test]
    fn time_goes_by_as_fast_as_asked_and_stands_still_in_a_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(Speed::Times(2_000));
        assert_eq!(pace.now_ns(start, 100 * SECOND), 100 * SECOND);
        assert_eq!(pace.now_ns(at(3), 0), 106 * SECOND);
        assert_eq!(pace.when(110 * SECOND), Some(at(5)));
        pace.pause(true, at(3), 106 * SECOND);
        assert_eq!(
            (pace.now_ns(at(9), 0), pace.when(107 * SECOND)),
            (106 * SECOND, None)
        );
        pace.pause(false, at(9), 106 * SECOND);
        pace.change(true, at(10), 108 * SECOND);
        assert_eq!(pace.now_ns(at(11), 0), 112 * SECOND);
        pace.set(at(11), 500 * SECOND);
        assert_eq!(pace.now_ns(at(11), 0), 500 * SECOND);
    }
}
