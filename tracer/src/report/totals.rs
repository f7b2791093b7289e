//! What is counted of all connections, listed or not.
//!
//! Memory does not grow with what is counted, and nothing depends on the order of the records.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hdrhistogram::Histogram;

use super::fate::Fate;
use super::timeline::TimeLine;
use crate::diagnosis::Diagnosis;
use crate::timeline::{CloseKind, Connection, OpenOutcome};

/// Handshake times from a microsecond to an hour; what lies outside counts as the nearest of them.
const SHORTEST_NS: u64 = 1_000;
const LONGEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// The upper bounds of the bars, in ns: 1, 2 and 5 of each power of ten from 1 µs to 50 s.
pub(super) const BARS: usize = 24;
/// Servers whose failures are told apart.
const SERVERS: usize = 1 << 16;

/// The counts.
#[derive(Debug)]
pub(super) struct Totals {
    /// Connections, and lone segments that are none.
    pub(super) connections: u64,
    pub(super) lone: u64,
    pub(super) opened: [u64; OpenOutcome::ALL.len()],
    /// Of those that opened.
    pub(super) closed: [u64; CloseKind::ALL.len()],
    pub(super) failed: u64,
    pub(super) reset: u64,
    /// Payload of clients and of servers.
    pub(super) up: u128,
    pub(super) down: u128,
    /// Events were lost while these were there.
    pub(super) gaps: u64,
    pub(super) handshakes: Histogram<u64>,
    /// Handshakes up to each bound, and those beyond all of them.
    pub(super) bars: [u64; BARS + 1],
    pub(super) longest_ns: u64,
    pub(super) time: TimeLine,
    /// How often each rule found something.
    pub(super) diagnoses: BTreeMap<&'static str, u64>,
    failing: HashMap<SocketAddr, Failing, RandomState>,
    /// Failures at servers that there was no room for.
    pub(super) failing_elsewhere: u64,
}

/// What failed at a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) failed: u64,
    pub(super) reset: u64,
    pub(super) opened: [u64; OpenOutcome::ALL.len()],
}

impl Totals {
    /// Nothing counted yet.
    ///
    /// # Panics
    /// Never: the histogram's limits are constants that it accepts.
    pub(super) fn new() -> Self {
        Self {
            connections: 0,
            lone: 0,
            opened: [0; OpenOutcome::ALL.len()],
            closed: [0; CloseKind::ALL.len()],
            failed: 0,
            reset: 0,
            up: 0,
            down: 0,
            gaps: 0,
            handshakes: Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, DIGITS)
                .expect("a microsecond to an hour at three digits is a valid range"),
            bars: [0; BARS + 1],
            longest_ns: 0,
            time: TimeLine::new(),
            diagnoses: BTreeMap::new(),
            failing: HashMap::default(),
            failing_elsewhere: 0,
        }
    }

    /// Counts a record.
    pub(super) fn count(&mut self, connection: &Connection, diagnoses: &[Diagnosis]) {
        let outcome = connection.open.outcome;
        one_more(&mut self.opened, outcome as usize);
        self.gaps += u64::from(connection.observation_gap);
        if !outcome.is_connection() {
            self.lone += 1;
            return;
        }
        self.connections += 1;
        if matches!(outcome, OpenOutcome::Established | OpenOutcome::Unobserved) {
            one_more(&mut self.closed, connection.close.kind as usize);
        }
        for diagnosis in diagnoses {
            *self.diagnoses.entry(diagnosis.code).or_default() += 1;
        }
        let fate = Fate::of(connection);
        self.failed += u64::from(fate == Fate::Failed);
        self.reset += u64::from(fate == Fate::Reset);
        let octets = |end: &crate::timeline::End| end.bytes.map_or(0, |bytes| bytes.count.into());
        self.up += octets(&connection.client);
        self.down += octets(&connection.server);
        if let Some(ns) = connection.open.rtt.total {
            self.handshakes.saturating_record(ns);
            self.longest_ns = self.longest_ns.max(ns);
            let bar = (0..BARS).find(|bar| ns <= bound_ns(*bar)).unwrap_or(BARS);
            one_more(&mut self.bars, bar);
        }
        self.time
            .count(connection.started_unix_ns, fate != Fate::Well);
        if fate != Fate::Well {
            self.fail(connection, fate);
        }
    }

    fn fail(&mut self, connection: &Connection, fate: Fate) {
        let server = connection.server.socket();
        let room = self.failing.len() < SERVERS;
        if !room && !self.failing.contains_key(&server) {
            self.failing_elsewhere += 1;
            return;
        }
        let failing = self.failing.entry(server).or_default();
        failing.failed += u64::from(fate == Fate::Failed);
        failing.reset += u64::from(fate == Fate::Reset);
        one_more(&mut failing.opened, connection.open.outcome as usize);
    }

    /// The servers with most failures, at most so many.
    pub(super) fn worst(&self, most: usize) -> Vec<(SocketAddr, Failing)> {
        let mut worst: Vec<_> = self
            .failing
            .iter()
            .map(|(server, failing)| (*server, *failing))
            .collect();
        worst.sort_unstable_by_key(|(server, failing)| {
            (std::cmp::Reverse(failing.failed + failing.reset), *server)
        });
        worst.truncate(most);
        worst
    }

    /// Servers with failures, as far as they are told apart.
    pub(super) fn failing(&self) -> usize {
        self.failing.len()
    }
}

/// The upper bound of a bar, in ns.
pub(super) fn bound_ns(bar: usize) -> u64 {
    let power = u32::try_from(bar / 3).unwrap_or(u32::MAX);
    let leading = [1, 2, 5].get(bar % 3).copied().unwrap_or(1);
    10_u64
        .saturating_pow(power)
        .saturating_mul(leading * SHORTEST_NS)
}

fn one_more(counts: &mut [u64], place: usize) {
    if let Some(count) = counts.get_mut(place) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::diagnose;
    use crate::sink::fixtures;

    fn counted(connections: &[Connection]) -> Totals {
        let mut totals = Totals::new();
        connections
            .iter()
            .for_each(|connection| totals.count(connection, &diagnose(connection)));
        totals
    }

    #[test]
    fn bounds_are_one_two_and_five_of_each_power() {
        let bounds: Vec<_> = (0..BARS).map(bound_ns).collect();
        assert_eq!(bounds[..4], [1_000, 2_000, 5_000, 10_000]);
        assert_eq!(bounds.last(), Some(&50_000_000_000));
        assert!(bounds.is_sorted());
    }

    #[test]
    fn every_record_is_counted_once() {
        let all: Vec<_> = fixtures::all()
            .into_iter()
            .map(|(_, connection)| connection)
            .collect();
        let totals = counted(&all);
        let records = u64::try_from(all.len()).unwrap();
        assert_eq!(totals.opened.iter().sum::<u64>(), records);
        assert_eq!(totals.connections + totals.lone, records);
        let opened = totals.opened[0] + totals.opened[OpenOutcome::Unobserved as usize];
        assert_eq!(totals.closed.iter().sum::<u64>(), opened);
        assert_eq!(totals.bars.iter().sum::<u64>(), totals.handshakes.len());
        let at_servers: u64 = totals
            .worst(usize::MAX)
            .iter()
            .map(|(_, at)| at.failed + at.reset)
            .sum();
        assert_eq!(at_servers, totals.failed + totals.reset);
        assert!(totals.failed > 0 && totals.reset > 0 && totals.lone == 2);
    }

    #[test]
    fn a_handshake_is_in_the_bar_whose_bound_it_reaches() {
        let mut connection = fixtures::ftp();
        for (ns, bar) in [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (50_000_000_000, BARS - 1),
            (u64::MAX, BARS),
        ] {
            connection.open.rtt.total = Some(ns);
            let totals = counted(std::slice::from_ref(&connection));
            assert_eq!(totals.bars[bar], 1, "{ns}");
            assert_eq!(totals.longest_ns, ns);
        }
    }
}
