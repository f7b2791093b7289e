//! A live trace, from attaching to the assembler's output: what `synfin trace` and `synfin top` have in
//! common.
//!
//! This is a place where the parts meet; each of them knows nothing of the others. Absent on purpose:
//! what becomes of the connections.

mod counters;
mod interfaces;
mod overload;
mod stop;
mod unread;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aya::util::nr_cpus;
use aya_log::EbpfLogger;
use caps::Capability;
use synfin_ebpf::flow::Key;
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::wire::Tunnels;
use tokio::time::{Instant, sleep_until};

use crate::assembler::{Assembler, LIVE_LINGER_NS, Output, Settings};
use crate::attach::follow::{Change, Following, Wishes};
use crate::attach::{Device, LoadOptions, Programs};
use crate::cli::{Confining, Limits, Sizes, Tracing};
use crate::confine::confine;
use crate::flood::Marked;
use crate::loss::Losses;
use crate::netns;
use crate::outlet::Outlet;
use crate::sandbox::{self, SandboxError, Task};
use crate::say::say;
use crate::source::{AccountTable, Clock, Fill, Record, Ring};
use crate::timeline::Connection;
use crate::totals::{Told, Totals};
use counters::Counters;
use interfaces::Traced;
use overload::Overload;
pub use stop::Stop;

/// Connections that are open at the end and handed out before what they came to is passed on.
const FINISHED_AT_ONCE: usize = 1_024;

/// What is traced, and how.
pub struct Plan<'a> {
    /// Interfaces and hooks.
    pub wishes: Wishes,
    /// The connections to look at.
    pub filter: Filter,
    /// What is looked into.
    pub tunnels: Tunnels,
    /// Whether every segment is counted for its connection.
    pub account: bool,
    /// How long and how much.
    pub limits: &'a Limits,
    /// How much the kernel's side holds.
    pub sizes: &'a Sizes,
    /// Segments that are kept of a connection.
    pub max_steps: usize,
    /// How the process is confined, and for what.
    pub confining: &'a Confining,
    /// What the process does once it is confined.
    pub task: Task,
    /// Whether sizes and confinement are told.
    pub verbose: bool,
}

impl<'a> Plan<'a> {
    /// As the command line has it.
    ///
    /// # Errors
    /// Where more is given than there is room for.
    pub fn of(
        tracing: &'a Tracing,
        interfaces: &[String],
        max_steps: usize,
        task: Task,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            wishes: tracing.wishes(interfaces),
            filter: tracing.ends.filter().map_err(|error| anyhow!(error))?,
            tunnels: tracing.tunnels().map_err(|error| anyhow!(error))?,
            account: tracing.account,
            limits: &tracing.limits,
            sizes: &tracing.sizes,
            max_steps,
            confining: &tracing.confining,
            task,
            verbose: tracing.verbose > 0,
        })
    }
}

/// Runs a live command on one thread, in the network namespace that is asked for.
///
/// # Errors
/// Where there is no such namespace, or those of the command.
pub fn run(
    netns: Option<&str>,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    if let Some(wanted) = netns {
        // Every thread and socket that follows is in it.
        netns::enter(wanted)?;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?
        .block_on(command)
}

/// The way of an event from the ring to the assembler's output.
pub struct Live {
    following: Option<Following>,
    traced: Traced,
    maps: Maps,
    losses: Losses,
    overload: Overload,
    assembler: Assembler,
}

impl Live {
    /// Attaches, and confines the process. `last` is done at the end of that, while everything may be
    /// opened yet and the process that attaches is there.
    ///
    /// # Errors
    /// Where tracing cannot begin.
    pub async fn begin(
        plan: Plan<'_>,
        stop: &mut Stop,
        last: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        sandbox::require()?;
        for name in &plan.wishes.names {
            // Said before anything is loaded.
            Device::find(name)?;
        }
        let cpus = possible_cpus()?;
        let sizes = plan.sizes;
        let mut programs = Programs::load(&LoadOptions {
            ring_size: sizes.ring(cpus),
            table_size: sizes.table(cpus),
            filter: plan.filter,
            accounts: plan.account.then_some(sizes.account_size),
            tunnels: plan.tunnels,
            watch_slots: sizes.watch_slots,
            unproved_per_second: sizes.unproved_rate,
        })?;
        let maps = Maps::take(&mut programs, plan.account, sizes.ring(cpus))?;
        let mut following = Following::begin(programs, plan.wishes)?;
        let mut changes = Vec::new();
        while changes.last() != Some(&Change::Ready) && !stop.was_signalled().await {
            changes.push(following.change().await?);
        }
        // Nothing that came from outside was looked at so far, and no thread was started.
        let verbose = plan.verbose;
        let following = following.give_up_rights(plan.confining.attacher(), |confinement| {
            if verbose {
                say(format_args!("the process that attaches is {confinement}"));
            }
        })?;
        last()?;
        confine(plan.confining, plan.task, || maps.needs(), verbose)?;
        let mut live = Self {
            following: Some(following),
            traced: Traced::default(),
            maps,
            losses: Losses::default(),
            overload: Overload::new(sizes.flood_threshold, Clock::read().now_ns),
            assembler: Assembler::new(Settings {
                handshake_timeout_ns: plan.limits.handshake_timeout_ns(),
                max_connections: plan.limits.max_connections,
                shares: 1,
                max_steps: plan.max_steps,
                linger_ns: LIVE_LINGER_NS,
                interfaces: HashMap::new(),
            }),
        };
        for change in changes {
            live.traced.hear(change, &mut live.assembler);
        }
        if verbose {
            sizes.told(cpus, plan.account).iter().for_each(say);
        }
        Ok(live)
    }

    /// Waits until there may be something to take, and hears what becomes of the interfaces. May be
    /// cancelled.
    ///
    /// # Errors
    /// Where all interfaces went away, or the ring cannot be waited on.
    pub async fn turn(&mut self) -> anyhow::Result<()> {
        let mut due = pin!(until(self.next_deadline()));
        let change = async {
            match &mut self.following {
                Some(following) => following.change().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What an event was seen on is known before the event is read.
            biased;
            change = change => self.traced.hear(change?, &mut self.assembler),
            turn = self.maps.ring.turn() => turn.context("wait for events")?,
            () = &mut due => {}
        }
        Ok(())
    }

    /// Takes what the ring holds, up to a turn's worth; gives how many events that were. `dropped` are
    /// the records that the output left no room for so far.
    pub fn take(&mut self, dropped: u64, output: &mut impl Output) -> usize {
        let clock = Clock::read();
        let Self {
            maps,
            losses,
            overload,
            assembler,
            ..
        } = self;
        let Maps {
            ring,
            counters,
            accounts,
            diagnostics,
        } = maps;
        let outlet = &mut Outlet {
            output,
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
        if overload.look(|| counters.read().totals, losses, dropped, clock.now_ns) {
            assembler.doubt();
        }
        let mut marked = Marked {
            flood: &overload.flood,
            now_ns: clock.now_ns,
            output: outlet,
        };
        assembler.advance(clock.now_ns, &mut marked);
        if let Some(diagnostics) = diagnostics {
            diagnostics.flush();
        }
        taken
    }

    /// The record of a connection that is followed, as it stands now.
    #[must_use]
    pub fn record(&self, key: &Key) -> Option<Connection> {
        let accounts = || self.maps.accounts.as_ref()?.get(key);
        self.assembler.record(key, accounts)
    }

    /// Connections that are followed.
    #[must_use]
    pub const fn followed(&self) -> usize {
        self.assembler.open()
    }

    /// How full the ring was at the most since it was asked for the last time.
    pub const fn fill(&mut self) -> Fill {
        self.maps.ring.fill()
    }

    /// Lets go of the interfaces: what is read after this is the rest, and it has an end.
    pub async fn detach(&mut self) {
        if let Some(following) = self.following.take()
            && !following.finish().await
        {
            say("the process that attaches has not let go of the interfaces in time");
        }
    }

    /// Counts what was lost at the very end, once everything was taken; gives what to hand out next.
    pub fn finish(mut self) -> Finish {
        let counted = self.maps.counters.read();
        for (cpu, made) in counted.made.iter().enumerate() {
            let cpu = u32::try_from(cpu).unwrap_or(u32::MAX);
            let missing = self.losses.settle(cpu, *made);
            self.assembler.lost(missing);
        }
        let now_ns = Clock::read().now_ns;
        if let Some(line) = self.overload.flood.finish(&counted.totals, now_ns) {
            say(line);
        }
        if let Some((count, error)) = self.maps.ring.bad() {
            say(format_args!(
                "{count} records of the ring were not read: {error}"
            ));
        }
        Finish {
            live: self,
            totals: counted.totals,
            now_ns,
        }
    }

    /// What was counted so far, by name.
    #[must_use]
    pub fn told(&self, dropped: u64) -> Told {
        self.tell(&self.maps.counters.read().totals, dropped)
    }

    fn tell(&self, totals: &Totals, dropped: u64) -> Told {
        let lost = self.losses.total();
        let mut told = totals.told(self.assembler.counts(), lost, dropped);
        let Overload { flood, behind, .. } = &self.overload;
        told.events.extend([
            ("SYN events", flood.counts().syns),
            ("ms behind at most", behind.most_ns() / 1_000_000),
        ]);
        told.flood = flood.counts().told();
        told
    }

    /// When something is to be done though no turn may come: while events flow, turns come sooner.
    fn next_deadline(&self) -> Option<Instant> {
        if !self.maps.ring.sleeps() {
            return None;
        }
        let deadlines = [self.assembler.next_deadline_ns(), self.overload.due_ns()];
        let deadline_ns = deadlines.into_iter().flatten().min()?;
        let wait_ns = deadline_ns.saturating_sub(Clock::read().now_ns);
        Instant::now().checked_add(Duration::from_nanos(wait_ns))
    }
}

/// What is open at the end of a live trace.
pub struct Finish {
    live: Live,
    totals: Totals,
    now_ns: u64,
}

impl Finish {
    /// Hands out some of what is open; tells whether there is more.
    pub fn some(&mut self, output: &mut impl Output) -> bool {
        let Live {
            maps,
            overload,
            assembler,
            ..
        } = &mut self.live;
        let mut outlet = Outlet {
            output,
            forget: |key: &Key| maps.accounts.as_ref()?.take(key),
        };
        let mut marked = Marked {
            flood: &overload.flood,
            now_ns: self.now_ns,
            output: &mut outlet,
        };
        assembler.finish_some(FINISHED_AT_ONCE, &mut marked)
    }

    /// What was counted, by name.
    #[must_use]
    pub fn told(&self, dropped: u64) -> Told {
        self.live.tell(&self.totals, dropped)
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
    fn take(programs: &mut Programs, account: bool, ring_size: u32) -> anyhow::Result<Self> {
        Ok(Self {
            ring: Ring::new(programs, ring_size)?,
            counters: Counters::new(programs)?,
            accounts: if account {
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
