//! When connections began: counts in bins that grow wider as the time that they span grows.

use std::collections::BTreeMap;

/// Bins at most.
const MOST: i128 = 200;
/// The widths of bins: each is a multiple of the one before, so that bins become wider by adding them up.
const WIDTHS: [(i128, &str); 22] = [
    (1_000, "1 µs"),
    (10_000, "10 µs"),
    (100_000, "100 µs"),
    (1_000_000, "1 ms"),
    (5_000_000, "5 ms"),
    (10_000_000, "10 ms"),
    (50_000_000, "50 ms"),
    (100_000_000, "0.1 s"),
    (500_000_000, "0.5 s"),
    (1_000_000_000, "1 s"),
    (5_000_000_000, "5 s"),
    (10_000_000_000, "10 s"),
    (30_000_000_000, "30 s"),
    (60_000_000_000, "1 min"),
    (300_000_000_000, "5 min"),
    (900_000_000_000, "15 min"),
    (3_600_000_000_000, "1 h"),
    (21_600_000_000_000, "6 h"),
    (86_400_000_000_000, "1 d"),
    (604_800_000_000_000, "7 d"),
    (36_288_000_000_000_000, "420 d"),
    (3_628_800_000_000_000_000, "115 years"),
];
/// Instants that a calendar has, in ns since the Unix epoch: what lies outside has no place.
const YEARS: i128 = 9_999 * 366 * 86_400_000_000_000;

/// Connections by the time of their first segment.
#[derive(Debug)]
pub(super) struct TimeLine {
    width: usize,
    bins: BTreeMap<i128, Bin>,
    /// Connections whose time is not known.
    pub(super) elsewhere: u64,
    first_ns: i128,
    last_ns: i128,
}

/// What began in a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) all: u64,
    /// Those that failed or were reset.
    pub(super) bad: u64,
}

impl TimeLine {
    pub(super) const fn new() -> Self {
        Self {
            width: 0,
            bins: BTreeMap::new(),
            elsewhere: 0,
            first_ns: i128::MAX,
            last_ns: i128::MIN,
        }
    }

    /// Counts a connection that began then.
    pub(super) fn count(&mut self, unix_ns: i128, bad: bool) {
        if unix_ns.checked_abs().is_none_or(|ns| ns > YEARS) {
            self.elsewhere += 1;
            return;
        }
        self.first_ns = self.first_ns.min(unix_ns);
        self.last_ns = self.last_ns.max(unix_ns);
        while self.len() > MOST && self.width + 1 < WIDTHS.len() {
            self.widen();
        }
        let bin = self
            .bins
            .entry(unix_ns.div_euclid(self.width_ns()))
            .or_default();
        bin.all += 1;
        bin.bad += u64::from(bad);
    }

    /// When the first and the last connection began; `None` where none has a time.
    pub(super) fn span(&self) -> Option<(i128, i128)> {
        (self.first_ns <= self.last_ns).then_some((self.first_ns, self.last_ns))
    }

    /// How wide a bin is, in words.
    pub(super) fn width(&self) -> &'static str {
        WIDTHS.get(self.width).map_or("", |(_, name)| name)
    }

    /// All bins in order, also those without anything: when each begins, and what it holds.
    pub(super) fn bins(&self) -> Vec<(i128, Bin)> {
        let Some((first, last)) = self.span() else {
            return Vec::new();
        };
        let width = self.width_ns();
        let (first, last) = (first.div_euclid(width), last.div_euclid(width));
        let bin = |place| self.bins.get(&place).copied().unwrap_or_default();
        (first..=last)
            .map(|place| (place * width, bin(place)))
            .collect()
    }

    fn len(&self) -> i128 {
        let width = self.width_ns();
        self.last_ns.div_euclid(width) - self.first_ns.div_euclid(width) + 1
    }

    fn width_ns(&self) -> i128 {
        WIDTHS.get(self.width).map_or(i128::MAX, |(ns, _)| *ns)
    }

    fn widen(&mut self) {
        let before = self.width_ns();
        self.width += 1;
        let factor = self.width_ns() / before;
        for (place, bin) in std::mem::take(&mut self.bins) {
            let wider = self.bins.entry(place.div_euclid(factor)).or_default();
            wider.all += bin.all;
            wider.bad += bin.bad;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i128 = 1_000_000_000;

    fn line(times: impl IntoIterator<Item = i128>) -> TimeLine {
        let mut line = TimeLine::new();
        times.into_iter().for_each(|ns| line.count(ns, ns % 2 == 0));
        line
    }

    #[test]
    fn widths_are_multiples_and_reach_over_all_years() {
        assert!(WIDTHS.windows(2).all(|pair| pair[1].0 % pair[0].0 == 0));
        let whole = line([-YEARS, YEARS]);
        assert!(whole.bins().len() as i128 <= MOST);
        assert_eq!(whole.width(), "115 years");
    }

    #[test]
    fn bins_grow_wider_and_nothing_is_lost() {
        for span in [0, 1_000, S, 100 * S, 86_400 * S] {
            let line = line((0..1_000).map(|n| 1_700_000_000 * S + n * span / 1_000));
            let bins = line.bins();
            assert!(bins.len() as i128 <= MOST, "{span}");
            assert_eq!(bins.iter().map(|(_, bin)| bin.all).sum::<u64>(), 1_000);
        }
    }

    #[test]
    fn the_order_does_not_matter() {
        let times: Vec<_> = (0..500).map(|n: i128| n * n * 7_919_331).collect();
        let there = line(times.iter().copied());
        let back = line(times.iter().rev().copied());
        assert_eq!(there.bins(), back.bins());
    }

    #[test]
    fn a_time_that_is_none_has_no_place() {
        let line = line([i128::MAX, i128::MIN]);
        assert_eq!((line.elsewhere, line.span()), (2, None));
        assert!(line.bins().is_empty());
    }
}
