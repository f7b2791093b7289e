//! `synfin read`: the same as `synfin trace`, from captures.
//!
//! This is a place where the parts meet; each of them knows nothing of the others.

use std::collections::HashMap;
use std::io;

use anyhow::{Context as _, anyhow};
use synfin_ebpf::flow::Key;

use crate::assembler::{Assembler, LIVE_LINGER_NS, Settings};
use crate::cli::Read;
use crate::outlet::Outlet;
use crate::printer::Printer;
use crate::say::say;
use crate::source::{Captures, Clock, News, Next, Packet, Tracker};
use crate::totals::Totals;
use crate::writer::{self, Broken, Writer};

/// How long a record waits after its end for segments that still belong to it, in ns of the
/// capture's time: nobody waits for it.
const LINGER_NS: u64 = 10_000_000_000;

/// Rendered octets that are handed over at once.
const CHUNK: usize = 64 << 10;

/// Reads the captures to their end, or until nobody reads the output any more.
///
/// # Errors
/// Where a file is no capture, or the output cannot be written.
pub fn run(options: &Read) -> anyhow::Result<()> {
    let mut captures = Captures::open(&options.files)?;
    let mut reader = Reader::new(options)?;
    let result = loop {
        match captures.read_on() {
            Ok(Next::Packet(packet)) => {
                reader.take(&packet);
                continue;
            }
            Ok(Next::Pause) => {}
            Ok(Next::End) => break Ok(()),
            // This is before the first packet: there is nothing to sum up.
            Err(error) => return Err(error.into()),
        }
        while let Some(news) = captures.news() {
            reader.hear(news);
        }
        match reader.pause() {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    while let Some(news) = captures.news() {
        reader.hear(news);
    }
    reader.finish(&captures);
    result
}

/// The way of a packet to the output.
struct Reader {
    tracker: Tracker,
    assembler: Assembler,
    printer: Printer,
    writer: Writer,
    broken: Broken,
    /// When the assembler next has something to do of itself.
    deadline_ns: u64,
}

impl Reader {
    fn new(options: &Read) -> anyhow::Result<Self> {
        let filter = options.ends.filter().map_err(|error| anyhow!(error))?;
        let (writer, broken) = Writer::start_patient(io::stdout()).context("start the writer")?;
        Ok(Self {
            tracker: Tracker::new(filter).with_accounts(),
            assembler: Assembler::new(Settings {
                handshake_timeout_ns: options.limits.handshake_timeout_ns(),
                max_connections: options.limits.max_connections,
                linger_ns: if options.files.iter().any(|file| file.as_os_str() == "-") {
                    LIVE_LINGER_NS
                } else {
                    LINGER_NS
                },
                interfaces: HashMap::new(),
            }),
            printer: Printer::new(
                &options.printing,
                None,
                HashMap::new(),
                Clock::read().unix_ns(),
            ),
            writer,
            broken,
            deadline_ns: u64::MAX,
        })
    }

    fn take(&mut self, packet: &Packet<'_>) {
        if packet.time_ns >= self.deadline_ns {
            self.advance(packet.time_ns);
        }
        self.tracker
            .take(&packet.frame, &packet.vantage, packet.time_ns);
        let mut outlet = Outlet {
            printer: &mut self.printer,
            forget: |key: &Key| self.tracker.forget(key),
        };
        if let Some(settled) = self.tracker.settled() {
            self.assembler.settle(&settled);
        }
        if let Some(event) = self.tracker.event() {
            self.assembler.observe(&event, &mut outlet);
            self.deadline_ns = self.assembler.next_deadline_ns().unwrap_or(u64::MAX);
        }
        if self.printer.waiting() >= CHUNK {
            self.printer.hand_over(&mut self.writer);
        }
    }

    #[cold]
    fn advance(&mut self, now_ns: u64) {
        let mut outlet = Outlet {
            printer: &mut self.printer,
            forget: |key: &Key| self.tracker.forget(key),
        };
        self.assembler.advance(now_ns, &mut outlet);
        self.deadline_ns = self.assembler.next_deadline_ns().unwrap_or(u64::MAX);
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Interface { index, name } => {
                self.printer.name_interface(index, name.clone());
                self.assembler.name_interface(index, name);
            }
            News::Warning(words) => say(words),
        }
    }

    /// Hands over what was rendered; tells whether there is somebody to go on for.
    fn pause(&mut self) -> anyhow::Result<bool> {
        self.printer.hand_over(&mut self.writer);
        match self.broken.try_recv() {
            Ok(error) if writer::is_closed_pipe(&error) => Ok(false),
            Ok(error) => Err(error).context("write to standard output"),
            Err(_) => Ok(true),
        }
    }

    /// Prints what is still open, and sums up.
    fn finish(mut self, captures: &Captures) {
        self.assembler.finish(&mut Outlet {
            printer: &mut self.printer,
            forget: |key: &Key| self.tracker.forget(key),
        });
        self.printer.end(Clock::read().unix_ns());
        self.printer.hand_over(&mut self.writer);
        let dropped = self.writer.dropped();
        self.writer.finish();
        let counts = self.assembler.counts();
        let mut told = Totals::from(self.tracker.counters()).told(counts, 0, dropped);
        let (packets, octets) = captures.counts();
        told.events.insert(0, ("packets", packets));
        told.events.insert(1, ("octets", octets));
        self.printer.sum_up(&told.counters());
    }
}
