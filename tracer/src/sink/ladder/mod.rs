//! The ladder: the client's line on the left, the server's on the right, a rung for each segment.
//!
//! In: one record. Out: a title that says what came of it, the segments with the states that they
//! lead to and the proof that their numbers give, and notes on what else must be known. Everything
//! is said in words and arrows; colour only repeats it.

mod counted;
mod options;
mod place;
mod rungs;
mod table;
mod unshown;

use super::follow;
use super::notes::notes;
use super::paint::{Clause, SEPARATOR, Style, Tone, columns, columns_joined, put, wrap};
use super::verdict::{explained, route, verdict};
use super::{LiveStep, Sink};
use crate::timeline::Connection;
use crate::units::Wall;

pub use rungs::{Rung, Segment};

/// Indent of what belongs to the title, and of a line that goes on.
const INDENT: &str = "  ";
/// Before what explains it.
const REASON: &str = "  ⇒ ";
/// Between the route and the verdict where both fit into one line.
const GAP: &str = "   ";

/// What a ladder says, for those who draw it in their own way.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Who talked to whom.
    pub route: String,
    /// What came of it.
    pub verdict: Vec<Clause>,
    /// Why it failed or is odd.
    pub reasons: Vec<Clause>,
    /// When and where it was seen, what was negotiated, what was counted.
    pub circumstances: Vec<Clause>,
    /// The rows.
    pub rungs: Vec<Rung>,
    /// What else must be known.
    pub notes: Vec<Clause>,
}

impl From<&Connection> for Drawing {
    fn from(connection: &Connection) -> Self {
        let mut circumstances = seen(connection);
        circumstances.extend(negotiated(connection));
        circumstances.extend(counted::accounts(connection));
        Self {
            route: route(connection),
            verdict: verdict(connection),
            reasons: explained(connection),
            circumstances,
            rungs: rungs::rungs(connection),
            notes: notes(connection),
        }
    }
}

/// Renders for people: a ladder for each connection or, where it follows, a line for each step and
/// one for the verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ladder {
    /// How it is laid out.
    pub style: Style,
    /// Whether steps are told as they happen.
    pub follow: bool,
}

impl Sink for Ladder {
    fn step(&mut self, step: &LiveStep<'_>, out: &mut Vec<u8>) {
        if self.follow {
            follow::step(step, self.style, out);
        }
    }

    fn connection(&mut self, connection: &Connection, out: &mut Vec<u8>) {
        if self.follow {
            follow::verdict(connection, self.style, out);
        } else {
            ladder(connection, self.style, out);
        }
    }
}

fn ladder(connection: &Connection, style: Style, out: &mut Vec<u8>) {
    if !connection.open.outcome.is_connection() {
        return lone(connection, style, out);
    }
    title(connection, &verdict(connection), style, out);
    diagnoses(connection, style, out);
    circumstances(connection, style, out);
    lines(&counted::accounts(connection), INDENT, style, out);
    if !connection.steps.is_empty() {
        out.push(b'\n');
        table::draw(&rungs::rungs(connection), style, out);
    }
    let notes = notes(connection);
    if !notes.is_empty() {
        out.push(b'\n');
        for note in notes {
            lines(&[note], "  ! ", style, out);
        }
    }
    out.push(b'\n');
}

/// Why it failed or is odd, a line for each reason.
fn diagnoses(connection: &Connection, style: Style, out: &mut Vec<u8>) {
    for clause in explained(connection) {
        lines(&[clause], REASON, style, out);
    }
}

/// What is no connection: all of it in a line.
fn lone(connection: &Connection, style: Style, out: &mut Vec<u8>) {
    let mut clauses = verdict(connection);
    clauses.extend(seen(connection));
    clauses.extend(notes(connection));
    title(connection, &clauses, style, out);
    out.push(b'\n');
}

fn title(connection: &Connection, verdict: &[Clause], style: Style, out: &mut Vec<u8>) {
    let route = route(connection);
    style.put(out, Tone::Strong, &route);
    if columns(&route) + columns(GAP) + columns_joined(verdict) <= style.width {
        put(out, GAP);
        style.join(out, verdict);
        out.push(b'\n');
    } else {
        out.push(b'\n');
        lines(verdict, INDENT, style, out);
    }
}

/// When and where it was seen, and what was negotiated: in one line where there is room for it.
fn circumstances(connection: &Connection, style: Style, out: &mut Vec<u8>) {
    let (mut seen, negotiated) = (seen(connection), negotiated(connection));
    let used = columns(INDENT) + columns_joined(&seen) + columns(SEPARATOR);
    if used + columns_joined(&negotiated) <= style.width {
        seen.extend(negotiated);
        lines(&seen, INDENT, style, out);
    } else {
        lines(&seen, INDENT, style, out);
        lines(&negotiated, INDENT, style, out);
    }
}

fn seen(connection: &Connection) -> Vec<Clause> {
    let when = Wall(connection.started_unix_ns).to_string();
    let place = place::place(connection);
    let seen = [when].into_iter().chain(place);
    seen.map(|text| Clause::new(Tone::Dim, text)).collect()
}

fn negotiated(connection: &Connection) -> Vec<Clause> {
    let clauses = options::options(connection).into_iter();
    let dimmed = clauses.map(|clause| {
        let tone = match clause.tone {
            Tone::Plain => Tone::Dim,
            tone => tone,
        };
        Clause { tone, ..clause }
    });
    dimmed.collect()
}

/// Clauses over as many lines as they need, the lines after the first one indented as far.
fn lines(clauses: &[Clause], lead: &str, style: Style, out: &mut Vec<u8>) {
    let width = style.width.saturating_sub(columns(lead));
    for (index, line) in wrap(clauses, width).iter().enumerate() {
        if index == 0 {
            put(out, lead);
        } else {
            put(out, format_args!("{:1$}", "", columns(lead)));
        }
        style.join(out, line);
        out.push(b'\n');
    }
}
