//! Events and connections a second.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use foldhash::fast::RandomState;
use synfin::assembler::{Assembler, Live, Output};
use synfin::cli::Printing;
use synfin::loss::Losses;
use synfin::printer::Printer;
use synfin::timeline::{CloseKind, Connection, OpenOutcome, Step};
use synfin::writer::Writer;
use synfin_ebpf::event::Event;
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::Scope;

use super::report::{Report, Unit};
use super::{heap, lives, seconds};

/// Connections that are open at once.
const CONNECTIONS: u32 = 100_000;
/// Events that are read from the ring in one turn.
const TURN: usize = 16_384;
/// Records that are given to the writer at once.
const PIECE: usize = 1_024;
/// The ways to write, as the command line has them.
const SINKS: [(&str, &[&str]); 5] = [
    ("ladder", &["--format", "ladder"]),
    ("json", &["--format", "json"]),
    ("zeek", &["--format", "zeek"]),
    ("csv", &["--format", "csv"]),
    ("summary", &["--summary"]),
];

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    printing: Printing,
}

/// Takes records as they are handed out.
#[derive(Default)]
struct Records {
    count: usize,
    whole: usize,
    kept: Option<Vec<Connection>>,
}

impl Output for Records {
    fn follows(&self) -> bool {
        false
    }

    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        self.count += 1;
        let closed = matches!(
            connection.close.kind,
            CloseKind::FourWay | CloseKind::ThreeWay
        );
        self.whole += usize::from(closed && connection.open.outcome == OpenOutcome::Established);
        if let Some(kept) = &mut self.kept {
            kept.push(connection);
        }
    }
}

/// Measures both.
pub(super) fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let events = lives::all(CONNECTIONS);
    let mut records = Records {
        kept: Some(Vec::new()),
        ..Records::default()
    };
    assemble(&events, &mut records);
    let connections = records.kept.take().context("keep the records")?;
    for _ in 0..rounds {
        let taken_s = walk(&events)?;
        report.add(
            "walk: hash and count",
            Unit::Events,
            events.len(),
            taken_s,
            0,
        );
        let mut records = Records::default();
        let calls = heap::calls();
        let taken_s = assemble(&events, &mut records);
        report.allocations = (heap::calls() - calls) as f64 / f64::from(CONNECTIONS);
        ensure!(
            [records.count, records.whole] == [CONNECTIONS as usize; 2],
            "{} records, {} whole ones, of {CONNECTIONS} connections",
            records.count,
            records.whole
        );
        report.add("assembler", Unit::Events, events.len(), taken_s, 0);
        for (name, flags) in SINKS {
            let (octets, taken_s) = write(&connections, flags)?;
            report.add(name, Unit::Connections, connections.len(), taken_s, octets);
            if name == "json" {
                let taken_s = copy(octets)?;
                report.add(
                    "copy: as many octets",
                    Unit::Connections,
                    connections.len(),
                    taken_s,
                    octets,
                );
            }
        }
    }
    Ok(())
}

/// The least that can be done with events: finding each one's connection.
fn walk(events: &[Event]) -> Result<f64> {
    let mut counts: HashMap<Key, u32, RandomState> = HashMap::default();
    let begin = seconds();
    for event in events {
        let (key, _) = Key::of(&event.endpoints(), Scope(event.scope));
        *counts.entry(key).or_default() += 1;
    }
    let taken_s = seconds() - begin;
    ensure!(
        counts.len() == CONNECTIONS as usize,
        "{} keys",
        counts.len()
    );
    Ok(taken_s)
}

/// As a live trace does it, turn by turn, until all are handed out.
fn assemble(events: &[Event], records: &mut Records) -> f64 {
    let mut assembler = Assembler::new(lives::settings(CONNECTIONS as usize));
    let mut losses = Losses::default();
    let begin = seconds();
    for turn in events.chunks(TURN) {
        for event in turn {
            losses.observe(event);
            assembler.observe(event, records);
        }
        assembler.advance(turn.last().map_or(0, |event| event.time_ns), records);
    }
    assembler.finish(records);
    seconds() - begin
}

/// Renders and writes everything to where nothing is kept; gives octets and seconds.
fn write(connections: &[Connection], flags: &[&str]) -> Result<(u64, f64)> {
    let words = ["synfin"].iter().chain(flags);
    let printing = Line::try_parse_from(words)?.printing;
    let connections = connections.to_vec();
    let count = connections.len();
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let (mut writer, _broken) = Writer::start_patient(null)?;
    let (mut octets, mut taken) = (0, 0);
    let mut printer = Printer::new(&printing, None, 0);
    let begin = seconds();
    for connection in connections {
        printer.connection(connection, 0);
        taken += 1;
        if taken % PIECE == 0 || taken == count {
            if taken == count {
                printer.end(0);
            }
            octets += printer.waiting() as u64;
            printer.hand_over(&mut writer);
        }
    }
    let dropped = writer.finish();
    let taken_s = seconds() - begin;
    ensure!(
        taken == count && dropped == 0,
        "{dropped} records of {count} dropped"
    );
    Ok((octets, taken_s))
}

/// The least that can be done with octets: copying them, and giving them to the writer.
fn copy(octets: u64) -> Result<f64> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let (mut writer, _broken) = Writer::start_patient(null)?;
    let text = vec![b' '; 2 << 20];
    let mut left = usize::try_from(octets)?;
    let begin = seconds();
    while left > 0 {
        let piece = left.min(text.len());
        let mut copied = black_box(&text).get(..piece).unwrap_or_default().to_vec();
        writer.push(&mut copied, 1);
        left -= piece;
    }
    let dropped = writer.finish();
    ensure!(dropped == 0, "{dropped} pieces dropped");
    Ok(seconds() - begin)
}
