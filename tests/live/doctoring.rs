//! What `synfin doctor` foresees is what `synfin trace` then does.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use synfin_tests::bpf;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::{Link, NEAR, Namespace};
use synfin_tests::process::{self, Output};
use synfin_tests::requirement;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tcx, Tool};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    let all = cases![&[Root, Daemon];
        it_foresees_the_hooks_of_every_mode,
        it_foresees_those_of_loopback,
        it_names_what_is_attached_and_what_that_stands_in_the_way_of,
        an_interface_that_is_down_is_told_as_such,
        it_changes_nothing,
    ];
    let tcx = cases![&[Root, Daemon, Tcx]; programs_of_tcx_are_named_and_no_obstacle];
    let user = cases![&[Root, Daemon, Tool("setpriv")]; what_a_user_lacks_is_in_the_way];
    [all, tcx, user].concat()
}

fn doctor(host: &Namespace, arguments: &[&str]) -> Result<Output> {
    process::run(&mut daemon::command(
        host,
        &[&["doctor"], arguments].concat(),
    ))
}

/// The hooks that it foresees.
fn foreseen(output: &Output) -> Result<&str> {
    let lines = output.stdout.lines();
    let mut lines = lines.filter_map(|line| line.trim().strip_prefix("⇒ tracing would take "));
    lines
        .next()
        .with_context(|| format!("nothing is foreseen: {} {}", output.stdout, output.stderr))
}

/// That tracing this device takes the hooks that were foreseen, with the same reasons.
fn as_foreseen(host: &Namespace, device: &str, mode: &str) -> Result<()> {
    let arguments = ["-i", device, "--xdp-mode", mode];
    let output = doctor(host, &arguments)?;
    ensure!(
        output.status.success(),
        "{mode}: {} {}",
        output.stdout,
        output.stderr
    );
    let mut command = daemon::command(host, &[&["trace"], &arguments[..]].concat());
    let said = Tracer::start(&mut command, 1)?.stop()?.stderr;
    let expected = format!("synfin: tracing {device}: {}\n", foreseen(&output)?);
    ensure!(said.contains(&expected), "{mode}: {expected}{said}");
    Ok(())
}

fn it_foresees_the_hooks_of_every_mode() -> Result<()> {
    let link = Link::silent()?;
    for mode in daemon::all_modes().into_iter().chain(["auto"]) {
        as_foreseen(&link.near, NEAR, mode)?;
    }
    Ok(())
}

fn it_foresees_those_of_loopback() -> Result<()> {
    as_foreseen(&Namespace::new()?, "lo", "auto")
}

fn it_names_what_is_attached_and_what_that_stands_in_the_way_of() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--xdp-mode", "native"])?;
    let output = doctor(&link.near, &["-i", NEAR, "--xdp-mode", "native"])?;
    assert_eq!(output.status.code(), Some(1));
    for words in [
        "! native XDP: program ",
        "✗ ",
        "another XDP program is attached already",
    ] {
        ensure!(output.stdout.contains(words), "{words}: {}", output.stdout);
    }
    ensure!(
        output
            .stderr
            .contains("tracing would not work: see ✗ under near0"),
        "{}",
        output.stderr
    );
    // Another hook is there.
    let output = doctor(&link.near, &["-i", NEAR])?;
    ensure!(output.status.success(), "{}", output.stdout);
    tracer.stop().map(drop)
}

fn programs_of_tcx_are_named_and_no_obstacle() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--xdp-mode", "tcx"])?;
    let output = doctor(&link.near, &["-i", NEAR])?;
    let words = "✓ TCX: attached already, and no obstacle: synfin_ingress, synfin_egress";
    ensure!(output.stdout.contains(words), "{}", output.stdout);
    ensure!(output.status.success(), "{}", output.stderr);
    tracer.stop().map(drop)
}

fn an_interface_that_is_down_is_told_as_such() -> Result<()> {
    let link = Link::silent()?;
    link.near
        .ip(&["link", "set", NEAR, "down", "mtu", "1400"])?;
    let output = doctor(&link.near, &["-i", NEAR])?;
    for words in [
        "! a veth device, driver veth, MTU 1400, 1 RX queue; it is down",
        "GRO is ",
    ] {
        ensure!(output.stdout.contains(words), "{words}: {}", output.stdout);
    }
    Ok(())
}

fn it_changes_nothing() -> Result<()> {
    let link = Link::silent()?;
    let before = bpf::programs();
    let output = doctor(&link.near, &[])?;
    ensure!(
        output.status.success(),
        "{} {}",
        output.stdout,
        output.stderr
    );
    // Every interface has a part.
    for title in ["this host\n", "\nlo\n", "\nnear0\n"] {
        ensure!(
            output.stdout.contains(title),
            "{title:?}: {}",
            output.stdout
        );
    }
    bpf::await_nothing_left(&before, &Default::default())
}

fn what_a_user_lacks_is_in_the_way() -> Result<()> {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
    ]);
    let output = process::run(
        command
            .arg(requirement::daemon())
            .args(["doctor", "-i", "lo"]),
    )?;
    assert_eq!(output.status.code(), Some(1));
    ensure!(
        output.stdout.contains("✗ CAP_BPF is missing"),
        "{}",
        output.stdout
    );
    ensure!(
        output.stderr.contains("see ✗ under this host"),
        "{}",
        output.stderr
    );
    Ok(())
}
