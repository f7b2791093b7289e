//! Several CPUs work on one connection, and its two directions come over queues of different CPUs: no
//! step is told twice, and none is missing.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use synfin_tests::cases;
use synfin_tests::cpus;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::Link;
use synfin_tests::record::{self, Connection, Segment};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tcx};
use synfin_tests::suite::Case;
use synfin_tests::talks::Talks;
use synfin_tests::tallies;

const TALKS: Talks = Talks {
    pairs: 8,
    each: 400,
};

pub(crate) fn cases() -> Vec<Case> {
    let by_tcx = cases![&[Root, Daemon, Tcx]; no_step_is_doubled_or_missing_by_tcx];
    let by_native_xdp = cases![&[Root, Daemon]; no_step_is_doubled_or_missing_by_native_xdp];
    [by_tcx, by_native_xdp].concat()
}

fn no_step_is_doubled_or_missing_by_tcx() -> Result<()> {
    no_step_is_doubled_or_missing("tcx")
}

fn no_step_is_doubled_or_missing_by_native_xdp() -> Result<()> {
    no_step_is_doubled_or_missing("native")
}

fn no_step_is_doubled_or_missing(mode: &str) -> Result<()> {
    let link = Link::queued(2)?;
    let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
    // A client and its server are on different CPUs, where there are some.
    let clients = cpus::allowed()?;
    let mut servers = clients.clone();
    servers.rotate_left(1);
    TALKS.hold(&link, &clients, &servers)?;
    let output = tracer.stop()?;
    ensure!(output.stderr.contains("nothing lost"), "{}", output.stderr);
    let connections = record::connections(&output.stdout)?;
    assert_eq!(u64::try_from(connections.len())?, TALKS.count());
    let mut retransmitted = 0;
    for host in [&link.near, &link.far] {
        retransmitted += tallies::tcp(host, "RetransSegs")?;
    }
    let mut told = 0;
    for connection in &connections {
        check(connection, retransmitted == 0)?;
        told += u64::try_from(connection.segments.len())? + connection.segments_omitted;
    }
    let count = |name| daemon::count(&output, name).unwrap_or(0);
    let apart = count("late segments") + count("stray segments");
    assert_eq!(told + apart, count("events"), "events are told once");
    Ok(())
}

/// Each step once; what a host sent again may be there again.
fn check(connection: &Connection, nothing_sent_again: bool) -> Result<()> {
    let mut steps: BTreeMap<_, usize> = BTreeMap::new();
    for segment in &connection.segments {
        for step in steps_of(segment) {
            *steps.entry((segment.from.as_str(), step)).or_default() += 1;
        }
    }
    for side in ["client", "server"] {
        for step in ["SYN", "acknowledges_syn", "FIN", "acknowledges_fin", "data"] {
            let count = steps.get(&(side, step)).copied().unwrap_or(0);
            let proves = step.starts_with("acknowledges");
            let right = count == 1 || count > 1 && !nothing_sent_again && !proves;
            ensure!(right, "{step} of the {side}: {count} in {connection:#?}");
        }
    }
    ensure!(connection.open.outcome == "established", "{connection:#?}");
    ensure!(
        connection.close.by.as_deref() == Some("client"),
        "{connection:#?}"
    );
    ensure!(connection.close.last_ack == Some(true), "{connection:#?}");
    Ok(())
}

/// The names of the steps that a segment is.
fn steps_of(segment: &Segment) -> Vec<&str> {
    let mut steps = Vec::new();
    steps.extend(
        segment
            .flags
            .split(',')
            .filter(|flag| ["SYN", "FIN"].contains(flag)),
    );
    if segment.len.is_some_and(|len| len > 0) {
        steps.push("data");
    }
    steps.extend(segment.check.as_ref().map(|check| check.proof.as_str()));
    steps
}
