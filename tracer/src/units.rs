//! How times and amounts are written: few digits for reading, and the same ones every time.

use std::fmt::{Display, Formatter, Result};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;
const MIN: u64 = 60 * S;
const HOUR: u64 = 60 * MIN;

/// Nanoseconds as milliseconds with three decimals: `0.208`.
#[derive(Clone, Copy)]
pub(crate) struct Millis(pub(crate) u64);

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        decimals(f, rounded(self.0, US), 3)
    }
}

/// Nanoseconds as seconds with two decimals: `1.02`.
#[derive(Clone, Copy)]
pub(crate) struct Seconds(pub(crate) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        decimals(f, rounded(self.0, S / 100), 2)
    }
}

/// Nanoseconds in the unit that suits, with about three digits: `0.41 ms`, `1.93 s`, `2 min 05 s`.
#[derive(Clone, Copy)]
pub(crate) struct Lasting(pub(crate) u64);

impl Display for Lasting {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 == 0 {
            return f.write_str("0 s");
        }
        // Each unit is tried on the rounded number, so that 999.9996 ms reads `1.00 s`.
        for (unit, places, below, name) in [
            (100, 1, 100, "µs"),
            (MS / 100, 2, 1_000, "ms"),
            (MS / 10, 1, 1_000, "ms"),
            (MS, 0, 1_000, "ms"),
            (S / 100, 2, 1_000, "s"),
            (S / 10, 1, 600, "s"),
        ] {
            let number = rounded(self.0, unit);
            if number < below {
                decimals(f, number, places)?;
                return write!(f, " {name}");
            }
        }
        let (seconds, minutes, hours) = (
            rounded(self.0, S),
            rounded(self.0, MIN),
            rounded(self.0, HOUR),
        );
        if seconds < 60 * 60 {
            write!(f, "{} min {:02} s", seconds / 60, seconds % 60)
        } else if minutes < 24 * 60 {
            write!(f, "{} h {:02} min", minutes / 60, minutes % 60)
        } else {
            write!(f, "{} d {:02} h", hours / 24, hours % 24)
        }
    }
}

/// A count with its noun.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// An amount of octets in decimal units: `26 B`, `1.2 MB`.
#[derive(Clone, Copy)]
pub(crate) struct Octets(pub(crate) u64);

impl Display for Octets {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 < 1_000 {
            return write!(f, "{} B", self.0);
        }
        let mut unit = 1_000;
        for name in ["kB", "MB", "GB", "TB", "PB"] {
            let tenths = rounded(self.0, unit / 10);
            if tenths < 1_000 {
                decimals(f, tenths, 1)?;
                return write!(f, " {name}");
            }
            let whole = rounded(self.0, unit);
            if whole < 1_000 {
                return write!(f, "{whole} {name}");
            }
            unit *= 1_000;
        }
        decimals(f, rounded(self.0, unit / 10), 1)?;
        write!(f, " EB")
    }
}

/// An instant of the wall clock, in ns since the Unix epoch. It is written in UTC.
#[derive(Clone, Copy)]
pub(crate) struct Wall(pub(crate) i128);

impl Wall {
    /// Appends `2026-11-22T18:00:00.123456789Z`; tells whether the calendar has such a day.
    pub(crate) fn rfc_3339(self, out: &mut Vec<u8>) -> bool {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(9));
        Timestamp::from_nanosecond(self.0)
            .is_ok_and(|instant| PRINTER.print_timestamp(&instant, out).is_ok())
    }

    /// As Zeek's headers have it: `2026-11-22-18-00-00`.
    pub(crate) fn hyphened(self) -> String {
        let Ok(instant) = Timestamp::from_nanosecond(self.0) else {
            return "-".to_owned();
        };
        let civil = Offset::UTC.to_datetime(instant);
        let (hour, minute, second) = (civil.hour(), civil.minute(), civil.second());
        format!("{}-{hour:02}-{minute:02}-{second:02}", civil.date())
    }

    /// The time of day: `18:00:00.123456`.
    pub(crate) fn time_of_day(self) -> Option<String> {
        let instant = Timestamp::from_nanosecond(self.0).ok()?;
        Some(format!("{:.6}", Offset::UTC.to_datetime(instant).time()))
    }
}

impl Display for Wall {
    /// `2026-11-22 18:00:00.123456 UTC`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Ok(instant) = Timestamp::from_nanosecond(self.0) else {
            return write!(f, "at an unknown time");
        };
        let civil = Offset::UTC.to_datetime(instant);
        write!(f, "{} {:.6} UTC", civil.date(), civil.time())
    }
}

/// `amount` in `unit`s, half a unit rounded up.
const fn rounded(amount: u64, unit: u64) -> u64 {
    amount / unit + (amount % unit >= unit.div_ceil(2)) as u64
}

/// A number whose last `places` digits are decimals.
fn decimals(f: &mut Formatter<'_>, number: u64, places: u32) -> Result {
    let one = 10_u64.pow(places);
    write!(f, "{}", number / one)?;
    if places > 0 {
        write!(f, ".{:0width$}", number % one, width = places as usize)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_decimals() {
        for (ns, text) in [
            (0, "0.000"),
            (208_000, "0.208"),
            (208_499, "0.208"),
            (208_500, "0.209"),
            (1_930_112_000, "1930.112"),
            (u64::MAX, "18446744073709.552"),
        ] {
            assert_eq!(Millis(ns).to_string(), text);
        }
    }

    #[test]
    fn a_span_takes_the_unit_that_suits() {
        for (ns, text) in [
            (0, "0 s"),
            (1, "0.0 µs"),
            (4_120, "4.1 µs"),
            (9_949, "9.9 µs"),
            (9_950, "0.01 ms"),
            (200_000, "0.20 ms"),
            (412_000, "0.41 ms"),
            (9_994_999, "9.99 ms"),
            (9_995_000, "10.0 ms"),
            (412_000_000, "412 ms"),
            (999_600_000, "1.00 s"),
            (1_931_210_000, "1.93 s"),
            (59_949_999_999, "59.9 s"),
            (59_950_000_000, "1 min 00 s"),
            (125 * S, "2 min 05 s"),
            (HOUR - 1, "1 h 00 min"),
            (3 * HOUR + 12 * MIN, "3 h 12 min"),
            (24 * HOUR - 1, "1 d 00 h"),
            (u64::MAX, "213504 d 00 h"),
        ] {
            assert_eq!(Lasting(ns).to_string(), text);
        }
    }

    #[test]
    fn octets_take_decimal_units() {
        for (count, text) in [
            (0, "0 B"),
            (26, "26 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (94_120, "94.1 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_234_567, "1.2 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Octets(count).to_string(), text);
        }
    }

    #[test]
    fn seconds_have_two_decimals() {
        assert_eq!(Seconds(1_020_114_000).to_string(), "1.02");
        assert_eq!(Seconds(64 * S).to_string(), "64.00");
    }

    #[test]
    fn an_instant_is_written_in_utc() {
        let wall = Wall(1_795_370_400_123_456_789);
        let mut out = Vec::new();
        assert!(wall.rfc_3339(&mut out));
        assert_eq!(out, b"2026-11-22T18:00:00.123456789Z");
        assert_eq!(wall.to_string(), "2026-11-22 18:00:00.123456 UTC");
        assert_eq!(wall.time_of_day().as_deref(), Some("18:00:00.123456"));
        assert_eq!(wall.hyphened(), "2026-11-22-18-00-00");
    }

    #[test]
    fn an_instant_outside_the_calendar_is_not_written() {
        for ns in [i128::MIN, i128::MAX] {
            let mut out = Vec::new();
            assert!(!Wall(ns).rfc_3339(&mut out));
            assert!(out.is_empty());
            assert_eq!(Wall(ns).time_of_day(), None);
            assert_eq!(Wall(ns).hyphened(), "-");
            assert_eq!(Wall(ns).to_string(), "at an unknown time");
        }
    }
}
