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
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use load::Loaded;
use report::Report;
use scenario::scenarios;

/// Not 0 where the kernel reads the clock before and after every run of a program.
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

fn main() -> Result<()> {
    let options = Options::parse()?;
    let stats = fs::read_to_string(STATS).context("ask whether the kernel times programs")?;
    ensure!(
        stats.trim() == "0",
        "the kernel times every run itself, which costs more than what is measured: \
         sysctl kernel.bpf_stats_enabled=0"
    );
    load::stay_on(0)?;
    let mut report = Report::default();
    for scenario in scenarios() {
        if !scenario.is_named(&options.only) {
            continue;
        }
        let mut loaded = Loaded::new(&options.object, scenario.is_closed())?;
        report.push(scenario.measure(&mut loaded, options.rounds)?);
    }
    print!("{}", report.table());
    report.write_json(&options.json)
}

/// What the command line says.
struct Options {
    object: PathBuf,
    json: PathBuf,
    rounds: usize,
    /// Only scenarios with this in a name of theirs.
    only: String,
}

impl Options {
    fn parse() -> Result<Self> {
        let (mut object, mut json, mut rounds, mut only) = (None, None, 9, String::new());
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} lacks a value"))
            };
            match word.as_str() {
                "--object" => object = Some(value()?.into()),
                "--json" => json = Some(value()?.into()),
                "--rounds" => rounds = value()?.parse().context("read the number of rounds")?,
                "--only" => only = value()?,
                // Cargo says so to every bench.
                "--bench" => {}
                other => bail!("what is {other}?"),
            }
        }
        Ok(Self {
            object: object.context("--object is missing")?,
            json: json.context("--json is missing")?,
            rounds,
            only,
        })
    }
}
