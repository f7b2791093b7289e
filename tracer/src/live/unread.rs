//! Tells when records are dropped because the output is not read fast enough.
//!
//! In: how many were dropped so far. Out: now and then a line to be said. Time is an argument.

/// How often, in ns.
const SAY_NS: u64 = 10_000_000_000;

/// Watches the output.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    said_ns: Option<u64>,
    /// Records dropped as of the last line.
    said_dropped: u64,
}

impl Unread {
    /// Takes how many records were dropped so far; gives a line to be said, if there is one.
    pub(super) fn look(&mut self, dropped: u64, now_ns: u64) -> Option<String> {
        let recent = |said_ns| now_ns.saturating_sub(said_ns) < SAY_NS;
        if dropped <= self.said_dropped || self.said_ns.is_some_and(recent) {
            return None;
        }
        self.said_ns = Some(now_ns);
        self.said_dropped = dropped;
        Some(format!(
            "the output is not read fast enough; {dropped} records dropped so far; read faster, print \
             less (--only, --summary), or raise --output-queue"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_records_are_told_at_most_every_ten_seconds() {
        let mut unread = Unread::default();
        let mut told = |dropped, seconds: u64| {
            let line = unread.look(dropped, seconds * 1_000_000_000)?;
            line.split(' ').find_map(|word| word.parse::<u64>().ok())
        };
        assert_eq!(told(0, 0), None);
        assert_eq!(told(3, 1), Some(3));
        assert_eq!(told(9, 2), None);
        assert_eq!(told(9, 11), Some(9));
        assert_eq!(told(9, 60), None);
    }
}
