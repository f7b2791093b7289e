//! How fast captures are read, beside a bare scan and the programs of others.
//!
//! Everyone reads the same files in turns, round by round, so that what else the machine does meets
//! all of them. The files are made anew each time, which takes a few seconds, and warms the page
//! cache: what is measured is work, not a disk.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    contest::{self, Places},
    load::Load,
    measure,
    report::{self, Results, Verdict},
};
use crate::{
    build,
    exec::{self, say},
    workspace::Workspace,
};

/// Measures, and takes a broken promise as an error. The figures lie under `target/bench` as well.
pub(super) fn measure(workspace: &Workspace, options: &Options) -> Result<()> {
    let synfin = options.synfin(workspace)?;
    let scanner = build::xtask(workspace)?;
    if options.peers {
        contest::obtain_peers();
    }
    let folder = workspace.bench();
    let scratch = folder.join("scratch");
    fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
    let mut generate = Command::new(&scanner);
    exec::run(generate.args(["bench-part", "generate"]).arg(&folder))?;

    let (mut verdicts, mut all) = (Vec::new(), Vec::new());
    for load in Load::ALL {
        let places = Places {
            scanner: &scanner,
            synfin: &synfin,
            capture: &capture(&folder, load),
            scratch: &scratch,
        };
        verdicts.push(every_connection(load, &places)?);
        let results = measured(load, &places, options)?;
        println!("\n{}", results.table());
        verdicts.extend(results.verdicts());
        all.push(results);
    }
    report::write_json(&folder.join("read.json"), &all, &verdicts)?;
    for verdict in &verdicts {
        println!("{}", verdict.line());
    }
    let broken = verdicts
        .iter()
        .filter(|verdict| verdict.kept == Some(false));
    let broken = broken.count();
    ensure!(
        broken == 0,
        "{broken} of {} promises not kept",
        verdicts.len()
    );
    Ok(())
}

/// Lets everyone read a capture, in turns.
fn measured(load: Load, places: &Places<'_>, options: &Options) -> Result<Results> {
    let runs = usize::from(options.runs);
    let contestants = contest::contestants(places, runs, options.peers);
    say(format_args!("measuring on {}, {runs} rounds", load.name()));
    let mut costs: Vec<_> = contestants
        .iter()
        .map(|one| (one.name, Vec::new()))
        .collect();
    for round in 0..runs {
        for (contestant, (_, costs)) in contestants.iter().zip(&mut costs) {
            if round < contestant.runs {
                costs.push(measure::cost(places.scanner, &contestant.command)?);
            }
        }
    }
    let octets = fs::metadata(places.capture).map_or(0, |file| file.len());
    Ok(Results {
        load,
        octets,
        costs,
    })
}

/// Whether a record is given of each connection: being fast by leaving some out would be easy.
fn every_connection(load: Load, places: &Places<'_>) -> Result<Verdict> {
    let scanned = exec::read(
        Command::new(places.scanner)
            .args(["bench-part", "scan"])
            .arg(places.capture),
    );
    let scanned = scanned.context("scan a capture")?;
    let (_, expected) = scanned
        .trim_end()
        .split_once(' ')
        .context("read what a scan says")?;
    let mut reader = Command::new(places.synfin)
        .args(["read", "--format", "json"])
        .arg(places.capture)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", places.synfin.display()))?;
    let records = reader.stdout.take().context("read from synfin")?;
    let records = BufReader::with_capacity(1 << 20, records)
        .split(b'\n')
        .count();
    let status = reader.wait().context("wait for synfin")?;
    ensure!(status.success(), "`synfin read` ended with {status}");
    Ok(Verdict {
        text: format!(
            "{}: {records} records of {expected} connections",
            load.name()
        ),
        kept: Some(records.to_string() == expected),
    })
}

/// Writes the captures into a folder.
pub(super) fn generate(folder: &Path) -> Result<()> {
    for load in Load::ALL {
        let capture = capture(folder, load);
        load.write_file(&capture)
            .with_context(|| format!("write {}", capture.display()))?;
    }
    Ok(())
}

pub(super) fn capture(folder: &Path, load: Load) -> PathBuf {
    folder.join(load.name()).with_extension("pcap")
}
