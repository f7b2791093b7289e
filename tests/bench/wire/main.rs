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

use anyhow::{Result, bail, ensure};
use synfin_tests::bench::Options;
use synfin_tests::{cpus, netns, scratch};

fn main() -> Result<()> {
    let options = Options::parse(&["--section", "--object", "--json", "--rounds"])?;
    let (object, rounds) = (options.path("--object")?, options.rounds()?);
    let cpus = cpus::allowed()?;
    let used = [place::CLIENT, place::SERVER];
    ensure!(
        used.iter().all(|cpu| cpus.contains(cpu)),
        "the first two CPUs are needed"
    );
    netns::sweep();
    scratch::sweep();
    let report = match options.text("--section")? {
        "live" => live::measure(object, rounds)?,
        "flood" => flood::measure(object, rounds)?,
        other => bail!("there is no section {other}"),
    };
    println!("{}", report.text());
    report.write_json(options.path("--json")?)?;
    let broken = report.broken();
    ensure!(broken == 0, "{broken} promises not kept");
    Ok(())
}
