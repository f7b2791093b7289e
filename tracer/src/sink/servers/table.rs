//! Servers for people: a table, its columns as wide as they must be, the total last.

use std::net::SocketAddr;

use super::{Counts, Servers};
use crate::sink::paint::{Style, Tone, columns, put};
use crate::sink::services;
use crate::units::Lasting;

/// Between two columns.
const SPACE: usize = 2;
/// Where there is nothing to tell.
const NOTHING: &str = "–";

/// A column: its title, what it tells, whether it is left out where it has nothing to tell, and how
/// what it tells is painted.
struct Column {
    title: &'static str,
    cell: fn(&Counts) -> String,
    always: bool,
    tone: Tone,
}

static COLUMNS: [Column; 11] = [
    column(
        "attempts",
        |counts| number(counts.attempts()),
        true,
        Tone::Plain,
    ),
    column(
        "established",
        |counts| number(counts.established),
        true,
        Tone::Plain,
    ),
    column("refused", |counts| number(counts.refused), true, Tone::Bad),
    column(
        "unanswered",
        |counts| number(counts.no_reply),
        true,
        Tone::Bad,
    ),
    column(
        "half open",
        |counts| number(counts.half_open),
        true,
        Tone::Bad,
    ),
    column(
        "other",
        |counts| number(counts.rejected + counts.aborted + counts.pending),
        false,
        Tone::Bad,
    ),
    column(
        "open before",
        |counts| number(counts.unobserved),
        false,
        Tone::Plain,
    ),
    column("reset", |counts| number(counts.reset), true, Tone::Odd),
    column(
        "p50",
        |counts| time(counts.handshakes.percentile(50)),
        true,
        Tone::Plain,
    ),
    column(
        "p99",
        |counts| time(counts.handshakes.percentile(99)),
        true,
        Tone::Plain,
    ),
    column(
        "max",
        |counts| time(counts.handshakes.max()),
        true,
        Tone::Plain,
    ),
];

const fn column(
    title: &'static str,
    cell: fn(&Counts) -> String,
    always: bool,
    tone: Tone,
) -> Column {
    Column {
        title,
        cell,
        always,
        tone,
    }
}

/// Appends the table.
pub(super) fn render(servers: &Servers, style: Style, out: &mut Vec<u8>) {
    let total = servers.total();
    let shown: Vec<_> = COLUMNS
        .iter()
        .filter(|column| column.always || (column.cell)(&total) != NOTHING)
        .collect();
    let mut rows: Vec<_> = servers
        .sorted()
        .into_iter()
        .map(|(server, counts)| (name(server), counts))
        .collect();
    if servers.others.connections() > 0 {
        rows.push(("others".to_owned(), &servers.others));
    }
    rows.push(("total".to_owned(), &total));

    let names = rows.iter().map(|(name, _)| columns(name));
    let first = names.fold(columns("server"), usize::max);
    let widths: Vec<_> = shown
        .iter()
        .map(|column| {
            let cells = rows
                .iter()
                .map(|(_, counts)| columns(&(column.cell)(counts)));
            cells.fold(columns(column.title), usize::max)
        })
        .collect();
    style.put(out, Tone::Dim, format_args!("{:first$}", "server"));
    for (column, width) in shown.iter().zip(&widths) {
        let title = format_args!("{:SPACE$}{:>width$}", "", column.title);
        style.put(out, Tone::Dim, title);
    }
    out.push(b'\n');
    for (name, counts) in rows {
        put(out, format_args!("{name:first$}"));
        for (column, width) in shown.iter().zip(&widths) {
            let cell = (column.cell)(counts);
            let tone = if cell == NOTHING {
                Tone::Dim
            } else {
                column.tone
            };
            style.put(out, tone, format_args!("{:SPACE$}{cell:>width$}", ""));
        }
        out.push(b'\n');
    }
}

fn name(server: SocketAddr) -> String {
    match services::name(server.port()) {
        Some(service) => format!("{server} {service}"),
        None => server.to_string(),
    }
}

fn number(count: u64) -> String {
    match count {
        0 => NOTHING.to_owned(),
        count => count.to_string(),
    }
}

fn time(ns: Option<u64>) -> String {
    ns.map_or_else(|| NOTHING.to_owned(), |ns| Lasting(ns).to_string())
}
