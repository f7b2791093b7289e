//! One connection as the table shows it.

use std::cmp::Ordering;
use std::sync::Arc;

use synfin_ebpf::flow::Key;

use crate::diagnosis::diagnose;
use crate::sink::paint::{Clause, Tone, printable};
use crate::sink::services;
use crate::sink::verdict::gist;
use crate::timeline::{Bytes, CloseKind, Connection, End, State};

/// A row's number: it stays the same as long as there is the row.
pub(super) type Id = u64;

/// A connection, as it stood when it was looked at last.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: Id,
    /// It is followed still: its record is not the last one.
    pub(super) open: bool,
    pub(super) connection: Arc<Connection>,
    /// What its handshake and its end come to was counted.
    pub(super) counted: bool,
    /// What a filter looks at, in small letters.
    pub(super) words: Box<str>,
    pub(super) gist: Box<str>,
    pub(super) tone: Tone,
}

impl Row {
    pub(super) fn new(id: Id, open: bool, connection: Connection) -> Self {
        let Clause { tone, text } = verdict(&connection);
        let words = words(&connection, open, &text);
        Self {
            id,
            open,
            counted: false,
            words: words.to_lowercase().into(),
            gist: text.into(),
            tone,
            connection: Arc::new(connection),
        }
    }

    /// Whether it is kept longer than others.
    pub(super) fn failed(&self) -> bool {
        self.connection.open.outcome.is_failure() || self.connection.was_reset()
    }

    /// Whether nothing more is expected of it, though its record may not be complete yet.
    pub(super) fn over(&self) -> bool {
        !self.open || self.failed() || self.connection.close.last_ack == Some(true)
    }

    /// The state of the side that tells the most: of an opening the server's, once that is told of; of a
    /// close the side's that began it.
    pub(super) fn state(&self) -> &'static str {
        let (client, server) = (self.connection.client.state, self.connection.server.state);
        let outcome = self.connection.open.outcome;
        if !outcome.is_connection() {
            "–"
        } else if self.failed() {
            State::Closed.name()
        } else if let Some(role) = self.connection.close.by {
            self.connection.end(role).state.name()
        } else if server == State::SynReceived {
            server.name()
        } else {
            client.name()
        }
    }

    /// How long it has been there, or how long it lived, in ns.
    pub(super) fn age_ns(&self, now_ns: u64) -> u64 {
        if !self.over() {
            now_ns.saturating_sub(self.connection.started_ns)
        } else {
            self.connection.duration_ns
        }
    }

    /// Octets of both sides, as far as they are known.
    pub(super) fn octets(&self) -> Option<u64> {
        let sides = [self.connection.client.bytes, self.connection.server.bytes];
        let known = sides.into_iter().flatten().map(|Bytes { count, .. }| count);
        known.reduce(u64::saturating_add)
    }
}

/// Why it failed or is odd, where that is known; else what came of it.
fn verdict(connection: &Connection) -> Clause {
    let gist = gist(connection);
    match diagnose(connection).into_iter().next() {
        Some(diagnosis) if gist.tone == Tone::Bad => Clause::new(Tone::Bad, diagnosis.text),
        Some(diagnosis) => Clause::new(Tone::Odd, diagnosis.text),
        None => gist,
    }
}

/// The connection that a record is of.
pub(super) fn key(connection: &Connection) -> Key {
    let ends = [&connection.client, &connection.server].map(End::endpoint);
    Key::of(&ends, connection.scope).0
}

fn words(connection: &Connection, open: bool, gist: &str) -> String {
    let service = services::name(connection.server.port).unwrap_or_default();
    let mut words = format!(
        "{} {} {service} {} {} {gist}",
        connection.client.socket(),
        connection.server.socket(),
        if open { "open" } else { "closed" },
        connection.open.outcome.name(),
    );
    if connection.open.outcome.is_failure() {
        words.push_str(" failed");
    }
    if connection.was_reset() {
        words.push_str(" reset");
    }
    if connection.close.kind == CloseKind::Half {
        words.push_str(" half_closed");
    }
    for interface in connection.seen_on() {
        words.push(' ');
        words.push_str(&printable(interface));
    }
    words
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Client,
    Server,
    State,
    Age,
    Handshake,
    Bytes,
    Verdict,
}

impl Column {
    /// All of them, from left to right.
    pub(super) const ALL: [Self; 7] = [
        Self::Client,
        Self::Server,
        Self::State,
        Self::Age,
        Self::Handshake,
        Self::Bytes,
        Self::Verdict,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Client => "CLIENT",
            Self::Server => "SERVER",
            Self::State => "STATE",
            Self::Age => "AGE",
            Self::Handshake => "SHAKE",
            Self::Bytes => "BYTES",
            Self::Verdict => "VERDICT",
        }
    }

    /// The column after this one, and after the last the first.
    pub(super) fn next(self) -> Self {
        let place = Self::ALL.iter().position(|&column| column == self);
        let next = place.map_or(0, |place| (place + 1) % Self::ALL.len());
        Self::ALL.get(next).copied().unwrap_or(self)
    }

    /// The order of two rows where this is looked at: what is most of interest comes first, and of two
    /// that are alike the newer one.
    pub(super) fn order(self, one: &Row, other: &Row) -> Ordering {
        let (first, second) = (&*one.connection, &*other.connection);
        let newer = second.started_ns.cmp(&first.started_ns);
        let order = match self {
            Self::Client => first.client.socket().cmp(&second.client.socket()),
            Self::Server => first.server.socket().cmp(&second.server.socket()),
            Self::State => one.state().cmp(other.state()),
            Self::Age => newer,
            // The slowest and the largest.
            Self::Handshake => (second.open.rtt.total).cmp(&first.open.rtt.total),
            Self::Bytes => other.octets().cmp(&one.octets()),
            Self::Verdict => {
                let weight = |row: &Row| match row.tone {
                    Tone::Bad => 0,
                    Tone::Odd => 1,
                    _ => 2,
                };
                let heavier = weight(one).cmp(&weight(other));
                heavier.then_with(|| one.gist.cmp(&other.gist))
            }
        };
        order.then(newer).then_with(|| other.id.cmp(&one.id))
    }
}
