//! What is said at the end: how many connections, how they opened and closed, how long handshakes
//! took, and what was not seen.
//!
//! Memory does not grow with what is counted: a number for each name, and a histogram of fixed size.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::paint::{SEPARATOR, put};
use super::units::Lasting;
use crate::timeline::{Anomaly, CloseKind, Connection, OpenOutcome};

/// Handshake times from a microsecond to an hour; what lies outside counts as the nearest of them.
const SHORTEST_NS: u64 = 1_000;
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Digits of a percentile that are exact.
const DIGITS: u8 = 3;

/// Counts what the records say.
#[derive(Clone, Debug)]
pub struct Summary {
    connections: u64,
    opened: BTreeMap<OpenOutcome, u64>,
    closed: BTreeMap<CloseKind, u64>,
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
            connections: 0,
            opened: BTreeMap::new(),
            closed: BTreeMap::new(),
            anomalies: BTreeMap::new(),
            touched_by_loss: 0,
            asymmetric: 0,
            handshakes,
            longest_ns: 0,
        }
    }

    /// Counts a record.
    pub fn record(&mut self, connection: &Connection) {
        self.connections += 1;
        *self.opened.entry(connection.open.outcome).or_default() += 1;
        *self.closed.entry(connection.close.kind).or_default() += 1;
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

    /// Appends the words.
    pub fn render(&self, counters: &Counters<'_>, out: &mut Vec<u8>) {
        match self.connections {
            0 => put(out, "synfin: no connections\n"),
            1 => put(out, "synfin: 1 connection\n"),
            many => put(out, format_args!("synfin: {many} connections\n")),
        }
        let outcomes =
            OpenOutcome::ALL.map(|outcome| (outcome.name(), count(&self.opened, &outcome)));
        let kinds = CloseKind::ALL.map(|kind| (kind.name(), count(&self.closed, &kind)));
        line("opened", &listed(&outcomes, Zeros::Skip), out);
        line("closed", &listed(&kinds, Zeros::Skip), out);
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
        line("losses", &self.losses(counters.losses), out);
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

fn count<K: Ord>(counts: &BTreeMap<K, u64>, name: &K) -> u64 {
    counts.get(name).copied().unwrap_or_default()
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
