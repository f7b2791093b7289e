//! A record as the rows of its ladder: what each of them says, not yet where.

use super::unshown::Progress;
use crate::sink::check::check;
use crate::sink::flags::Shown;
use crate::sink::numbers::{Numbers, symbol};
use crate::sink::paint::{Clause, Tone};
use crate::timeline::{CloseKind, Connection, Role, State, Step};
use crate::units::Millis;

/// One row.
#[derive(Clone, Debug)]
pub enum Rung {
    /// A segment.
    Segment(Segment),
    /// What lies between two segments and is not shown.
    Unshown(String),
}

/// A segment and what is known through it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Time since the connection's first segment, in ns.
    pub t_ns: u64,
    /// Time since the row before, in ns, where that is shown.
    pub since_ns: Option<u64>,
    /// Its sender.
    pub from: Role,
    /// It is a RST.
    pub reset: bool,
    /// The names of its flags.
    pub flags: String,
    /// Its numbers that say something.
    pub label: String,
    /// The client's state after it, where it changed.
    pub client_state: &'static str,
    /// The server's state after it, where it changed.
    pub server_state: &'static str,
    /// What its numbers prove or contradict.
    pub proof: Vec<Clause>,
}

impl Segment {
    /// [`Segment::t_ns`] as it is shown, in ms.
    pub(crate) fn time(&self) -> String {
        Millis(self.t_ns).to_string()
    }

    /// [`Segment::since_ns`] as it is shown, in ms.
    pub(crate) fn delta(&self) -> String {
        let shown = self.since_ns.map(|ns| format!("+{}", Millis(ns)));
        shown.unwrap_or_default()
    }
}

/// The rows of a connection, in order.
pub(super) fn rungs(connection: &Connection) -> Vec<Rung> {
    let steps = &connection.steps;
    let numbers = Numbers::from(connection);
    let mut rungs = Vec::with_capacity(steps.len() + 1);
    let mut named = Named::default();
    let mut progress = Progress::new(connection, &numbers);
    let mut before: Option<&Step> = None;
    for (index, step) in steps.iter().enumerate() {
        let since = before.map(|before| step.t_ns.saturating_sub(before.t_ns));
        let unshown = progress.take(step, since.unwrap_or_default());
        // What is not shown tells the time that it took.
        let since_ns = since.filter(|_| unshown.is_none());
        rungs.extend(unshown.map(Rung::Unshown));
        let label = numbers.label(step);
        let mut proof = named.definitions(&numbers, |role| label.names(role));
        proof.extend(check(step, &numbers, first_ns(steps, index)));
        proof.extend(part_in_close(connection, index));
        rungs.push(Rung::Segment(Segment {
            t_ns: step.t_ns,
            since_ns,
            from: step.from,
            reset: step.flags.rst(),
            flags: Shown(step.flags).to_string(),
            label: label.to_string(),
            client_state: step.client_state.map_or("", State::name),
            server_state: step.server_state.map_or("", State::name),
            proof,
        }));
        before = Some(step);
    }
    if let Some(last) = before {
        let rest = connection.duration_ns.saturating_sub(last.t_ns);
        rungs.extend(progress.rest(rest).map(Rung::Unshown));
    }
    rungs
}

/// Whether a segment belongs to the close rather than to what came before it.
fn closes(step: &Step) -> bool {
    let ignored = step.check.is_some_and(|check| !check.ok());
    (step.flags.fin() || step.flags.rst()) && !step.flags.anomalous() && !ignored
}

/// For a segment that was sent before: how long ago that was.
fn first_ns(steps: &[Step], index: usize) -> Option<u64> {
    let step = steps.get(index)?;
    let same = |other: &&Step| {
        other.from == step.from
            && other.seq == step.seq
            && other.flags.syn() == step.flags.syn()
            && other.flags.fin() == step.flags.fin()
    };
    let first = steps.get(..index)?.iter().find(same)?;
    Some(step.t_ns.saturating_sub(first.t_ns))
}

/// What a FIN is to the close, where its check does not say so.
fn part_in_close(connection: &Connection, index: usize) -> Option<Clause> {
    let steps = &connection.steps;
    let step = steps.get(index).filter(|step| closes(step))?;
    let before = steps.get(..index)?;
    let fin = |step: &&Step| closes(step) && step.flags.fin();
    if !step.flags.fin() || before.iter().filter(fin).any(|fin| fin.from == step.from) {
        return None;
    }
    let text = match before.iter().find(fin) {
        None if connection.close.by == Some(step.from) => "active close".to_owned(),
        Some(first) if connection.close.kind == CloseKind::Simultaneous => {
            format!("crosses the {}'s FIN", first.from.name())
        }
        _ => return None,
    };
    Some(Clause::new(Tone::Plain, text))
}

/// Which of X and Y were said already.
#[derive(Default)]
struct Named {
    client: bool,
    server: bool,
}

impl Named {
    /// What X and Y stand for, where a row needs them for the first time.
    fn definitions(&mut self, numbers: &Numbers, needs: impl Fn(Role) -> bool) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for (role, said) in [
            (Role::Client, &mut self.client),
            (Role::Server, &mut self.server),
        ] {
            if let Some(initial) = numbers.initial(role).filter(|_| !*said && needs(role)) {
                *said = true;
                let text = format!("{} = {}", symbol(role), initial.0);
                clauses.push(Clause::new(Tone::Plain, text));
            }
        }
        clauses
    }
}
