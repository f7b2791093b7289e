//! Beside others: what is attached already, what a killed synfin has left, and what others own.

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use synfin_tests::bpf;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::hosts::Hosts;
use synfin_tests::netns::{self, FAR, Link, NEAR, Namespace};
use synfin_tests::process::{Output, succeed};
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::requirement::has_tcx;
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon, Tool("bpftool"), Tool("tc")];
        two_at_once_tell_the_same_connections_whatever_their_hooks,
        a_nic_that_has_a_program_already_refuses_a_second_one_in_plain_words,
        a_device_with_too_few_queues_refuses_native_xdp_in_plain_words,
        what_a_killed_one_left_goes_at_the_next_start,
        what_a_killed_one_left_goes_by_detach,
        detach_leaves_alone_what_runs_and_what_others_own,
        a_clsact_that_was_there_before_stays,
        an_ingress_qdisc_that_was_there_before_is_named_and_stays,
    ]
}

const CLSACT: &[&str] = &["--xdp-mode", "clsact"];

fn two_at_once_tell_the_same_connections_whatever_their_hooks() -> Result<()> {
    let [.., tc] = modes();
    for (first, second) in [
        ("native", "auto"),
        (tc, tc),
        ("clsact", "clsact"),
        // Generic XDP hands frames on to TC without their Ethernet headers.
        ("generic", "auto"),
        ("generic", "clsact"),
    ] {
        let hosts = Hosts::veth()?;
        let tracers = [first, second].map(|mode| Tracer::json(&hosts.near, &["--xdp-mode", mode]));
        let made = hosts.talk(5)?;
        for tracer in tracers {
            let told = record::connections(&tracer?.stop()?.stdout)?;
            let ends = told
                .iter()
                .map(|one| (one.client.endpoint(), one.server.endpoint()));
            ensure!(
                told.len() == made.len(),
                "{first}, {second}: {} told",
                told.len()
            );
            ensure!(ends.collect::<std::collections::BTreeSet<_>>() == made);
            for one in &told {
                assert_eq!(one.open.outcome, "established", "{first}, {second}");
            }
        }
        bpf::ensure_bare(&hosts.near, NEAR)?;
    }
    Ok(())
}

fn a_nic_that_has_a_program_already_refuses_a_second_one_in_plain_words() -> Result<()> {
    let hosts = Hosts::veth()?;
    let _first = Tracer::json(&hosts.near, &["--xdp-mode", "native"])?;
    refused(
        &hosts.near,
        "native",
        "another XDP program is attached already",
    )?;
    refused(
        &hosts.near,
        "generic",
        "an XDP program is attached already in another mode",
    )
}

fn a_device_with_too_few_queues_refuses_native_xdp_in_plain_words() -> Result<()> {
    let (near, far) = (Namespace::new()?, Namespace::new()?);
    // The peer sends by more queues than the near end takes in by.
    let ends = [
        &[
            "link",
            "add",
            FAR,
            "netns",
            far.name(),
            "numtxqueues",
            "4",
            "type",
            "veth",
        ][..],
        &[
            "peer",
            "name",
            NEAR,
            "netns",
            near.name(),
            "numrxqueues",
            "1",
        ],
    ];
    netns::ip(&ends.concat())?;
    near.ip(&["link", "set", NEAR, "up"])?;
    refused(&near, "native", "too few queues")?;
    let tracer = Tracer::json(&near, &[])?;
    let hook = if has_tcx() { "TCX" } else { "clsact" };
    ensure!(
        tracer.stderr().contains(&format!("{hook} ingress")),
        "{}",
        tracer.stderr()
    );
    tracer.stop().map(drop)
}

fn what_a_killed_one_left_goes_at_the_next_start() -> Result<()> {
    let link = killed()?;
    // What leaves would be seen by a filter again where the kernel has no TCX.
    let arguments = ["--xdp-mode", "native", "--direction", "ingress"];
    let next = Tracer::json(&link.near, &arguments)?;
    ensure!(
        next.stderr()
            .contains("removed 2 filters and the clsact qdisc of a synfin that was killed"),
        "{}",
        next.stderr()
    );
    ensure!(filters(&link.near)?.is_empty(), "filters are left");
    next.stop()?;
    bpf::ensure_bare(&link.near, NEAR)
}

fn what_a_killed_one_left_goes_by_detach() -> Result<()> {
    for arguments in [&["detach"][..], &["detach", "-i", NEAR]] {
        let link = killed()?;
        let said = detach(&link.near, arguments)?;
        let removed = "near0: removed 2 filters and the clsact qdisc";
        ensure!(said.contains(removed), "{said}");
        bpf::ensure_bare(&link.near, NEAR)?;
        let said = detach(&link.near, arguments)?;
        ensure!(said.contains("nothing is left"), "{said}");
    }
    let link = Link::silent()?;
    let output = daemon::run(&link.near, &["detach", "-i", "nosuch0"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("nosuch0"));
    Ok(())
}

fn detach_leaves_alone_what_runs_and_what_others_own() -> Result<()> {
    let hosts = Hosts::veth()?;
    let running = Tracer::json(&hosts.near, CLSACT)?;
    leave_filters(Tracer::json(&hosts.near, CLSACT)?)?;
    let add = ["filter", "add", "dev", NEAR, "ingress", "protocol", "ip"];
    let foreign = [&add[..], &["prio", "5", "u32", "match", "u32", "0", "0"]].concat();
    succeed(hosts.near.command("tc").args(foreign))?;
    ensure!(
        filters(&hosts.near)?.len() == 4,
        "{:?}",
        filters(&hosts.near)?
    );
    let said = detach(&hosts.near, &["detach"])?;
    ensure!(said.contains("removed 2 filters of a synfin"), "{said}");
    ensure!(
        said.contains("2 of the filters there belong to a synfin that runs"),
        "{said}"
    );
    ensure!(
        filters(&hosts.near)?.len() == 2,
        "{:?}",
        filters(&hosts.near)?
    );
    let made = hosts.talk(3)?;
    let told = record::connections(&running.stop()?.stdout)?;
    ensure!(
        told.len() == made.len(),
        "{} of {} told",
        told.len(),
        made.len()
    );
    ensure!(filters(&hosts.near)?.is_empty(), "filters are left");
    // The first of ours made the qdisc, and it would have gone with the last one.
    ensure!(shown(&hosts.near, &["filter", "show", "dev", NEAR, "ingress"])?.contains("u32"));
    Ok(())
}

fn a_clsact_that_was_there_before_stays() -> Result<()> {
    let link = Link::silent()?;
    succeed(
        link.near
            .command("tc")
            .args(["qdisc", "add", "dev", NEAR, "clsact"]),
    )?;
    Tracer::json(&link.near, CLSACT)?.stop()?;
    leave_filters(Tracer::json(&link.near, CLSACT)?)?;
    detach(&link.near, &["detach"])?;
    ensure!(filters(&link.near)?.is_empty(), "filters are left");
    ensure!(shown(&link.near, &["qdisc", "show", "dev", NEAR])?.contains("clsact"));
    Ok(())
}

fn an_ingress_qdisc_that_was_there_before_is_named_and_stays() -> Result<()> {
    let link = Link::silent()?;
    succeed(
        link.near
            .command("tc")
            .args(["qdisc", "add", "dev", NEAR, "ingress"]),
    )?;
    refused(&link.near, "clsact", "it has an ingress qdisc")?;
    ensure!(filters(&link.near)?.is_empty(), "filters are left");
    ensure!(shown(&link.near, &["qdisc", "show", "dev", NEAR])?.contains("ingress"));
    Ok(())
}

/// A wire with what a killed synfin has left.
fn killed() -> Result<Link> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, CLSACT)?;
    ensure!(
        filters(&link.near)?.len() == 2,
        "nobody sees filters that run"
    );
    leave_filters(tracer)?;
    let left = filters(&link.near)?;
    ensure!(left.len() == 2, "what is left is {left:?}");
    Ok(link)
}

/// Kills both processes, the one that would remove the filters first.
fn leave_filters(tracer: Tracer) -> Result<()> {
    tracer.signal_attacher(Signal::SIGKILL)?;
    tracer.kill().map(drop)
}

/// The filters of synfin's on the near interface, as `tc` names them.
fn filters(namespace: &Namespace) -> Result<Vec<String>> {
    let mut filters = Vec::new();
    for side in ["ingress", "egress"] {
        let all = shown(namespace, &["filter", "show", "dev", NEAR, side])?;
        let ours = all.lines().filter(|line| line.contains("synfin_"));
        filters.extend(ours.map(str::to_owned));
    }
    Ok(filters)
}

fn shown(namespace: &Namespace, words: &[&str]) -> Result<String> {
    succeed(namespace.command("tc").args(words))
}

fn detach(namespace: &Namespace, arguments: &[&str]) -> Result<String> {
    let Output { status, stderr, .. } = daemon::run(namespace, arguments)?;
    ensure!(status.success(), "it ended with {status}: {stderr}");
    Ok(stderr)
}

fn refused(namespace: &Namespace, mode: &str, reason: &str) -> Result<()> {
    let output = daemon::run(namespace, &["trace", "-i", NEAR, "--xdp-mode", mode])?;
    let mut lines = output.stderr.lines();
    let error = lines.find(|line| line.starts_with("synfin: error: "));
    let error = error.with_context(|| format!("no error was told: {}", output.stderr))?;
    ensure!(
        output.status.code() == Some(1),
        "it ended with {}",
        output.status
    );
    ensure!(error.contains(NEAR) && error.contains(reason), "{error}");
    Ok(())
}
