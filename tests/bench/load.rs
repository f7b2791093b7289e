//! The programs as loaded, and one timed series of runs.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{MapData, PerCpuArray, PerCpuValues, RingBuf};
use aya::programs::{TestRun, TestRunOptions, TestRunResult};
use aya::util::nr_cpus;
use synfin::attach::{CpuCounters, LoadOptions, Programs};
use synfin_ebpf::counters::Counter;
use synfin_tests::cpus;

use super::scenario::Hook;

/// The ring, in octets: more than the events of one series.
const RING: u32 = 1 << 24;
/// Connections in the table.
const TABLE: u32 = 1 << 17;

/// How frames become those of many connections, as the programs read it.
pub(super) type Turn = [u32; 4];

/// Programs of a fresh load.
pub(super) struct Loaded {
    programs: Programs,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, CpuCounters>,
    turns: PerCpuArray<MapData, Turn>,
}

/// Which of the programs of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Does nothing.
    Idle,
    /// The tracer.
    Tracer,
    /// Turns to the next connection.
    Turns,
    /// Turns to the next connection, and runs the tracer.
    Turned,
    /// Asks for the time.
    Clock,
    /// Writes an event of zeros.
    Ring,
}

impl Loaded {
    pub(super) fn new(object: &Path, closed: bool) -> Result<Self> {
        let object = fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let mut programs = Programs::load_object(
            &object,
            &LoadOptions {
                ring_size: RING,
                table_size: TABLE,
                unproved_per_second: if closed { 0 } else { u32::MAX },
                ..LoadOptions::default()
            },
        )?;
        Ok(Self {
            ring: programs.take_events()?,
            counters: programs.take_counters()?,
            turns: programs.take("TURNS")?.try_into()?,
            programs,
        })
    }

    /// Runs a program so many times, on one or more CPUs at once; gives ns a run, the mean of the CPUs.
    pub(super) fn run(
        &mut self,
        hook: Hook,
        which: Which,
        frame: &[u8],
        runs: u32,
        cpus: usize,
    ) -> Result<f64> {
        let name = name(hook, which);
        let times = match hook {
            Hook::Xdp => on_cpus(cpus, self.programs.xdp(name)?, frame, runs, hook.pass()),
            Hook::Tc => {
                let program = self.programs.classifier(name)?;
                on_cpus(cpus, program, frame, runs, hook.pass())
            }
        };
        let times = times.with_context(|| format!("run {name}"))?;
        Ok(times.iter().sum::<f64>() / cpus as f64)
    }

    /// Sets which connections come next, on every CPU.
    pub(super) fn turn(&mut self, turn: Turn) -> Result<()> {
        let cpus = nr_cpus()
            .map_err(|(_, error)| error)
            .context("count the CPUs")?;
        let values = PerCpuValues::try_from(vec![turn; cpus])?;
        Ok(self.turns.set(0, values, 0)?)
    }

    /// Empties the ring; gives the number of events that were in it.
    pub(super) fn drain(&mut self) -> usize {
        let mut events = 0;
        while self.ring.next().is_some() {
            events += 1;
        }
        events
    }

    /// A counter, of all CPUs.
    pub(super) fn count(&self, counter: Counter) -> Result<u64> {
        let cpus = self.counters.get(&0, 0)?;
        let counts = cpus.iter().filter_map(|cpu| cpu.get(counter.index()));
        Ok(counts.sum())
    }
}

/// Runs a program on the first CPUs at once; gives ns a run on each.
fn on_cpus<P>(cpus: usize, program: &P, frame: &[u8], runs: u32, pass: u32) -> Result<Vec<f64>>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = TestRunResult> + Sync,
{
    let run = |cpu| -> Result<f64> {
        // Each CPU counts connections for itself, and its caches are its own.
        cpus::stay_on(cpu)?;
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            repeat: runs,
            ..TestRunOptions::new()
        })?;
        ensure!(
            result.return_value == pass,
            "it said {}",
            result.return_value
        );
        // The kernel's own mean, in whole ns: around the runs its system call waits for other CPUs.
        Ok(result.duration.as_secs_f64() * 1e9)
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..cpus).map(|cpu| scope.spawn(move || run(cpu))).collect();
        let first = run(0);
        let others = others.into_iter().map(|other| {
            let run = other.join();
            run.unwrap_or_else(|_| bail!("a thread panicked"))
        });
        [first].into_iter().chain(others).collect()
    })
}

const fn name(hook: Hook, which: Which) -> &'static str {
    match (hook, which) {
        (Hook::Xdp, Which::Idle) => "idle_xdp",
        (Hook::Xdp, Which::Tracer) => Programs::XDP,
        (Hook::Xdp, Which::Turns) => "turns_xdp",
        (Hook::Xdp, Which::Turned) => "turned_xdp",
        (_, Which::Clock) => "clock_xdp",
        (_, Which::Ring) => "ring_xdp",
        (Hook::Tc, Which::Idle) => "idle_tc",
        (Hook::Tc, Which::Tracer) => Programs::INGRESS,
        (Hook::Tc, Which::Turns) => "turns_tc",
        (Hook::Tc, Which::Turned) => "turned_tc",
    }
}
