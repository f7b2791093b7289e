//! What user space costs: `cargo xtask bench user` runs this.
//!
//! Events are made before the clock starts, and everything is measured round by round in turns, beside
//! the least that could be done with the same events or octets, in seconds of one CPU: what else the
//! machine does takes its time elsewhere. Whatever hands out another number of
//! connections than there are stops the bench.

mod heap;
mod lives;
mod memory;
mod report;
mod speed;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use report::Report;

#[global_allocator]
static HEAP: heap::Counted = heap::Counted;

fn main() -> Result<()> {
    let options = Options::parse()?;
    let mut last = CpuSet::new();
    let cpus = std::thread::available_parallelism().context("count the CPUs")?;
    last.set(cpus.get() - 1).context("name the last CPU")?;
    sched_setaffinity(Pid::from_raw(0), &last).context("stay on one CPU")?;
    let mut report = Report::default();
    // First, while nothing was given back that could be had again.
    memory::measure(&mut report)?;
    speed::measure(&mut report, options.rounds)?;
    print!("{}", report.table());
    let text = serde_json::to_vec_pretty(&report.json())?;
    fs::write(&options.json, text).with_context(|| format!("write {}", options.json.display()))
}

/// What this process has had of the CPU, in seconds.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(f64::NAN, |time| Duration::from(time).as_secs_f64())
}

/// What the command line says.
struct Options {
    json: PathBuf,
    rounds: usize,
}

impl Options {
    fn parse() -> Result<Self> {
        let (mut json, mut rounds) = (None, 9);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} lacks a value"))
            };
            match word.as_str() {
                "--json" => json = Some(value()?.into()),
                "--rounds" => rounds = value()?.parse().context("read the number of rounds")?,
                // Cargo says so to every bench.
                "--bench" => {}
                other => bail!("what is {other}?"),
            }
        }
        Ok(Self {
            json: json.context("--json is missing")?,
            rounds,
        })
    }
}
