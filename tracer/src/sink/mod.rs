//! What people and programs read: steps and records, rendered into octets.
//!
//! In: finished [`Connection`]s and, where they are followed, their steps as they happen. Out: octets
//! appended to a buffer. Absent on purpose: I/O, clocks and the locale, so that a record always reads
//! the same, and every judgement that the record does not hold already.

mod check;
mod csv;
mod escape;
pub(crate) mod flags;
mod follow;
mod json;
mod ladder;
mod notes;
mod numbers;
pub(crate) mod paint;
mod servers;
pub(crate) mod services;
mod summary;
pub(crate) mod verdict;
mod zeek;

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use synfin_ebpf::seq::Seq;

use crate::timeline::{Connection, End, Step};

pub use csv::Csv;
pub use json::Json;
pub use ladder::{Drawing, Ladder, Rung, Segment};
pub use paint::{Clause, Style, Tone};
pub(crate) use paint::{acts, printable};
pub use servers::Servers;
pub use summary::{Counters, Summary};
pub use zeek::Zeek;

/// Renders steps and records.
pub trait Sink {
    /// Appends what comes before everything else; `unix_ns` is the time of the wall clock.
    fn begin(&mut self, _unix_ns: i128, _out: &mut Vec<u8>) {}

    /// Appends a step that has just happened; a sink that does not follow appends nothing.
    fn step(&mut self, step: &LiveStep<'_>, out: &mut Vec<u8>);

    /// Appends the record of a connection that is over.
    fn connection(&mut self, connection: &Connection, out: &mut Vec<u8>);

    /// Appends what comes after everything else; `unix_ns` is the time of the wall clock.
    fn end(&mut self, _unix_ns: i128, _out: &mut Vec<u8>) {}
}

/// A step as it happens, with as much of its connection as a line about it needs.
#[derive(Clone, Copy, Debug)]
pub struct LiveStep<'a> {
    /// Wall-clock time of the step, in ns since the Unix epoch.
    pub unix_ns: i128,
    /// Interface that the segment was seen on.
    pub interface: &'a str,
    /// The active opener.
    pub client: LiveEnd,
    /// The passive opener.
    pub server: LiveEnd,
    /// The step.
    pub step: &'a Step,
}

/// One end of a connection that still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveEnd {
    /// Address; an IPv4-mapped one is given as IPv4.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Initial sequence number, where its SYN or SYN-ACK was seen or proved.
    pub isn: Option<Seq>,
}

impl LiveEnd {
    /// As it is written: IPv6 in brackets.
    fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl From<&End> for LiveEnd {
    fn from(end: &End) -> Self {
        Self {
            address: end.address,
            port: end.port,
            isn: end.isn,
        }
    }
}
