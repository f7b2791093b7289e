//! `synfin read`: the same as `synfin trace`, from captures.
//!
//! This is a place where the parts meet; each of them knows nothing of the others. Packets are dealt
//! out by connection to lanes that run side by side, and what comes of them is written in one order.

mod batch;
mod lane;
mod lanes;
mod progress;
mod round;
mod window;

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow, bail};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::{self, Vantage};
use synfin_ebpf::wire::{self, Tunnels};

use crate::assembler::USUAL_MAX_STEPS;
use crate::assembler::{Counts, LIVE_LINGER_NS, Settings};
use crate::cli::{Read, Reading};
use crate::confine::confine;
use crate::printer::Printer;
use crate::sandbox::Task;
use crate::source::{Captures, Clock, News, Next, Packet, Tracker};
use crate::totals::{Told, Totals};
use crate::writer::{self, Broken, Writer};
use lane::Lane;
use lanes::{LANES, Lanes};
use progress::Progress;
use window::Window;
pub use window::{BadWhen, When};

/// How long a record waits after its end for segments that still belong to it, in ns of the
/// capture's time: nobody waits for it.
const LINGER_NS: u64 = 10_000_000_000;
/// Where fewer connections may be followed, they are all followed in one lane.
const FEW_CONNECTIONS: usize = 1 << 16;
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
    let reading = &options.reading;
    let mut captures = Captures::open(&reading.files)?;
    // Next to nothing was looked at so far, and no thread was started.
    let verbose = reading.verbose > 0;
    confine(&reading.confining, Task::Read, || Ok(Vec::new()), verbose)?;
    let stop = stop()?;
    let max_steps = options.printing.max_steps();
    let printer = Printer::new(&options.printing, None, Clock::read().unix_ns());
    follow(&mut captures, reading, printer, max_steps, &stop).map(|_| ())
}

/// Reads the captures as [`run`] does, for a printer that gathers their records; gives what was counted.
///
/// # Errors
/// Where a file is no capture, or nothing could be read.
pub(crate) fn gather(
    captures: &mut Captures,
    reading: &Reading,
    printer: Printer,
    stop: &AtomicBool,
) -> anyhow::Result<Told> {
    follow(captures, reading, printer, USUAL_MAX_STEPS, stop)
}

fn follow(
    captures: &mut Captures,
    reading: &Reading,
    printer: Printer,
    max_steps: usize,
    stop: &AtomicBool,
) -> anyhow::Result<Told> {
    let mut reader = Reader::new(reading, printer, max_steps)?;
    let result = loop {
        // A file that is no capture is found out before the first packet: nothing is to be summed up.
        match captures.read_on()? {
            Next::Packet(packet) => {
                if let Err(error) = reader.take(&packet) {
                    break Err(error);
                }
                continue;
            }
            Next::End => break Ok(()),
            Next::Pause => {}
        }
        match reader.pause(captures) {
            Ok(true) if !stop.load(Ordering::Relaxed) => {}
            Ok(_) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let told = reader.finish(captures)?;
    result.map(|()| told)
}

/// Becomes true where a signal asks for the end. A second one ends the process at once.
///
/// # Errors
/// Where signals are listened for already.
pub(crate) fn stop() -> anyhow::Result<Arc<AtomicBool>> {
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
    tunnels: Tunnels,
    lanes: Lanes,
    /// What was printed and waits to be handed over, and the number of its records.
    rendered: Vec<u8>,
    records: u64,
    writer: Writer,
    broken: Broken,
    progress: Progress,
    /// Frames that were dealt out to no lane.
    counters: [u64; COUNTERS],
    /// The time of the packet that was looked at last.
    last_ns: u64,
    /// The capture is being made just now, as the packet of this time says.
    live: bool,
    judged_ns: u64,
    /// Packets that were not looked at because of their time.
    left_out: u64,
}

impl Reader {
    fn new(options: &Reading, mut printer: Printer, max_steps: usize) -> anyhow::Result<Self> {
        let filter = options.ends.filter().map_err(|error| anyhow!(error))?;
        let tunnels = options.carriers.tunnels();
        let tunnels = tunnels.map_err(|error| anyhow!(error))?;
        let (writer, broken) = Writer::start_patient(io::stdout()).context("start the writer")?;
        let max_connections = options.limits.max_connections;
        let lanes = if max_connections < FEW_CONNECTIONS {
            1
        } else {
            LANES
        };
        let settings = Settings {
            handshake_timeout_ns: options.limits.handshake_timeout_ns(),
            max_connections: max_connections / lanes,
            max_steps,
            linger_ns: if options.files.iter().any(|file| file.as_os_str() == "-") {
                LIVE_LINGER_NS
            } else {
                LINGER_NS
            },
            shares: lanes,
            interfaces: HashMap::new(),
        };
        let mut rendered = Vec::new();
        printer.swap_rendered(&mut rendered);
        let printers = (0..lanes).map(|_| printer.clone());
        let starts = printers.map(|printer| {
            let settings = settings.clone();
            move || {
                let tracker = Tracker::with_notes(filter, tunnels).with_accounts();
                Lane::new(tracker, settings, printer)
            }
        });
        Ok(Self {
            window: Window::new(options.since, options.until),
            tunnels,
            lanes: Lanes::start(starts).context("start the lanes")?,
            rendered,
            records: 0,
            writer,
            broken,
            progress: Progress::new(),
            counters: [0; COUNTERS],
            last_ns: 0,
            live: false,
            judged_ns: 0,
            left_out: 0,
        })
    }

    fn take(&mut self, packet: &Packet<'_>) -> anyhow::Result<()> {
        self.last_ns = packet.time_ns;
        if !self.window.has(packet.time_ns) {
            self.left_out += 1;
            return Ok(());
        }
        // What is no TCP tells at least that time goes on.
        self.lanes.set_time(packet.time_ns);
        let Vantage { link, scope, .. } = packet.vantage;
        match wire::locate(&packet.frame, link, scope, &self.tunnels, |words| words) {
            Ok(Some(located)) => self.lanes.deal(packet, &located),
            located => self.count(flow::counter(located.map(|_| false), &packet.frame)),
        }
        if self.lanes.are_full() {
            self.records += self.lanes.send(&mut self.rendered)?;
            self.hand_over();
        }
        Ok(())
    }

    /// Counts a frame that is dealt out to no lane.
    fn count(&mut self, counter: usize) {
        if let Some(count) = self.counters.get_mut(counter) {
            *count += 1;
        }
    }

    /// Does what is not about packets; tells whether there is somebody to go on for.
    fn pause(&mut self, captures: &mut Captures) -> anyhow::Result<bool> {
        self.hear(captures);
        if captures.waits() {
            let wall_ns = u64::try_from(Clock::read().unix_ns()).unwrap_or(0);
            if self.judged_ns != self.last_ns {
                self.judged_ns = self.last_ns;
                self.live = self.last_ns.abs_diff(wall_ns) < LIVE_NS;
            }
            if self.live {
                // Connections end by silence, too: nothing else tells that time goes on.
                self.lanes.set_time(wall_ns.saturating_sub(LAG_NS));
            }
            self.send_all()?;
        }
        if let Some(progress) = captures.progress() {
            self.progress.tell(progress);
        }
        match self.broken.try_recv() {
            Ok(error) if writer::is_closed_pipe(&error) => Ok(false),
            Ok(error) => Err(error).context("write to standard output"),
            Err(_) => Ok(true),
        }
    }

    /// Hands over what everything that was read so far comes to.
    fn send_all(&mut self) -> anyhow::Result<()> {
        self.records += self.lanes.send(&mut self.rendered)?;
        self.records += self.lanes.wait(&mut self.rendered)?;
        self.hand_over();
        Ok(())
    }

    fn hear(&mut self, captures: &mut Captures) {
        while let Some(news) = captures.news() {
            match news {
                News::Interface { index, name } => self.lanes.name_interface(index, &name),
                News::Warning(words) => self.progress.say(&words),
            }
        }
    }

    fn hand_over(&mut self) {
        if !self.rendered.is_empty() && io::stdout().is_terminal() {
            // What is printed tells enough of how far we are, and would run into the bar.
            self.progress.clear();
        }
        self.writer.push(&mut self.rendered, self.records);
        self.records = 0;
    }

    /// Prints what is still open, and sums up.
    fn finish(mut self, captures: &mut Captures) -> anyhow::Result<Told> {
        self.hear(captures);
        self.send_all()?;
        let Self {
            lanes,
            mut rendered,
            mut writer,
            ..
        } = self;
        let mut ending = lanes.end();
        while let Some(records) = ending.some(&mut rendered) {
            writer.push(&mut rendered, records);
        }
        let mut totals = Totals::from(self.counters);
        let mut assembled = Counts::default();
        let mut printer = None::<Printer>;
        for rest in ending.rests()? {
            totals.add(&rest.counters);
            assembled.add(&rest.counts);
            match &mut printer {
                Some(printer) => printer.absorb(&rest.printer),
                None => printer = Some(rest.printer),
            }
        }
        let mut printer = printer.context("there was no lane")?;
        printer.end(Clock::read().unix_ns());
        printer.hand_over(&mut writer);
        self.progress.clear();
        let dropped = writer.finish();
        let counts = captures.counts();
        let mut told = totals.told(&assembled, 0, dropped);
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
        printer.sum_up(&told.counters());
        if counts.packets == 0 && !counts.unread.is_empty() {
            bail!("none of the packets could be read");
        }
        // A full disk shows at the very end.
        match self.broken.try_recv() {
            Ok(error) if !writer::is_closed_pipe(&error) => {
                Err(error).context("write to standard output")
            }
            _ => Ok(told),
        }
    }
}
