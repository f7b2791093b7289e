//! What is said at the end: how many connections, how they opened and closed, how long handshakes
//! took, and what was not seen.
//!
//! Memory does not grow with what is counted: a number for each name, and a histogram of fixed size.

use std::collections::BTreeMap;
use std::fmt::Write;

use hdrhistogram::Histogram;

use super::paint::{SEPARATOR, put};
use crate::timeline::{Anomaly, CloseKind, Connection, OpenOutcome};
use crate::units::Lasting;

/// Handshake times from a microsecond to an hour; what lies outside counts as the nearest of them.
const SHORTEST_NS: u64 = 1_000;
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Digits of a percentile that are exact.
const DIGITS: u8 = 3;

/// Counts what the records say.
#[derive(Clone, Debug)]
pub struct Summary {
    records: u64,
    connections: u64,
    shown: u64,
    opened: [u64; OpenOutcome::ALL.len()],
    closed: [u64; CloseKind::ALL.len()],
    anomalies: BTreeMap<Anomaly, u64>,
    touched_by_loss: u64,
    asymmetric: u64,
    handshakes: Histogram<u64>,
    longest_ns: u64,
}

/// Counts of others, each with its name, in the order in which they are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters<'a> {
    /// What was read: segments, events, octets.
    pub events: &'a [(&'a str, u64)],
    /// Frames that were not taken for a reason.
    pub rejects: &'a [(&'a str, u64)],
    /// Floods, and what of them is not listed; nothing where there were none.
    pub flood: &'a [(&'a str, u64)],
    /// What was seen and did not get here.
    pub losses: &'a [(&'a str, u64)],
}

impl Default for Summary {
    fn default() -> Self {
        Self::new()
    }
}

impl Summary {
    /// Nothing counted yet.
    ///
    /// # Panics
    /// Never: the histogram's limits are constants that it accepts.
    #[must_use]
    pub fn new() -> Self {
        let handshakes = Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, DIGITS)
            .expect("a microsecond to an hour at three digits is a valid range");
        Self {
            records: 0,
            connections: 0,
            shown: 0,
            opened: [0; OpenOutcome::ALL.len()],
            closed: [0; CloseKind::ALL.len()],
            anomalies: BTreeMap::new(),
            touched_by_loss: 0,
            asymmetric: 0,
            handshakes,
            longest_ns: 0,
        }
    }

    /// Counts a record, whether or not it was shown.
    pub fn record(&mut self, connection: &Connection, shown: bool) {
        self.records += 1;
        self.shown += u64::from(shown);
        self.connections += u64::from(connection.open.outcome.is_connection());
        let outcome = connection.open.outcome;
        count(&mut self.opened, outcome as usize);
        if outcome.is_connection() {
            count(&mut self.closed, connection.close.kind as usize);
        }
        for &(anomaly, count) in &connection.anomalies {
            let sum = self.anomalies.entry(anomaly).or_default();
            *sum = sum.saturating_add(u64::from(count));
        }
        self.touched_by_loss += u64::from(connection.observation_gap);
        self.asymmetric += u64::from(connection.asymmetric);
        if let Some(ns) = connection.open.rtt.total {
            self.handshakes.saturating_record(ns);
            self.longest_ns = self.longest_ns.max(ns);
        }
    }

    /// Counts what another one has counted.
    pub fn absorb(&mut self, other: &Self) {
        self.records += other.records;
        self.connections += other.connections;
        self.shown += other.shown;
        let opened = self.opened.iter_mut().zip(other.opened);
        let closed = self.closed.iter_mut().zip(other.closed);
        opened.chain(closed).for_each(|(sum, count)| *sum += count);
        for (&anomaly, &count) in &other.anomalies {
            let sum = self.anomalies.entry(anomaly).or_default();
            *sum = sum.saturating_add(count);
        }
        self.touched_by_loss += other.touched_by_loss;
        self.asymmetric += other.asymmetric;
        // Both have the same limits: there is no error.
        let _ = self.handshakes.add(&other.handshakes);
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// Appends the words.
    pub fn render(&self, counters: &Counters<'_>, out: &mut Vec<u8>) {
        put(out, format_args!("synfin: {}\n", self.total()));
        let of = |connection: bool| {
            let counts = OpenOutcome::ALL.into_iter().zip(self.opened);
            let counts = counts.filter(|(outcome, _)| outcome.is_connection() == connection);
            let counts = counts.map(|(outcome, count)| (outcome.name(), count));
            listed(&counts.collect::<Vec<_>>(), Zeros::Skip)
        };
        let kinds = CloseKind::ALL.map(CloseKind::name).into_iter();
        let kinds: Vec<_> = kinds.zip(self.closed).collect();
        line("opened", &of(true), out);
        line("closed", &listed(&kinds, Zeros::Skip), out);
        line("lone", &of(false), out);
        line("handshake", &self.handshake(), out);
        let odd: Vec<_> = self
            .anomalies
            .iter()
            .map(|(anomaly, &count)| (anomaly.name(), count))
            .chain([("asymmetric", self.asymmetric)])
            .collect();
        line("odd", &listed(&odd, Zeros::Skip), out);
        line("events", &listed(counters.events, Zeros::Show), out);
        line("rejects", &listed(counters.rejects, Zeros::Skip), out);
        line("flood", &listed(counters.flood, Zeros::Show), out);
        line("losses", &self.losses(counters.losses), out);
    }

    fn total(&self) -> String {
        let mut total = match self.connections {
            0 => "no connections".to_owned(),
            1 => "1 connection".to_owned(),
            many => format!("{many} connections"),
        };
        if self.records > self.shown {
            let _ = write!(total, ", {} shown", self.shown);
        }
        total
    }

    fn handshake(&self) -> String {
        if self.handshakes.is_empty() {
            return String::new();
        }
        // The histogram answers with the upper end of a bucket, which no value may reach.
        let at = |quantile| {
            let ns = self.handshakes.value_at_quantile(quantile);
            Lasting(ns.min(self.longest_ns))
        };
        format!(
            "p50 {}{SEPARATOR}p99 {}{SEPARATOR}max {}",
            at(0.5),
            at(0.99),
            Lasting(self.longest_ns)
        )
    }

    fn losses(&self, losses: &[(&str, u64)]) -> String {
        let mut text = if losses.iter().all(|&(_, count)| count == 0) {
            "nothing lost".to_owned()
        } else {
            listed(losses, Zeros::Show)
        };
        if self.touched_by_loss > 0 {
            text.push_str(&format!("{SEPARATOR}{} marked", self.touched_by_loss));
        }
        text
    }
}

/// Counts one more of what stands at this place in the list of all of its kind.
fn count(counts: &mut [u64], place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count += 1;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Show,
    Skip,
}

fn listed(counts: &[(&str, u64)], zeros: Zeros) -> String {
    let words: Vec<_> = counts
        .iter()
        .filter(|&&(_, count)| zeros == Zeros::Show || count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    words.join(SEPARATOR)
}

/// A line of the summary, left out where there is nothing to say.
fn line(name: &str, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put(out, format_args!("  {name:<10} {text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_the_order_of_declaration() {
        for (place, outcome) in OpenOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, place);
        }
        for (place, kind) in CloseKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
