//! Times, counted in buckets that grow with them: percentiles within two percent from a few octets
//! for each bucket that was hit.
//!
//! Between a microsecond and an hour and a quarter each power of two has 32 buckets. A histogram of
//! the same precision that is laid out in full would take kilobytes for every server.

/// Buckets in a power of two, as a power of two.
const SPLIT: u32 = 5;
/// About a microsecond; what is shorter counts as this.
const SHORTEST_NS: u64 = 1 << 10;
/// About 73 minutes; what is longer counts as this.
const LONGEST_NS: u64 = 1 << 42;

/// Counted times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Buckets that were hit and how often, in ascending order.
    buckets: Vec<(u16, u32)>,
    count: u64,
    shortest_ns: u64,
    longest_ns: u64,
}

impl Sketch {
    /// Counts a time.
    pub(super) fn add(&mut self, ns: u64) {
        self.hit(bucket(ns), 1);
        self.reach(ns, ns);
        self.count += 1;
    }

    /// Counts what another one has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        for &(bucket, count) in &other.buckets {
            self.hit(bucket, count);
        }
        self.reach(other.shortest_ns, other.longest_ns);
        self.count += other.count;
    }

    /// How many were counted.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The longest of them, exactly.
    pub(super) fn max(&self) -> Option<u64> {
        (self.count > 0).then_some(self.longest_ns)
    }

    /// A time that so many percent of them do not exceed.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut below = 0;
        let (bucket, _) = self.buckets.iter().find(|&&(_, count)| {
            below += u64::from(count);
            below >= rank
        })?;
        Some(middle(*bucket).clamp(self.shortest_ns, self.longest_ns))
    }

    fn hit(&mut self, bucket: u16, times: u32) {
        match self
            .buckets
            .binary_search_by_key(&bucket, |&(bucket, _)| bucket)
        {
            Ok(place) => {
                if let Some((_, count)) = self.buckets.get_mut(place) {
                    *count = count.saturating_add(times);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, times)),
        }
    }

    /// Before the count takes what is new.
    fn reach(&mut self, shortest_ns: u64, longest_ns: u64) {
        self.longest_ns = self.longest_ns.max(longest_ns);
        self.shortest_ns = match self.count {
            0 => shortest_ns,
            _ => self.shortest_ns.min(shortest_ns),
        };
    }
}

/// The power of two below the time, and which of its parts the time lies in.
fn bucket(ns: u64) -> u16 {
    let ns = ns.clamp(SHORTEST_NS, LONGEST_NS);
    let power = ns.ilog2();
    let part = ns >> (power - SPLIT) & ((1 << SPLIT) - 1);
    // A power is below 43 and a part below 32.
    u16::try_from(u64::from(power) << SPLIT | part).unwrap_or(u16::MAX)
}

/// The time in the middle of a bucket.
fn middle(bucket: u16) -> u64 {
    let (power, part) = (
        u32::from(bucket) >> SPLIT,
        u64::from(bucket) & ((1 << SPLIT) - 1),
    );
    let width = 1 << power.saturating_sub(SPLIT);
    ((1 << SPLIT | part) * width) + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(times: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        times.iter().for_each(|&ns| sketch.add(ns));
        sketch
    }

    #[test]
    fn nothing_counted_has_no_percentiles() {
        let nothing = Sketch::default();
        assert_eq!((nothing.percentile(50), nothing.max()), (None, None));
    }

    #[test]
    fn one_time_is_all_of_its_percentiles() {
        for ns in [0, 1, 412_345, 3_600_000_000_000, u64::MAX] {
            let one = sketch(&[ns]);
            let all = [
                one.percentile(1),
                one.percentile(50),
                one.percentile(99),
                one.max(),
            ];
            assert_eq!(all, [Some(ns); 4]);
        }
    }

    #[test]
    fn two_as_one_are_as_if_counted_together() {
        let (one, other) = ([1_000_000, 5_000_000], [70_000, 2_000_000_000]);
        let mut merged = sketch(&one);
        merged.merge(&sketch(&other));
        merged.merge(&Sketch::default());
        assert_eq!(merged, sketch(&[one, other].concat()));
        let mut from_nothing = Sketch::default();
        from_nothing.merge(&merged);
        assert_eq!(from_nothing, merged);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_percentile_is_within_two_percent(
            mut times in prop::collection::vec(1_100_u64..3_600_000_000_000, 1..200),
            percent in 1_u64..=100,
        ) {
            let told = sketch(&times).percentile(percent).unwrap();
            times.sort_unstable();
            let rank = (times.len() * usize::try_from(percent).unwrap()).div_ceil(100);
            let exact = times[rank - 1];
            prop_assert!(told.abs_diff(exact) * 50 <= exact, "{told} for {exact}");
        }

        #[test]
        fn a_time_lies_in_its_bucket(ns in SHORTEST_NS..LONGEST_NS) {
            let middle = middle(bucket(ns));
            prop_assert!(middle.abs_diff(ns) * 64 <= ns);
            prop_assert_eq!(bucket(middle), bucket(ns));
        }
    }
}
