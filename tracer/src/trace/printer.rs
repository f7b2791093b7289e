//! Renders what the assembler hands out, and keeps the summary.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use synfin_ebpf::counters::Counter;
use synfin_ebpf::segment::Endpoint;
use synfin_ebpf::seq::Seq;
use terminal_size::{Width, terminal_size};

use super::counters::Totals;
use crate::assembler::{Counts, Live, Output};
use crate::cli::{Format, Trace};
use crate::sink::{Counters, Json, Ladder, LiveEnd, LiveStep, Sink, Style, Summary};
use crate::timeline::{Connection, Step, ip};
use crate::writer::Writer;

/// The sink, its buffer, and the summary.
pub(super) struct Printer {
    sink: Box<dyn Sink>,
    follow: bool,
    interfaces: HashMap<u32, Arc<str>>,
    buffer: Vec<u8>,
    /// Records and steps in the buffer.
    records: u64,
    /// Connections that may still be printed.
    left: u64,
    summary: Summary,
}

impl Printer {
    pub(super) fn new(options: &Trace, interfaces: HashMap<u32, Arc<str>>) -> Self {
        let sink: Box<dyn Sink> = match options.format {
            Format::Ladder => Box::new(Ladder {
                style: style(),
                follow: options.follow,
            }),
            Format::Json => Box::new(Json {
                follow: options.follow,
            }),
        };
        Self {
            sink,
            follow: options.follow,
            interfaces,
            buffer: Vec::new(),
            records: 0,
            left: options.count.unwrap_or(u64::MAX),
            summary: Summary::new(),
        }
    }

    /// Whether the asked-for number of connections was printed.
    pub(super) const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Gives what was rendered to the writer.
    pub(super) fn hand_over(&mut self, writer: &mut Writer) {
        writer.push(&mut self.buffer, self.records);
        self.records = 0;
    }

    /// Writes the summary to standard error.
    pub(super) fn sum_up(&self, totals: &Totals, counts: &Counts, lost: u64, dropped: u64) {
        let events = [
            ("frames", totals.get(Counter::Frames)),
            ("TCP segments", totals.get(Counter::Segments)),
            ("events", totals.get(Counter::Events)),
            ("late segments", counts.late),
            ("stray resets", counts.stray_rst),
            ("stray segments", counts.stray),
        ];
        let rejects: Vec<_> = totals.rejects().collect();
        let ring_full = totals.get(Counter::RingFull);
        let losses = [
            ("ring_full", ring_full),
            // What serial numbers prove to be missing beyond what the programs counted.
            ("unaccounted", lost.saturating_sub(ring_full)),
            ("held_syn", totals.get(Counter::HeldSyn)),
            ("held_syn_ack", totals.get(Counter::HeldSynAck)),
            ("held_other", totals.get(Counter::HeldOther)),
            ("table_full", totals.get(Counter::TableFull)),
            ("connections_evicted", counts.evicted),
            ("records_dropped", dropped),
        ];
        let mut text = Vec::new();
        let counters = Counters {
            events: &events,
            rejects: &rejects,
            losses: &losses,
        };
        self.summary.render(&counters, &mut text);
        // There is nobody to tell where standard error is gone.
        let _ = std::io::stderr().write_all(&text);
    }
}

impl Output for Printer {
    fn step(&mut self, live: &Live, step: &Step) {
        if !self.follow || self.is_done() {
            return;
        }
        let interface = self.interfaces.get(&live.interface);
        let step = LiveStep {
            unix_ns: live.unix_ns,
            interface: interface.map_or("", |name| name),
            client: end(live.client),
            server: end(live.server),
            step,
        };
        self.sink.step(&step, &mut self.buffer);
        self.records += 1;
    }

    fn connection(&mut self, connection: Connection) {
        if self.is_done() {
            return;
        }
        self.left -= 1;
        self.summary.record(&connection);
        self.sink.connection(&connection, &mut self.buffer);
        self.records += 1;
    }
}

fn end((endpoint, isn): (Endpoint, Option<Seq>)) -> LiveEnd {
    LiveEnd {
        address: ip(&endpoint),
        port: endpoint.port,
        isn,
    }
}

/// As wide as the terminal, in colour where its user has nothing against it (see no-color.org).
fn style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let plain = Style::default();
    if !std::io::stdout().is_terminal() {
        return plain;
    }
    Style {
        colour: !refused && !dumb,
        width: terminal_size().map_or(plain.width, |(Width(width), _)| width.into()),
    }
}
