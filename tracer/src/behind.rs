//! Tells when the reader falls behind, or events are lost.
//!
//! In: the age of the oldest event of each turn, and the losses counted so far. Out: now and then a
//! line to be said. Time is an argument.

/// A reader that is so far behind is spoken of, in ns.
const LATE_NS: u64 = 1_000_000_000;
/// How often, in ns.
const SAY_NS: u64 = 10_000_000_000;

/// Watches the reader.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    /// The most since the last line.
    late_ns: u64,
    /// The most of all.
    most_ns: u64,
    said_ns: Option<u64>,
    /// Events lost as of the last line.
    said_lost: u64,
}

impl Behind {
    /// Takes the age of the oldest event of a turn.
    pub const fn turn(&mut self, age_ns: u64) {
        if age_ns > self.late_ns {
            self.late_ns = age_ns;
        }
        if age_ns > self.most_ns {
            self.most_ns = age_ns;
        }
    }

    /// The furthest that the reader was behind, in ns.
    #[must_use]
    pub const fn most_ns(&self) -> u64 {
        self.most_ns
    }

    /// Takes how many events found no room in the ring, and how many the serial numbers prove to be
    /// missing; gives a line to be said, if there is one.
    pub fn look(&mut self, ring_full: u64, missing: u64, now_ns: u64) -> Option<String> {
        let recent = |said_ns| now_ns.saturating_sub(said_ns) < SAY_NS;
        if self.said_ns.is_some_and(recent) {
            return None;
        }
        let late_ns = std::mem::take(&mut self.late_ns);
        // Those that the programs counted and whose gap was not read yet are lost as well.
        let lost = ring_full.max(missing);
        let late = late_ns > LATE_NS;
        if !late && lost <= self.said_lost {
            return None;
        }
        self.said_ns = Some(now_ns);
        self.said_lost = lost;
        let tenths = late_ns / 100_000_000;
        let late = if late {
            format!("the reader is {}.{} s behind; ", tenths / 10, tenths % 10)
        } else {
            String::new()
        };
        Some(format!(
            "{late}{lost} events lost so far ({ring_full} ring_full, {} unaccounted); raise \
             --ring-size",
            missing.saturating_sub(ring_full)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_reader_that_keeps_up_and_loses_nothing_says_nothing() {
        let mut behind = Behind::default();
        for second in 0..100 {
            behind.turn(LATE_NS);
            assert_eq!(behind.look(0, 0, second * SECOND), None);
        }
        assert_eq!(behind.most_ns(), LATE_NS);
    }

    #[test]
    fn a_loss_is_said_by_cause_and_then_at_most_every_ten_seconds() {
        let mut behind = Behind::default();
        assert_eq!(
            behind.look(300, 312, SECOND).as_deref(),
            Some("312 events lost so far (300 ring_full, 12 unaccounted); raise --ring-size")
        );
        assert_eq!(behind.look(900, 312, 10 * SECOND), None);
        assert_eq!(
            behind.look(900, 312, 11 * SECOND).as_deref(),
            Some("900 events lost so far (900 ring_full, 0 unaccounted); raise --ring-size")
        );
        assert_eq!(behind.look(900, 900, 60 * SECOND), None);
    }

    #[test]
    fn a_reader_that_is_late_is_said_once_though_it_caught_up() {
        let mut behind = Behind::default();
        behind.turn(1_450_000_000);
        behind.turn(3);
        assert_eq!(
            behind.look(0, 0, SECOND).as_deref(),
            Some(
                "the reader is 1.4 s behind; 0 events lost so far (0 ring_full, 0 unaccounted); \
                 raise --ring-size"
            )
        );
        assert_eq!(behind.look(0, 0, 20 * SECOND), None);
        assert_eq!(behind.most_ns(), 1_450_000_000);
    }
}
