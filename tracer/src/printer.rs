//! Renders what the assembler hands out, and keeps the summary: the same for live traces and
//! captures.

use std::fmt::Debug;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use synfin_ebpf::segment::Endpoint;
use synfin_ebpf::seq::Seq;
use terminal_size::{Width, terminal_size};

use crate::assembler::{Live, Output};
use crate::cli::{Format, Printing};
use crate::selection::Selection;
use crate::sink::{
    Counters, Csv, Json, Ladder, LiveEnd, LiveStep, Servers, Sink, Style, Summary, Zeek,
};
use crate::timeline::{Connection, Step, ip};
use crate::writer::Writer;

/// The sink, its buffer, and the summary.
#[derive(Clone, Debug)]
pub struct Printer {
    form: Form,
    follow: bool,
    selection: Selection,
    buffer: Vec<u8>,
    /// Records and steps in the buffer.
    records: u64,
    /// Connections that may still be printed.
    left: u64,
    summary: Summary,
}

impl Printer {
    /// Begins the output, at this time of the wall clock; after `count` connections it is done.
    #[must_use]
    pub fn new(printing: &Printing, count: Option<u64>, unix_ns: i128) -> Self {
        let follow = printing.follow;
        let style = style();
        let mut form = match printing.format {
            Format::Json if printing.summary => Form::Servers(Servers::json()),
            _ if printing.summary => Form::Servers(Servers::table(style)),
            Format::Ladder => Form::Ladder(Ladder { style, follow }),
            Format::Json => Form::Json(Json { follow }),
            Format::Zeek => Form::Zeek(Zeek),
            Format::Csv => Form::Csv(Csv),
        };
        let mut buffer = Vec::new();
        form.sink().begin(unix_ns, &mut buffer);
        Self {
            form,
            follow,
            selection: printing.selection(),
            buffer,
            records: 0,
            left: count.unwrap_or(u64::MAX),
            summary: Summary::new(),
        }
    }

    /// Prints nothing, and hands the records on.
    #[must_use]
    pub fn gathering(gatherer: Arc<dyn Gather>) -> Self {
        Self {
            form: Form::Gathering(Gathering(gatherer)),
            follow: false,
            selection: Selection::default(),
            buffer: Vec::new(),
            records: 0,
            left: u64::MAX,
            summary: Summary::new(),
        }
    }

    /// Ends the output, at this time of the wall clock.
    pub fn end(&mut self, unix_ns: i128) {
        self.form.sink().end(unix_ns, &mut self.buffer);
    }

    /// Counts what another one, whose output is part of this one's, has counted.
    pub fn absorb(&mut self, other: &Self) {
        self.summary.absorb(&other.summary);
        if let (Form::Servers(servers), Form::Servers(others)) = (&mut self.form, &other.form) {
            servers.absorb(others);
        }
    }

    /// Whether the asked-for number of connections was printed.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Octets that were rendered and wait to be handed over.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Gives what was rendered to the writer.
    pub fn hand_over(&mut self, writer: &mut Writer) {
        writer.push(&mut self.buffer, self.records);
        self.records = 0;
    }

    /// Gives what was rendered for an empty buffer; whoever takes it counts the records.
    pub const fn swap_rendered(&mut self, empty: &mut Vec<u8>) {
        self.records = 0;
        std::mem::swap(&mut self.buffer, empty);
    }

    /// Writes the summary to standard error.
    pub fn sum_up(&self, counters: &Counters<'_>) {
        let mut text = Vec::new();
        self.summary.render(counters, &mut text);
        // There is nobody to tell where standard error is gone.
        let _ = std::io::stderr().write_all(&text);
    }
}

/// What is rendered.
#[derive(Clone, Debug)]
enum Form {
    Servers(Servers),
    Ladder(Ladder),
    Json(Json),
    Zeek(Zeek),
    Csv(Csv),
    Gathering(Gathering),
}

impl Form {
    fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Self::Servers(sink) => sink,
            Self::Ladder(sink) => sink,
            Self::Json(sink) => sink,
            Self::Zeek(sink) => sink,
            Self::Csv(sink) => sink,
            Self::Gathering(sink) => sink,
        }
    }
}

/// Takes records that are not printed, from any number of threads.
pub trait Gather: Debug + Send + Sync {
    /// Takes a record.
    fn take(&self, connection: &Connection);
}

#[derive(Clone, Debug)]
struct Gathering(Arc<dyn Gather>);

impl Sink for Gathering {
    fn step(&mut self, _: &LiveStep<'_>, _: &mut Vec<u8>) {}

    fn connection(&mut self, connection: &Connection, _: &mut Vec<u8>) {
        self.0.take(connection);
    }
}

impl Output for Printer {
    fn follows(&self) -> bool {
        self.follow
    }

    fn step(&mut self, live: &Live, step: &Step) {
        if !self.follow || self.is_done() {
            return;
        }
        let step = LiveStep {
            unix_ns: live.unix_ns,
            interface: &live.interface,
            client: end(live.client),
            server: end(live.server),
            step,
        };
        self.form.sink().step(&step, &mut self.buffer);
        self.records += 1;
    }

    fn connection(&mut self, connection: Connection, _at_ns: u64) {
        if self.is_done() {
            return;
        }
        let shown = self.selection.takes(&connection);
        self.summary.record(&connection, shown);
        if !shown {
            return;
        }
        self.left -= 1;
        self.form.sink().connection(&connection, &mut self.buffer);
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

/// Whether the user wants no colours (see no-color.org).
#[must_use]
pub fn refuses_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// As wide as the terminal, in colour where its user has nothing against it.
fn style() -> Style {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let plain = Style::default();
    if !std::io::stdout().is_terminal() {
        return plain;
    }
    Style {
        colour: !refuses_colour() && !dumb,
        width: terminal_size().map_or(plain.width, |(Width(width), _)| width.into()),
    }
}
