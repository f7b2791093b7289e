//! What synfin costs live: `cargo xtask bench live flood` builds what is needed, and runs this.
//!
//! Traffic crosses a wire between two network namespaces, whose near end is watched by each contestant
//! in turns, round by round: by nobody, by programs that do nothing, by synfin, by others.

mod contestants;
mod flood;
mod flooding;
mod live;
mod place;
mod programs;
mod report;
mod throughput;
mod whole;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use synfin_tests::{cpus, netns, scratch};

fn main() -> Result<()> {
    let options = Options::parse()?;
    let cpus = cpus::allowed()?;
    let used = [place::CLIENT, place::SERVER];
    ensure!(
        used.iter().all(|cpu| cpus.contains(cpu)),
        "the first two CPUs are needed"
    );
    netns::sweep();
    scratch::sweep();
    let report = match options.section.as_str() {
        "live" => live::measure(&options.object, options.rounds)?,
        "flood" => flood::measure(&options.object, options.rounds)?,
        other => bail!("there is no section {other}"),
    };
    println!("{}", report.text());
    report.write_json(&options.json)?;
    let broken = report.broken();
    ensure!(broken == 0, "{broken} promises not kept");
    Ok(())
}

/// What the command line says.
struct Options {
    section: String,
    object: PathBuf,
    json: PathBuf,
    rounds: usize,
}

impl Options {
    fn parse() -> Result<Self> {
        let (mut section, mut object, mut json, mut rounds) = (None, None, None, 9);
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
                // Cargo says so to every bench.
                "--bench" => {}
                _ => section = Some(word),
            }
        }
        Ok(Self {
            section: section.context("which section?")?,
            object: object.context("--object is missing")?,
            json: json.context("--json is missing")?,
            rounds,
        })
    }
}
