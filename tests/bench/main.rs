//! What the loaded programs cost: `cargo xtask bench kernel` builds what is needed, and runs this.
//!
//! BPF_PROG_TEST_RUN runs a program so many times on one frame, and tells how long a run took. Each
//! program is measured beside one that does nothing but what is not ours, round by round in turns: the
//! difference is ours. A word of the client's address changes from run to run where there is to be
//! more than one connection.

mod load;
mod report;
mod scenario;

use std::fs;

use anyhow::{Context as _, Result, ensure};
use synfin_tests::bench::Options;
use synfin_tests::cpus;

use load::Loaded;
use report::Report;
use scenario::scenarios;

/// Not 0 where the kernel reads the clock before and after every run of a program.
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

fn main() -> Result<()> {
    let options = Options::parse(&["--object", "--json", "--rounds", "--only"])?;
    let (object, rounds) = (options.path("--object")?, options.rounds()?);
    let only = options.text("--only").unwrap_or_default();
    let stats = fs::read_to_string(STATS).context("ask whether the kernel times programs")?;
    ensure!(
        stats.trim() == "0",
        "the kernel times every run itself, which costs more than what is measured: \
         sysctl kernel.bpf_stats_enabled=0"
    );
    cpus::stay_on(0)?;
    let mut report = Report::default();
    for scenario in scenarios() {
        if !scenario.is_named(only) {
            continue;
        }
        let mut loaded = Loaded::new(object, scenario.is_closed())?;
        report.push(scenario.measure(&mut loaded, rounds)?);
    }
    print!("{}", report.table());
    report.write_json(options.path("--json")?)
}
