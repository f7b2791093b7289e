//! `synfin read`: the same as `synfin trace`, from captures.
//!
//! This is a place where the parts meet; each of them knows nothing of the others.

mod progress;
mod window;

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow, bail};
use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::Key;

use crate::assembler::{Assembler, LIVE_LINGER_NS, Settings};
use crate::cli::Read;
use crate::outlet::Outlet;
use crate::printer::Printer;
use crate::source::{Captures, Clock, News, Next, Packet, Tracker};
use crate::totals::Totals;
use crate::writer::{self, Broken, Writer};
use progress::Progress;
use window::Window;
pub use window::{BadWhen, When};

/// How long a record waits after its end for segments that still belong to it, in ns of the
/// capture's time: nobody waits for it.
const LINGER_NS: u64 = 10_000_000_000;

/// Connections that are open at the end and handed out before what they came to is written.
const FINISHED_AT_ONCE: usize = 1_024;

/// Rendered octets that are handed over at once.
const CHUNK: usize = 64 << 10;
/// A capture whose packets are not older than this is being made just now.
const LIVE_NS: u64 = 5_000_000_000;
/// How far the time of such a capture lags behind the wall clock while nothing comes.
const LAG_NS: u64 = 2_000_000_000;
/// The status of a program that was interrupted twice, as shells have it.
const INTERRUPTED: i32 = 130;

/// Reads the captures to their end, to a signal, or until nobody reads the output any more.
///
/// # Errors
/// Where a file is no capture, nothing could be read, or the output cannot be written.
pub fn run(options: &Read) -> anyhow::Result<()> {
    let stop = stop()?;
    let mut captures = Captures::open(&options.files)?;
    let mut reader = Reader::new(options)?;
    let result = loop {
        // A file that is no capture is found out before the first packet: nothing is to be summed up.
        match captures.read_on()? {
            Next::Packet(packet) => {
                reader.take(&packet);
                continue;
            }
            Next::End => break Ok(()),
            Next::Pause => {}
        }
        match reader.pause(&mut captures) {
            Ok(true) if !stop.load(Ordering::Relaxed) => {}
            Ok(_) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    reader.finish(&mut captures).and(result)
}

/// Becomes true where a signal asks for the end. A second one ends the process at once.
fn stop() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            process::exit(INTERRUPTED);
        }
    })
    .context("listen for signals")?;
    Ok(stop)
}

/// The way of a packet to the output.
struct Reader {
    window: Window,
    tracker: Tracker,
    assembler: Assembler,
    printer: Printer,
    writer: Writer,
    broken: Broken,
    progress: Progress,
    /// When the assembler next has something to do of itself.
    deadline_ns: u64,
    /// The time of the packet that was looked at last.
    last_ns: u64,
    /// The capture is being made just now, as the packet of this time says.
    live: bool,
    judged_ns: u64,
    /// Packets that were not looked at because of their time.
    left_out: u64,
}

impl Reader {
    fn new(options: &Read) -> anyhow::Result<Self> {
        let filter = options.ends.filter().map_err(|error| anyhow!(error))?;
        let tunnels = options.carriers.tunnels();
        let tunnels = tunnels.map_err(|error| anyhow!(error))?;
        let (writer, broken) = Writer::start_patient(io::stdout()).context("start the writer")?;
        Ok(Self {
            window: Window::new(options.since, options.until),
            tracker: Tracker::new(filter, tunnels).with_accounts(),
            assembler: Assembler::new(Settings {
                handshake_timeout_ns: options.limits.handshake_timeout_ns(),
                max_connections: options.limits.max_connections,
                max_steps: options.printing.max_steps(),
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
            progress: Progress::new(),
            deadline_ns: u64::MAX,
            last_ns: 0,
            live: false,
            judged_ns: 0,
            left_out: 0,
        })
    }

    fn take(&mut self, packet: &Packet<'_>) {
        self.last_ns = packet.time_ns;
        if !self.window.has(packet.time_ns) {
            self.left_out += 1;
            return;
        }
        if packet.time_ns >= self.deadline_ns {
            self.advance(packet.time_ns);
        }
        self.tracker
            .take(&packet.frame, &packet.vantage, packet.time_ns);
        if let Some(settled) = self.tracker.settled() {
            self.assembler.settle(&settled);
        }
        if let Some(event) = self.tracker.event() {
            self.assembler
                .observe(&event, &mut outlet(&mut self.printer, &self.tracker));
            self.deadline_ns = self.assembler.next_deadline_ns().unwrap_or(u64::MAX);
        }
        if self.printer.waiting() >= CHUNK {
            self.hand_over();
        }
    }

    #[cold]
    fn advance(&mut self, now_ns: u64) {
        self.assembler
            .advance(now_ns, &mut outlet(&mut self.printer, &self.tracker));
        self.deadline_ns = self.assembler.next_deadline_ns().unwrap_or(u64::MAX);
    }

    /// Does what is not about packets; tells whether there is somebody to go on for.
    fn pause(&mut self, captures: &mut Captures) -> anyhow::Result<bool> {
        self.hear(captures);
        let wall_ns = u64::try_from(Clock::read().unix_ns()).unwrap_or(0);
        if self.judged_ns != self.last_ns {
            self.judged_ns = self.last_ns;
            self.live = self.last_ns.abs_diff(wall_ns) < LIVE_NS;
        }
        if self.live && captures.waits() {
            // Connections end by silence, too: nothing else tells that time goes on.
            let now_ns = wall_ns.saturating_sub(LAG_NS);
            if now_ns >= self.deadline_ns {
                self.advance(now_ns);
            }
        }
        self.hand_over();
        if let Some(progress) = captures.progress() {
            self.progress.tell(progress);
        }
        match self.broken.try_recv() {
            Ok(error) if writer::is_closed_pipe(&error) => Ok(false),
            Ok(error) => Err(error).context("write to standard output"),
            Err(_) => Ok(true),
        }
    }

    fn hear(&mut self, captures: &mut Captures) {
        while let Some(news) = captures.news() {
            match news {
                News::Interface { index, name } => {
                    self.printer.name_interface(index, name.clone());
                    self.assembler.name_interface(index, name);
                }
                News::Warning(words) => self.progress.say(&words),
            }
        }
    }

    fn hand_over(&mut self) {
        if self.printer.waiting() > 0 && io::stdout().is_terminal() {
            // What is printed tells enough of how far we are, and would run into the bar.
            self.progress.clear();
        }
        self.printer.hand_over(&mut self.writer);
    }

    /// Prints what is still open, and sums up.
    fn finish(mut self, captures: &mut Captures) -> anyhow::Result<()> {
        self.hear(captures);
        let mut more = true;
        while more {
            more = self.assembler.finish_some(
                FINISHED_AT_ONCE,
                &mut outlet(&mut self.printer, &self.tracker),
            );
            self.hand_over();
        }
        self.printer.end(Clock::read().unix_ns());
        self.hand_over();
        self.progress.clear();
        let dropped = self.writer.dropped();
        self.writer.finish();
        let counts = captures.counts();
        let mut told =
            Totals::from(self.tracker.counters()).told(self.assembler.counts(), 0, dropped);
        let read = [
            ("packets", counts.packets),
            ("octets", counts.octets),
            ("packets outside the time", self.left_out),
        ];
        let read = read
            .into_iter()
            .filter(|(name, n)| *n > 0 || *name == "packets");
        told.events.splice(0..0, read);
        let unread = counts.unread.iter().map(|(name, n)| (*name, *n));
        told.rejects.extend(unread);
        self.printer.sum_up(&told.counters());
        if counts.packets == 0 && !counts.unread.is_empty() {
            bail!("none of the packets could be read");
        }
        // The process ends: giving the memory back piece by piece would only take time.
        std::mem::forget((self.tracker, self.assembler));
        // A full disk shows at the very end.
        match self.broken.try_recv() {
            Ok(error) if !writer::is_closed_pipe(&error) => {
                Err(error).context("write to standard output")
            }
            _ => Ok(()),
        }
    }
}

/// Where records go; what the tracker kept of a connection ends with its record.
fn outlet<'a>(
    printer: &'a mut Printer,
    tracker: &'a Tracker,
) -> Outlet<'a, impl FnMut(&Key) -> Option<Accounts>> {
    Outlet {
        printer,
        forget: |key: &Key| tracker.forget(key),
    }
}
