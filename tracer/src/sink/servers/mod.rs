//! No records, but one line for each server at the end: how often it was asked, what came of that,
//! and how long handshakes took.
//!
//! Memory is bounded: of servers that come after the first [`SERVERS`] only the sum is kept.

mod json;
mod sketch;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;

use super::{LiveStep, Sink, Style};
use crate::timeline::{Connection, OpenOutcome};
use foldhash::fast::RandomState;
use sketch::Sketch;

/// Servers that have a line of their own.
const SERVERS: usize = 1 << 16;

/// Counts connections by server.
#[derive(Clone, Debug)]
pub struct Servers {
    written: Written,
    limit: usize,
    servers: HashMap<SocketAddr, Counts, RandomState>,
    others: Counts,
}

#[derive(Clone, Copy, Debug)]
enum Written {
    Table(Style),
    Json,
}

/// What came of the connections to a server, or to several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    established: u64,
    refused: u64,
    no_reply: u64,
    half_open: u64,
    rejected: u64,
    aborted: u64,
    pending: u64,
    /// Open before they were seen: no attempts.
    unobserved: u64,
    reset: u64,
    handshakes: Sketch,
}

impl Servers {
    /// A table for people.
    #[must_use]
    pub fn table(style: Style) -> Self {
        Self::new(Written::Table(style), SERVERS)
    }

    /// An object a line, for programs.
    #[must_use]
    pub fn json() -> Self {
        Self::new(Written::Json, SERVERS)
    }

    fn new(written: Written, limit: usize) -> Self {
        Self {
            written,
            limit,
            servers: HashMap::default(),
            others: Counts::default(),
        }
    }

    /// Counts what another one has counted.
    pub fn absorb(&mut self, other: &Self) {
        self.others.merge(&other.others);
        // In an order of their own: who still finds a line is no accident.
        for (server, counts) in other.sorted() {
            self.counts(server).merge(counts);
        }
    }

    /// The counts of a server, or those of the others where there is no room for more.
    fn counts(&mut self, server: SocketAddr) -> &mut Counts {
        let room = self.servers.len() < self.limit;
        match self.servers.entry(server) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if room => entry.insert(Counts::default()),
            Entry::Vacant(_) => &mut self.others,
        }
    }

    /// Those that were asked most come first.
    fn sorted(&self) -> Vec<(SocketAddr, &Counts)> {
        let mut sorted: Vec<_> = self
            .servers
            .iter()
            .map(|(&server, counts)| (server, counts))
            .collect();
        sorted.sort_unstable_by(|(one, first), (other, second)| {
            let most = second.attempts().cmp(&first.attempts());
            most.then_with(|| one.cmp(other))
        });
        sorted
    }

    fn total(&self) -> Counts {
        let mut total = self.others.clone();
        self.servers.values().for_each(|counts| total.merge(counts));
        total
    }
}

impl Sink for Servers {
    fn step(&mut self, _: &LiveStep<'_>, _: &mut Vec<u8>) {}

    fn connection(&mut self, connection: &Connection, _: &mut Vec<u8>) {
        if !connection.open.outcome.is_connection() {
            return;
        }
        self.counts(connection.server.socket()).add(connection);
    }

    fn end(&mut self, _: i128, out: &mut Vec<u8>) {
        match self.written {
            Written::Table(style) => table::render(self, style, out),
            Written::Json => json::render(self, out),
        }
    }
}

impl Counts {
    fn add(&mut self, connection: &Connection) {
        let count = match connection.open.outcome {
            OpenOutcome::Established => &mut self.established,
            OpenOutcome::Refused => &mut self.refused,
            OpenOutcome::NoReply => &mut self.no_reply,
            OpenOutcome::HalfOpen => &mut self.half_open,
            OpenOutcome::Rejected => &mut self.rejected,
            OpenOutcome::Aborted => &mut self.aborted,
            OpenOutcome::Pending => &mut self.pending,
            OpenOutcome::Unobserved => &mut self.unobserved,
            OpenOutcome::Backscatter | OpenOutcome::Probe => return,
        };
        *count += 1;
        self.reset += u64::from(connection.was_reset());
        if let Some(ns) = connection.open.rtt.total {
            self.handshakes.add(ns);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.established += other.established;
        self.refused += other.refused;
        self.no_reply += other.no_reply;
        self.half_open += other.half_open;
        self.rejected += other.rejected;
        self.aborted += other.aborted;
        self.pending += other.pending;
        self.unobserved += other.unobserved;
        self.reset += other.reset;
        self.handshakes.merge(&other.handshakes);
    }

    /// Openings that were seen, whatever came of them.
    const fn attempts(&self) -> u64 {
        self.established
            + self.refused
            + self.no_reply
            + self.half_open
            + self.rejected
            + self.aborted
            + self.pending
    }

    /// All connections, attempts or not.
    const fn connections(&self) -> u64 {
        self.attempts() + self.unobserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{START, all, backscatter, ftp, refused};

    fn counted(limit: usize, connections: &[Connection]) -> Servers {
        let mut servers = Servers::new(Written::Json, limit);
        let mut out = Vec::new();
        for connection in connections {
            servers.connection(connection, &mut out);
        }
        assert_eq!(out, b"");
        servers
    }

    #[test]
    fn connections_are_counted_by_server_and_lone_segments_are_not() {
        let servers = counted(9, &[ftp(), ftp(), refused(), backscatter()]);
        let sorted = servers.sorted();
        let attempts: Vec<_> = sorted
            .iter()
            .map(|(server, counts)| (server.port(), counts.attempts()))
            .collect();
        assert_eq!(attempts, [(21, 2), (6379, 1)]);
        assert_eq!(sorted[1].1.refused, 1);
        assert_eq!(sorted[0].1.handshakes.max(), Some(412_000));
    }

    #[test]
    fn two_as_one_are_as_if_counted_together() {
        let (one, other) = ([ftp(), refused()], [ftp(), ftp(), backscatter()]);
        let mut both = counted(9, &one);
        both.absorb(&counted(9, &other));
        let together = counted(9, &[one.to_vec(), other.to_vec()].concat());
        assert_eq!(both.sorted(), together.sorted());
        // Who finds no line of its own any more is in the sum.
        let mut full = counted(1, &[ftp()]);
        full.absorb(&counted(9, &[refused()]));
        assert_eq!((full.servers.len(), full.others.refused), (1, 1));
    }

    #[test]
    fn what_finds_no_line_of_its_own_is_in_the_sum() {
        let many: Vec<_> = (1..=5)
            .map(|port| {
                let mut connection = ftp();
                connection.server.port = port;
                connection
            })
            .collect();
        let bounded = counted(2, &many);
        assert_eq!(bounded.servers.len(), 2);
        assert_eq!(bounded.others.established, 3);
        assert_eq!(bounded.total(), counted(9, &many).total());
    }

    #[test]
    fn every_connection_is_in_the_total() {
        let all: Vec<_> = all()
            .into_iter()
            .map(|(_, connection)| connection)
            .collect();
        let connections = all
            .iter()
            .filter(|connection| connection.open.outcome.is_connection());
        let expected = u64::try_from(connections.count()).unwrap();
        assert_eq!(counted(99, &all).total().connections(), expected);
    }

    #[test]
    fn both_ways_of_writing_end_with_the_total() {
        let all: Vec<_> = all()
            .into_iter()
            .map(|(_, connection)| connection)
            .collect();
        for mut servers in [Servers::table(Style::default()), Servers::json()] {
            let mut out = Vec::new();
            all.iter()
                .for_each(|connection| servers.connection(connection, &mut out));
            servers.end(START, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(text.lines().last().unwrap().contains("total"), "{text}");
        }
    }
}
