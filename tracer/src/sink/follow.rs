//! Connections as they live: a line for each step, and one for the verdict.

use std::net::SocketAddr;

use super::LiveStep;
use super::check::check;
use super::flags::Shown;
use super::notes::notes;
use super::numbers::{Numbers, symbol};
use super::paint::{Clause, Style, Tone, printable, put};
use super::{services, verdict as words};
use crate::timeline::{Connection, Proof, Role, Step};
use crate::units::Wall;

/// The longest IPv4 endpoint, so that arrows stand below one another.
const ENDPOINT: usize = "255.255.255.255:65535".len();
const FLAGS: usize = "SYN,ACK".len();
const LABEL: usize = "seq=Y+95 ack=X+27".len();

/// Appends the line of a step.
pub(super) fn step(live: &LiveStep<'_>, style: Style, out: &mut Vec<u8>) {
    let step = live.step;
    let numbers = Numbers::from(live);
    let arrow = match step.from {
        Role::Client => "──►",
        Role::Server => "◄──",
    };
    let (client, server) = (live.client.socket(), live.server.socket());
    head(live.unix_ns, live.interface, client, arrow, style, out);
    put(out, format_args!("{server:<ENDPOINT$}  "));
    let flags = Shown(step.flags).to_string();
    let tone = if step.flags.rst() {
        Tone::Bad
    } else {
        Tone::Plain
    };
    style.put(out, tone, format_args!("{flags:<FLAGS$}"));
    let label = numbers.label(step).to_string();
    let remarks = remarks(step, &numbers);
    if remarks.is_empty() {
        put(out, format_args!("  {label}"));
    } else {
        put(out, format_args!("  {label:<LABEL$}  "));
        style.join(out, &remarks);
    }
    out.push(b'\n');
}

fn remarks(step: &Step, numbers: &Numbers) -> Vec<Clause> {
    let mut remarks = Vec::new();
    let check = check(step, numbers, None);
    let again = step
        .check
        .is_some_and(|check| check.proof == Proof::Retransmission);
    if step.flags.syn() && !again && numbers.initial(step.from) == Some(step.seq) {
        let text = format!("{} = {}", symbol(step.from), step.seq.0);
        remarks.push(Clause::new(Tone::Plain, text));
    }
    remarks.extend(check);
    remarks
}

/// Appends the last line of a connection.
pub(super) fn verdict(connection: &Connection, style: Style, out: &mut Vec<u8>) {
    let (client, server) = (connection.client.socket(), connection.server.socket());
    let ended = connection
        .started_unix_ns
        .saturating_add(i128::from(connection.duration_ns));
    head(ended, &connection.interface, client, " ═ ", style, out);
    let name = services::name(server.port());
    let server = match name {
        Some(name) => format!("{server} {name}"),
        None => server.to_string(),
    };
    put(out, format_args!("{server:<ENDPOINT$}  "));
    let mut clauses = words::verdict(connection);
    clauses.extend(words::explained(connection));
    clauses.extend(notes(connection));
    style.join(out, &clauses);
    out.push(b'\n');
}

fn head(
    unix_ns: i128,
    interface: &str,
    client: SocketAddr,
    arrow: &str,
    style: Style,
    out: &mut Vec<u8>,
) {
    let time = Wall(unix_ns)
        .time_of_day()
        .unwrap_or_else(|| "??:??:??.??????".to_owned());
    let when = format_args!("{time} {:<6}", printable(interface));
    style.put(out, Tone::Dim, when);
    put(out, format_args!(" {client:>ENDPOINT$} {arrow} "));
}
