//! What happens each second, and how long handshakes took.
//!
//! In: what happened, and the time. Memory does not grow.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

const SECOND: u64 = 1_000_000_000;
/// Seconds that are remembered.
const SECONDS: usize = 120;
/// Seconds that a rate is the mean of.
const MEAN: usize = 5;
/// Handshakes of a second of which the median is found; the others are in the histogram only.
const SAMPLES: usize = 4_096;
/// Handshake times from a microsecond to an hour, at two digits.
const RANGE_NS: (u64, u64) = (1_000, 3_600 * SECOND);

/// What can happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) reset: u64,
}

#[derive(Clone, Debug, Default)]
struct Second {
    counts: Counts,
    /// The median of its handshakes.
    handshake_ns: Option<u64>,
}

/// Counts by second.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    /// Whole seconds, the latest last.
    seconds: VecDeque<Second>,
    /// The one that lasts, when it began, and its handshakes.
    current: Counts,
    began_ns: u64,
    handshakes: Vec<u64>,
    pub(super) total: Counts,
    histogram: Histogram<u64>,
}

/// Bounds of the bars of the histogram, in ns: each up to the next one.
pub(super) const BARS: [(u64, &str); 10] = [
    (0, "<30µs"),
    (30_000, "30µs"),
    (100_000, ".1ms"),
    (300_000, ".3ms"),
    (1_000_000, "1ms"),
    (3_000_000, "3ms"),
    (10_000_000, "10ms"),
    (30_000_000, "30ms"),
    (100_000_000, ".1s"),
    (1_000_000_000, ">1s"),
];

impl Rates {
    /// # Panics
    /// Never: the histogram's limits are constants that it accepts.
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(RANGE_NS.0, RANGE_NS.1, 2)
            .expect("a microsecond to an hour at two digits is a valid range");
        Self {
            seconds: VecDeque::with_capacity(SECONDS),
            current: Counts::default(),
            began_ns: 0,
            handshakes: Vec::new(),
            total: Counts::default(),
            histogram,
        }
    }

    /// Goes on to this time.
    pub(super) fn advance(&mut self, now_ns: u64) {
        if self.began_ns == 0 {
            self.began_ns = now_ns;
        }
        let passed = now_ns.saturating_sub(self.began_ns) / SECOND;
        for _ in 0..passed.min(SECONDS as u64) {
            self.handshakes.sort_unstable();
            let median = self.handshakes.get(self.handshakes.len() / 2).copied();
            self.handshakes.clear();
            if self.seconds.len() >= SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second {
                counts: std::mem::take(&mut self.current),
                handshake_ns: median,
            });
        }
        self.began_ns += passed * SECOND;
    }

    pub(super) fn opened(&mut self, handshake_ns: Option<u64>) {
        self.current.opened += 1;
        self.total.opened += 1;
        if let Some(ns) = handshake_ns {
            self.histogram.saturating_record(ns);
            if self.handshakes.len() < SAMPLES {
                self.handshakes.push(ns);
            }
        }
    }

    pub(super) const fn failed(&mut self) {
        self.current.failed += 1;
        self.total.failed += 1;
    }

    pub(super) const fn reset(&mut self) {
        self.current.reset += 1;
        self.total.reset += 1;
    }

    /// The mean of the last seconds: opened, failed and reset, in tenths a second.
    pub(super) fn tenths(&self) -> [u64; 3] {
        let last = self.seconds.iter().rev().take(MEAN);
        let counts = last.map(|second| &second.counts);
        let number = u64::try_from(self.seconds.len().clamp(1, MEAN)).unwrap_or(1);
        let [mut opened, mut failed, mut reset] = [0; 3];
        for second in counts {
            opened += second.opened;
            failed += second.failed;
            reset += second.reset;
        }
        [opened, failed, reset].map(|count| count * 10 / number)
    }

    /// The medians of the last seconds, in µs, the latest last; 0 where there was no handshake.
    pub(super) fn medians_us(&self, seconds: usize) -> Vec<u64> {
        let skipped = self.seconds.len().saturating_sub(seconds);
        let last = self.seconds.iter().skip(skipped);
        last.map(|second| second.handshake_ns.map_or(0, |ns| (ns / 1_000).max(1)))
            .collect()
    }

    /// How many handshakes each bar has.
    pub(super) fn bars(&self) -> [u64; BARS.len()] {
        let mut bars = [0; BARS.len()];
        for (bar, (from_ns, _)) in BARS.iter().enumerate() {
            let below_ns = BARS.get(bar + 1).map_or(u64::MAX, |(next_ns, _)| *next_ns);
            if let Some(bar) = bars.get_mut(bar) {
                *bar = self.histogram.count_between(*from_ns, below_ns - 1);
            }
        }
        bars
    }

    /// The median and the 99th percentile of all handshakes, in ns.
    pub(super) fn percentiles_ns(&self) -> Option<[u64; 2]> {
        let some = !self.histogram.is_empty();
        some.then(|| [50.0, 99.0].map(|percent| self.histogram.value_at_percentile(percent)))
    }

    /// Forgets the handshakes so far.
    pub(super) fn clear_handshakes(&mut self) {
        self.histogram.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_the_last_seconds() {
        let mut rates = Rates::new();
        rates.advance(7 * SECOND);
        (0..15).for_each(|_| rates.opened(Some(210_000)));
        rates.failed();
        assert_eq!(rates.tenths(), [0, 0, 0]);
        rates.advance(8 * SECOND);
        assert_eq!(rates.tenths(), [150, 10, 0]);
        rates.reset();
        rates.advance(9 * SECOND);
        assert_eq!(rates.tenths(), [75, 5, 5]);
        rates.advance(999 * SECOND);
        assert_eq!(rates.tenths(), [0, 0, 0]);
        assert_eq!(rates.seconds.len(), SECONDS);
        assert_eq!(
            rates.total,
            Counts {
                opened: 15,
                failed: 1,
                reset: 1
            }
        );
    }

    #[test]
    fn handshakes_have_a_median_a_second_and_bars_for_all() {
        let mut rates = Rates::new();
        rates.advance(SECOND);
        for us in [90, 250, 4_000] {
            rates.opened(Some(us * 1_000));
        }
        rates.opened(None);
        rates.advance(3 * SECOND);
        assert_eq!(rates.medians_us(9), [250, 0]);
        assert_eq!(rates.bars(), [0, 1, 1, 0, 0, 1, 0, 0, 0, 0]);
        let [median, most] = rates.percentiles_ns().unwrap();
        assert!(median.abs_diff(250_000) < 5_000 && most.abs_diff(4_000_000) < 50_000);
        rates.clear_handshakes();
        assert_eq!(rates.percentiles_ns(), None);
    }
}
