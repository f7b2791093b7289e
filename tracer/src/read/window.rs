//! Which packets are looked at, by their times.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time, as somebody says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In ns since the Unix epoch.
    At(u64),
    /// In ns after the first packet.
    After(u64),
}

/// Words that are no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadWhen;

impl fmt::Display for BadWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a time; for example 2026-11-22T19:57:58Z, \"2026-11-22 19:57:58\" (UTC), \
             or +30s after the start of the capture",
        )
    }
}

impl std::error::Error for BadWhen {}

impl FromStr for When {
    type Err = BadWhen;

    fn from_str(text: &str) -> Result<Self, BadWhen> {
        if let Some(text) = text.strip_prefix('+') {
            let after: Duration = humantime::parse_duration(text).map_err(|_| BadWhen)?;
            return u64::try_from(after.as_nanos())
                .map(Self::After)
                .map_err(|_| BadWhen);
        }
        // Ladders give times without an offset, in UTC.
        let at = text.parse::<Timestamp>().or_else(|error| {
            let text = text.strip_suffix(" UTC").unwrap_or(text);
            let civil = text.parse::<DateTime>().map_err(|_| error)?;
            Ok::<_, jiff::Error>(civil.to_zoned(TimeZone::UTC)?.timestamp())
        });
        let ns = at.map_err(|_| BadWhen)?.as_nanosecond();
        u64::try_from(ns).map(Self::At).map_err(|_| BadWhen)
    }
}

impl When {
    /// In ns since the Unix epoch.
    const fn ns(self, first_ns: u64) -> u64 {
        match self {
            Self::At(ns) => ns,
            Self::After(ns) => first_ns.saturating_add(ns),
        }
    }
}

/// A stretch of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    since: Option<When>,
    until: Option<When>,
    bounds: Option<(u64, u64)>,
}

impl Window {
    pub(super) const fn new(since: Option<When>, until: Option<When>) -> Self {
        Self {
            since,
            until,
            bounds: None,
        }
    }

    /// Whether a packet of this time is looked at. The first one that is asked for begins the capture.
    #[inline(always)]
    pub(super) fn has(&mut self, time_ns: u64) -> bool {
        let (since_ns, until_ns) = match self.bounds {
            Some(bounds) => bounds,
            None => self.begin(time_ns),
        };
        (since_ns..=until_ns).contains(&time_ns)
    }

    #[cold]
    fn begin(&mut self, first_ns: u64) -> (u64, u64) {
        let since_ns = self.since.map_or(0, |when| when.ns(first_ns));
        let until_ns = self.until.map_or(u64::MAX, |when| when.ns(first_ns));
        *self.bounds.insert((since_ns, until_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_relative() {
        let at = |text: &str| text.parse::<When>();
        let second = Ok(When::At(1_000_000_000));
        for text in [
            "1970-01-01T00:00:01Z",
            "1970-01-01T01:00:01+01:00",
            "1970-01-01 00:00:01",
            "1970-01-01 00:00:01.000000 UTC",
        ] {
            assert_eq!(at(text), second, "{text}");
        }
        assert_eq!(at("+1m 30s"), Ok(When::After(90_000_000_000)));
        for text in [
            "",
            "+",
            "soon",
            "30s",
            "-5s",
            "1969-12-31T23:59:59Z",
            "+-1s",
        ] {
            assert_eq!(at(text), Err(BadWhen), "{text}");
        }
    }

    #[test]
    fn a_window_begins_with_the_capture_and_has_its_ends() {
        let mut window = Window::new(Some(When::After(5)), Some(When::At(20)));
        let looked_at: Vec<u64> = (10..30).filter(|&time_ns| window.has(time_ns)).collect();
        assert_eq!(looked_at, [15, 16, 17, 18, 19, 20]);
        // What is out of order is looked at by its own time.
        assert!(!window.has(3));
        assert!(Window::new(None, None).has(0));
    }
}
