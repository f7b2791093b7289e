//! A connection as the list has it.

use std::cmp::{Ordering, Reverse};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::diagnosis::Diagnosis;
use crate::timeline::{CloseKind, Connection, OpenOutcome};

use super::fate::Fate;
use super::reason;

/// What the list tells of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) fate: Fate,
    pub(super) handshake_ns: Option<u64>,
    pub(super) started_unix_ns: i128,
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) interface: Arc<str>,
    pub(super) outcome: OpenOutcome,
    pub(super) close: CloseKind,
    pub(super) duration_ns: u64,
    /// Octets of payload that the client and the server sent.
    pub(super) up: Option<u64>,
    pub(super) down: Option<u64>,
    /// Why it failed, or what was odd about it.
    pub(super) reason: Box<str>,
}

impl Row {
    pub(super) fn new(connection: &Connection, diagnoses: &[Diagnosis]) -> Self {
        Self {
            fate: Fate::of(connection),
            handshake_ns: connection.open.rtt.total,
            started_unix_ns: connection.started_unix_ns,
            client: connection.client.socket(),
            server: connection.server.socket(),
            interface: Arc::clone(&connection.interface),
            outcome: connection.open.outcome,
            close: connection.close.kind,
            duration_ns: connection.duration_ns,
            up: connection.client.bytes.map(|bytes| bytes.count),
            down: connection.server.bytes.map(|bytes| bytes.count),
            reason: reason::of(connection, diagnoses).into(),
        }
    }
}

/// How much a connection matters: failed ones first, then slow ones, then early ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    fate: Fate,
    handshake_ns: Option<u64>,
    early: Reverse<i128>,
    ends: Reverse<(SocketAddr, SocketAddr)>,
}

impl From<&Connection> for Rank {
    fn from(connection: &Connection) -> Self {
        Self {
            fate: Fate::of(connection),
            handshake_ns: connection.open.rtt.total,
            early: Reverse(connection.started_unix_ns),
            ends: Reverse((connection.client.socket(), connection.server.socket())),
        }
    }
}

impl From<&Row> for Rank {
    fn from(row: &Row) -> Self {
        Self {
            fate: row.fate,
            handshake_ns: row.handshake_ns,
            early: Reverse(row.started_unix_ns),
            ends: Reverse((row.client, row.server)),
        }
    }
}

/// A connection of the list, and its ladder in the form that the page draws it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) row: Row,
    pub(super) ladder: Box<[u8]>,
}

impl Listed {
    /// Octets that it takes, more or less.
    pub(super) fn octets(&self) -> usize {
        self.ladder.len() + self.row.reason.len() + size_of::<Self>()
    }
}

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = Rank::from(&self.row).cmp(&Rank::from(&other.row));
        // Nothing is left to the order in which they came.
        rank.then_with(|| other.ladder.cmp(&self.ladder))
    }
}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A connection that is shown with its ladder without any script.
#[derive(Clone, Debug)]
pub(super) struct Shown<K> {
    pub(super) key: K,
    pub(super) connection: Connection,
}

impl<K: Ord> Ord for Shown<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<K: Ord> PartialOrd for Shown<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Shown<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<K: Ord> Eq for Shown<K> {}
