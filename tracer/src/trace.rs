//! `synfin trace`: attaches, reads events until told to stop, detaches.
//!
//! This is the place where the parts meet; each of them knows nothing of the others.

mod counters;
mod interfaces;
mod overload;
mod unread;

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aya::util::nr_cpus;
use aya_log::EbpfLogger;
use caps::Capability;
use synfin_ebpf::flow::Key;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::assembler::{Assembler, LIVE_LINGER_NS, Settings};
use crate::attach::follow::{Change, Following};
use crate::attach::{Device, LoadOptions, Programs};
use crate::cli::Trace;
use crate::confine::confine;
use crate::flood::Marked;
use crate::loss::Losses;
use crate::netns;
use crate::outlet::Outlet;
use crate::printer::Printer;
use crate::sandbox::{self, SandboxError, Task};
use crate::say::say;
use crate::source::{AccountTable, Clock, Record, Ring};
use crate::writer::{self, Broken, Writer};
use counters::Counters;
use overload::Overload;

/// Traces until a signal, the asked-for end, or the loss of all interfaces.
///
/// # Errors
/// Where tracing cannot begin, or all interfaces went away.
pub fn run(options: &Trace) -> anyhow::Result<()> {
    if let Some(wanted) = &options.netns {
        // Every thread and socket that follows is in it.
        netns::enter(wanted)?;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(trace(options))
}

async fn trace(options: &Trace) -> anyhow::Result<()> {
    sandbox::require()?;
    // From here on a signal ends the trace in good order, also while attaching.
    let mut stop = Stop::new()?;
    let filter = options.ends.filter().map_err(|error| anyhow!(error))?;
    let tunnels = options.tunnels().map_err(|error| anyhow!(error))?;
    if let Some(warning) = options.warning() {
        say(warning);
    }
    let wishes = options.wishes();
    for name in &wishes.names {
        // Said before anything is loaded.
        Device::find(name)?;
    }
    let cpus = possible_cpus()?;
    let sizes = &options.sizes;
    let mut programs = Programs::load(&LoadOptions {
        ring_size: sizes.ring(cpus),
        table_size: sizes.table(cpus),
        filter,
        accounts: options.account.then_some(sizes.account_size),
        tunnels,
        watch_slots: sizes.watch_slots,
        unproved_per_second: sizes.unproved_rate,
    })?;
    let maps = Maps::take(&mut programs, options)?;
    let mut following = Following::begin(programs, wishes)?;
    let mut changes = Vec::new();
    while changes.last() != Some(&Change::Ready) && !stop.was_signalled().await {
        changes.push(following.change().await?);
    }
    // Nothing that came from outside was looked at so far, and no thread was started.
    let task = Task::Trace {
        accounts: options.account,
    };
    let verbose = options.verbose > 0;
    let mut following = following.give_up_rights(options.confining.attacher(), |confinement| {
        if verbose {
            say(format_args!("the process that attaches is {confinement}"));
        }
    })?;
    confine(&options.confining, task, || maps.needs(), verbose)?;
    let mut reader = Reader::new(maps, options)?;
    let mut traced = interfaces::Traced::default();
    for change in changes {
        traced.hear(change, &mut reader.assembler);
    }
    if verbose {
        sizes.told(cpus, options.account).iter().for_each(say);
    }
    stop.come_after(options.duration);
    let result = loop {
        let ended = tokio::select! {
            // What an event was seen on is known before the event is read.
            biased;
            () = stop.requested() => Some(Ok(())),
            change = following.change() => match change {
                Ok(change) => {
                    traced.hear(change, &mut reader.assembler);
                    None
                }
                Err(error) => Some(Err(error)),
            },
            turn = reader.turn() => match turn {
                Ok(Turn::Done) => None,
                Ok(Turn::Enough) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            },
        };
        if let Some(result) = ended {
            break result;
        }
    };
    // Detached first: what is read after this is the rest, and it has an end.
    if !following.finish().await {
        say("the process that attaches has not let go of the interfaces in time");
    }
    reader.finish();
    result
}

/// Connections that are open at the end and handed out before what they came to is written.
const FINISHED_AT_ONCE: usize = 1_024;
/// At the end, a reader of the output that reads nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What asks the trace to end.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    deadline: Option<Instant>,
    came: bool,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            deadline: None,
            came: false,
        })
    }

    /// Ends the trace after this time, from now on.
    fn come_after(&mut self, duration: Option<Duration>) {
        self.deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
    }

    async fn requested(&mut self) {
        let deadline = self.deadline;
        tokio::select! {
            () = self.signal() => {}
            () = until(deadline) => {}
        }
    }

    async fn signal(&mut self) {
        if self.came {
            return;
        }
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        self.came = true;
    }

    /// Whether a signal came by now.
    async fn was_signalled(&mut self) -> bool {
        // The runtime takes signals in while nothing else is to be done.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            () = self.signal() => true,
            () = std::future::ready(()) => false,
        }
    }
}

/// What the programs and this process have in common.
struct Maps {
    ring: Ring,
    counters: Counters,
    /// What is counted of each connection, where that was asked for.
    accounts: Option<AccountTable>,
    diagnostics: Option<EbpfLogger<Diagnostics>>,
}

impl Maps {
    fn take(programs: &mut Programs, options: &Trace) -> anyhow::Result<Self> {
        Ok(Self {
            ring: Ring::new(programs)?,
            counters: Counters::new(programs)?,
            accounts: if options.account {
                Some(programs.take_accounts()?)
            } else {
                None
            },
            diagnostics: programs.logger(Diagnostics),
        })
    }

    /// The capabilities that looking into them takes: none since Linux 5.19.
    fn needs(&self) -> Result<Vec<Capability>, SandboxError> {
        if !sandbox::needs_bpf_for(|| self.counters.are_given())? {
            return Ok(Vec::new());
        }
        say("keeps CAP_BPF: this kernel lets nobody else look into maps (Linux 5.19 does)");
        Ok(vec![Capability::CAP_BPF])
    }
}

/// The way of an event from the ring to the output.
struct Reader {
    maps: Maps,
    losses: Losses,
    overload: Overload,
    assembler: Assembler,
    printer: Printer,
    writer: Writer,
    broken: Broken,
}

/// What a turn came to.
enum Turn {
    Done,
    /// The asked-for number of connections was printed, or nobody reads the output any more.
    Enough,
}

impl Reader {
    fn new(maps: Maps, options: &Trace) -> anyhow::Result<Self> {
        let (writer, broken) = Writer::start(io::stdout(), options.sizes.output_queue())
            .context("start the writer")?;
        let settings = Settings {
            handshake_timeout_ns: options.limits.handshake_timeout_ns(),
            max_connections: options.limits.max_connections,
            shares: 1,
            max_steps: options.printing.max_steps(),
            linger_ns: LIVE_LINGER_NS,
            interfaces: HashMap::new(),
        };
        Ok(Self {
            maps,
            losses: Losses::default(),
            overload: Overload::new(options.sizes.flood_threshold, Clock::read().now_ns),
            printer: Printer::new(&options.printing, options.count, Clock::read().unix_ns()),
            assembler: Assembler::new(settings),
            writer,
            broken,
        })
    }

    /// Waits for events, a timeout or the end of the output, and deals with it. May be cancelled
    /// while it waits.
    async fn turn(&mut self) -> anyhow::Result<Turn> {
        let mut due = pin!(until(self.next_deadline()));
        tokio::select! {
            turn = self.maps.ring.turn() => turn.context("wait for events")?,
            () = &mut due => {}
            broken = &mut self.broken => return match broken {
                Ok(error) if writer::is_closed_pipe(&error) => Ok(Turn::Enough),
                Ok(error) => Err(error).context("write to standard output"),
                Err(_) => Err(anyhow!("the writer ended")),
            },
        }
        self.take();
        Ok(if self.printer.is_done() {
            Turn::Enough
        } else {
            Turn::Done
        })
    }

    /// Takes what the ring holds, up to a turn's worth; gives how many events that were.
    fn take(&mut self) -> usize {
        let clock = Clock::read();
        let Self {
            maps,
            losses,
            overload,
            assembler,
            printer,
            ..
        } = self;
        let Maps {
            ring,
            counters,
            accounts,
            diagnostics,
        } = maps;
        let outlet = &mut Outlet {
            printer,
            forget: |key: &Key| accounts.as_ref()?.take(key),
        };
        assembler.set_wall_offset(clock.wall_offset_ns);
        let mut first = true;
        let taken = ring.drain(|record| {
            let event = match record {
                Record::Event(event) => event,
                Record::Settled(settled) => return assembler.settle(settled),
            };
            if std::mem::take(&mut first) {
                overload.turn(event.time_ns, clock.now_ns);
            }
            let missing = losses.observe(event);
            if missing > 0 {
                assembler.lost(missing);
            }
            overload.flood.pass(event, assembler, clock.now_ns, outlet);
        });
        let dropped = self.writer.dropped();
        if overload.look(|| counters.read().totals, losses, dropped, clock.now_ns) {
            assembler.doubt();
        }
        let mut marked = Marked {
            flood: &overload.flood,
            now_ns: clock.now_ns,
            output: outlet,
        };
        assembler.advance(clock.now_ns, &mut marked);
        printer.hand_over(&mut self.writer);
        if let Some(diagnostics) = diagnostics {
            diagnostics.flush();
        }
        taken
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.assembler.next_deadline_ns(), self.overload.due_ns()];
        let deadline_ns = deadlines.into_iter().flatten().min()?;
        let wait_ns = deadline_ns.saturating_sub(Clock::read().now_ns);
        Instant::now().checked_add(Duration::from_nanos(wait_ns))
    }

    /// Reads the rest, prints what is still open, and sums up.
    fn finish(mut self) {
        while self.take() > 0 {}
        let counted = self.maps.counters.read();
        for (cpu, made) in counted.made.iter().enumerate() {
            let missing = self
                .losses
                .settle(u32::try_from(cpu).unwrap_or(u32::MAX), *made);
            self.assembler.lost(missing);
        }
        let clock = Clock::read();
        if let Some(line) = self.overload.flood.finish(&counted.totals, clock.now_ns) {
            say(line);
        }
        // Nothing comes any more that waiting could cost.
        self.writer.wait_for(PATIENCE);
        let mut more = true;
        while more {
            let mut outlet = Outlet {
                printer: &mut self.printer,
                forget: |key: &Key| self.maps.accounts.as_ref()?.take(key),
            };
            let mut marked = Marked {
                flood: &self.overload.flood,
                now_ns: clock.now_ns,
                output: &mut outlet,
            };
            more = self.assembler.finish_some(FINISHED_AT_ONCE, &mut marked);
            self.printer.hand_over(&mut self.writer);
        }
        self.printer.end(Clock::read().unix_ns());
        self.printer.hand_over(&mut self.writer);
        let dropped = self.writer.finish();
        if let Some((count, error)) = self.maps.ring.bad() {
            say(format_args!(
                "{count} records of the ring were not read: {error}"
            ));
        }
        let lost = self.losses.total();
        let mut told = counted.totals.told(self.assembler.counts(), lost, dropped);
        let Overload { flood, behind, .. } = &self.overload;
        told.events.extend([
            ("SYN events", flood.counts().syns),
            ("ms behind at most", behind.most_ns() / 1_000_000),
        ]);
        told.flood = flood.counts().told();
        self.printer.sum_up(&told.counters());
    }
}

/// Brings the programs' rare diagnostics to standard error.
struct Diagnostics;

impl log::Log for Diagnostics {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say(format_args!("in the kernel: {}", record.args()));
    }

    fn flush(&self) {}
}

/// CPUs that the kernel may bring up.
fn possible_cpus() -> anyhow::Result<usize> {
    nr_cpus().map_err(|(file, error)| anyhow!(error).context(format!("read {file}")))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
