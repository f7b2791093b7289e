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
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use synfin_tests::bench::Options;
use synfin_tests::cpus;

use report::Report;

#[global_allocator]
static HEAP: heap::Counted = heap::Counted;

fn main() -> Result<()> {
    let options = Options::parse(&["--json", "--rounds"])?;
    let (json, rounds) = (options.path("--json")?, options.rounds()?);
    let all = std::thread::available_parallelism().context("count the CPUs")?;
    cpus::stay_on(all.get() - 1)?;
    let mut report = Report::default();
    // First, while nothing was given back that could be had again.
    memory::measure(&mut report)?;
    speed::measure(&mut report, rounds)?;
    print!("{}", report.table());
    let text = serde_json::to_vec_pretty(&report.json())?;
    fs::write(json, text).with_context(|| format!("write {}", json.display()))
}

/// What this process has had of the CPU, in seconds.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(f64::NAN, |time| Duration::from(time).as_secs_f64())
}
