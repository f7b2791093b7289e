//! What is said of a flood.

use std::fmt::{Display, Formatter, Result};

/// What happened in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) ns: u64,
    /// SYNs that the programs saw.
    pub(super) syns: u64,
    /// Handshakes that completed.
    pub(super) completed: u64,
    /// Segments of openings that are not listed.
    pub(super) unlisted: u64,
}

impl Span {
    /// SYNs a second.
    pub(super) fn rate(&self) -> u64 {
        let rate = u128::from(self.syns) * 1_000_000_000 / u128::from(self.ns.max(1));
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// How many of the SYNs led to a connection.
    fn share(&self) -> Share {
        Share(self.completed, self.syns)
    }
}

pub(super) fn begins(span: &Span, to: &str) -> String {
    format!(
        "SYN flood: {} SYN/s to {to}, {} completed; openings that did not complete are counted, not \
         listed",
        Many(span.rate()),
        span.share()
    )
}

/// It does, with what was not listed since it began.
pub(super) fn goes_on(span: &Span, unlisted: u64, to: &str) -> String {
    format!(
        "SYN flood goes on: {} SYN/s to {to}, {} completed; {unlisted} segments of openings not \
         listed so far",
        Many(span.rate()),
        span.share()
    )
}

pub(super) fn ends(span: &Span, lasted_ns: u64, to: &str) -> String {
    format!(
        "SYN flood over after {}: {} SYNs to {to}, {} completed; {} segments of openings not listed",
        Seconds(lasted_ns),
        span.syns,
        span.share(),
        span.unlisted
    )
}

/// A number of which two or three digits matter: `840`, `25.3 k`, `1.2 M`.
struct Many(u64);

impl Display for Many {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self(number) = *self;
        // Each unit is tried on the rounded number.
        for (unit, name) in [(1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G")] {
            let tenths = number.saturating_add(unit / 20) / (unit / 10);
            if number < 1_000 {
                return write!(f, "{number}");
            }
            if tenths < 10_000 || name == "G" {
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
        }
        Ok(())
    }
}

/// So many of so many, in hundredths of a percent, rounded; a little is never nothing.
struct Share(u64, u64);

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self(part, whole) = *self;
        if part == 0 {
            return f.write_str("none");
        }
        let whole = u128::from(whole.max(1));
        match (u128::from(part) * 10_000 + whole / 2) / whole {
            0 => f.write_str("under 0.01 %"),
            share => write!(f, "{}.{:02} %", share / 100, share % 100),
        }
    }
}

/// A time of which tenths of a second matter while it is short.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let tenths = self.0.saturating_add(50_000_000) / 100_000_000;
        if tenths < 600 {
            write!(f, "{}.{} s", tenths / 10, tenths % 10)
        } else {
            write!(f, "{} min {:02} s", tenths / 600, tenths % 600 / 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0 k"),
            (25_349, "25.3 k"),
            (999_949, "999.9 k"),
            (999_950, "1.0 M"),
            (1_234_567, "1.2 M"),
            (148_800_000, "148.8 M"),
            (2_000_000_000, "2.0 G"),
        ] {
            assert_eq!(Many(number).to_string(), text);
        }
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing() {
        for (part, whole, text) in [
            (0, 10, "none"),
            (1, 1_000_000, "under 0.01 %"),
            (1, 10_000, "0.01 %"),
            (5, 100, "5.00 %"),
            (1, 0, "100.00 %"),
        ] {
            assert_eq!(Share(part, whole).to_string(), text);
        }
    }

    #[test]
    fn a_time_has_tenths_below_a_minute() {
        assert_eq!(Seconds(1_250_000_000).to_string(), "1.3 s");
        assert_eq!(Seconds(59_960_000_000).to_string(), "1 min 00 s");
        assert_eq!(Seconds(125_000_000_000).to_string(), "2 min 05 s");
    }

    #[test]
    fn the_rate_is_that_of_the_span() {
        let span = Span {
            ns: 250_000_000,
            syns: 300_000,
            completed: 3,
            unlisted: 0,
        };
        assert_eq!(span.rate(), 1_200_000);
        assert_eq!(Span { ns: 0, ..span }.rate(), 300_000_000_000_000);
    }
}
