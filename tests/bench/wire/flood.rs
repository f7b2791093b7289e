//! Floods: how many segments a second the traced host takes in with each contestant beside none, and
//! whether real connections are whole meanwhile.
//!
//! A frame is made, sent and taken in on the same CPU, so that none is dropped between two: the time of
//! a known number of frames is what the host takes for them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use synfin_tests::cpus::stay_on;
use synfin_tests::daemon;
use synfin_tests::frames::Frame;
use synfin_tests::netns::{FAR, NEAR};
use synfin_tests::tallies;
use synfin_tests::victim::Victim;
use synfin_tests::wait;

use crate::contestants::{
    Contestant, IDLE_TCX, IDLE_XDP, NOTHING, SYNFIN_TCX, SYNFIN_XDP, Watching,
};
use crate::flooding::{self, EVERYWHERE, MANY, ONE};
use crate::place;
use crate::programs::{Bench, Senders};
use crate::report::{Report, Table};
use crate::whole;

/// What is sent, from whom, and how often.
struct Load {
    title: &'static str,
    frame: fn() -> Frame,
    from: Senders,
    count: u32,
}

const SYNS: &str = "SYNs to a listener";

const LOADS: [Load; 3] = [
    Load {
        title: "data segments of one connection",
        frame: flooding::data,
        from: ONE,
        count: 500_000,
    },
    Load {
        title: "data segments of 65536 connections",
        frame: flooding::data,
        from: MANY,
        count: 500_000,
    },
    // Last, since it leaves much behind.
    Load {
        title: SYNS,
        frame: flooding::syn,
        from: EVERYWHERE,
        count: 200_000,
    },
];

/// Measures round by round, everyone in turns; then floods with real connections beside.
pub(crate) fn measure(object: &Path, rounds: usize) -> Result<Report> {
    stay_on(place::CLIENT)?;
    let mut bench = Bench::load(object)?;
    let mut contestants = Contestant::present();
    contestants.retain(|one| *one != Contestant::Tshark);
    let mut tables = LOADS.map(|load| {
        let mut table = Table::new(load.title, "million/s");
        for one in &contestants {
            table.contestant(one.name(), one.references());
        }
        table
    });
    let mut report = Report::default();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for one in &contestants {
            let rates = turn(*one, &mut bench);
            report.void(one.name(), rates.as_ref().err());
            let rates = rates.map_or([None; LOADS.len()], |rates| rates.map(Some));
            for (table, rate) in tables.iter_mut().zip(rates) {
                table.push(one.name(), rate.map(|rate| rate / 1e6));
            }
        }
        contestants.rotate_left(1);
    }
    let [one, many, syns] = &tables;
    for name in [SYNFIN_TCX, SYNFIN_XDP] {
        report.at_least(syns, name, 0.9, NOTHING);
    }
    for table in [one, many] {
        report.at_least(table, SYNFIN_XDP, 0.97, IDLE_XDP);
        report.at_least(table, SYNFIN_TCX, 0.97, IDLE_TCX);
    }
    report.none_void("every segment of a flood taken in and counted");
    tables.into_iter().for_each(|table| report.table(table));
    for ingress in whole::HOOKS {
        if let Err(error) = whole::measure(ingress, &mut bench, &mut report) {
            let name = Contestant::Synfin(ingress).name();
            let failed = format!("{name}: connections in a flood: {error:#}");
            report.verdict(failed, Some(false));
        }
    }
    Ok(report)
}

/// One contestant's turn of a round, on a wire of its own: how many frames a second of each load.
fn turn(one: Contestant, bench: &mut Bench) -> Result<[f64; LOADS.len()]> {
    let victim = flooding::victim()?;
    let watching = one.start(&victim.link, bench)?;
    let mut rates = [0.0; LOADS.len()];
    for (load, figure) in LOADS.iter().zip(&mut rates) {
        *figure = rate(load, &victim, bench)?;
    }
    counted(watching, &victim)?;
    Ok(rates)
}

/// Frames a second.
fn rate(load: &Load, victim: &Victim, bench: &mut Bench) -> Result<f64> {
    let link = &victim.link;
    let before = tallies::frames(&link.near, NEAR)?.rx_packets;
    let dropped = tallies::frames(&link.far, FAR)?.tx_dropped;
    let begin = Instant::now();
    bench.send(link, &(load.frame)(), load.from, load.count)?;
    let took = begin.elapsed();
    let all = before + u64::from(load.count);
    wait::until("all frames to come in", || {
        let lost = tallies::frames(&link.far, FAR)?.tx_dropped - dropped;
        ensure!(lost == 0, "{lost} frames were lost on the wire");
        Ok((tallies::frames(&link.near, NEAR)?.rx_packets >= all).then_some(()))
    })?;
    Ok(f64::from(load.count) / took.as_secs_f64())
}

/// Ends the watching, and holds the daemon to having counted every segment.
fn counted(watching: Watching, victim: &Victim) -> Result<()> {
    let is_daemon = watching.daemon().is_some();
    let watched = watching.stop()?;
    let Some(output) = watched.output.filter(|_| is_daemon) else {
        return Ok(());
    };
    let sent = LOADS.iter().map(|load| u64::from(load.count));
    let all = sent.sum::<u64>() + tallies::tcp(&victim.link.near, "OutSegs")?;
    let segments = daemon::count(&output, daemon::SEGMENTS).unwrap_or(0);
    ensure!(segments == all, "{segments} segments were counted of {all}");
    let floods = LOADS.iter().filter(|load| load.title == SYNS);
    let sent: u64 = floods.map(|load| u64::from(load.count)).sum();
    let syns = daemon::count(&output, daemon::SYNS).unwrap_or(0);
    ensure!(syns == sent, "{syns} SYNs were counted of {sent}");
    Ok(())
}
