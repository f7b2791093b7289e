//! Every kind of device, by every hook, in both directions and in one: real connections, each traced
//! exactly once. What came of it are the rows of `cargo xtask test --report`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::hosts::{Ends, Hosts};
use synfin_tests::process::Output;
use synfin_tests::record::{self, Connection};
use synfin_tests::report::{self, Row};
use synfin_tests::requirement::Requirement::{Daemon, Device, Root};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    let everywhere = cases![&[Root, Daemon];
        veth,
        bridge,
        macvlan,
        vxlan,
        loopback,
        tun,
    ];
    let bond = cases![&[Root, Daemon, Device("bond")]; bond];
    [everywhere, bond].concat()
}

/// Connections in each direction.
const EACH_WAY: usize = 10;
const MODES: [&str; 5] = ["auto", "native", "generic", "tcx", "clsact"];
const DIRECTIONS: [&str; 2] = ["both", "ingress"];

/// A kind of device.
struct Kind {
    name: &'static str,
    /// Modes that it has not got.
    refuses: &'static [&'static str],
    /// It shows what leaves as what arrives, too.
    echoes: bool,
}

fn veth() -> Result<()> {
    traced("veth", &[], Hosts::veth)
}

fn bridge() -> Result<()> {
    traced("bridge", &["native"], Hosts::bridge)
}

fn macvlan() -> Result<()> {
    traced("macvlan", &["native"], Hosts::macvlan)
}

fn vxlan() -> Result<()> {
    traced("vxlan", &["native"], Hosts::vxlan)
}

fn loopback() -> Result<()> {
    let kind = Kind {
        name: "loopback",
        refuses: &["native"],
        echoes: true,
    };
    traced_as(&kind, &Hosts::loopback()?)
}

fn tun() -> Result<()> {
    traced("tun", &["native", "generic"], Hosts::tun)
}

fn bond() -> Result<()> {
    traced("bond", &[], Hosts::bond)
}

fn traced(
    name: &'static str,
    refuses: &'static [&'static str],
    hosts: impl FnOnce() -> Result<Hosts>,
) -> Result<()> {
    let kind = Kind {
        name,
        refuses,
        echoes: false,
    };
    traced_as(&kind, &hosts()?)
}

fn traced_as(kind: &Kind, hosts: &Hosts) -> Result<()> {
    let mut wrong = Vec::new();
    for mode in MODES {
        // What is refused is so before any direction is looked at.
        let directions = if is_refused(kind, mode)? {
            &["both"][..]
        } else {
            &DIRECTIONS
        };
        for direction in directions {
            let mut row = Row {
                test: format!("devices::{}", kind.name),
                device: kind.name,
                mode,
                direction,
                attached: String::new(),
                made: 0,
                traced: 0,
                verdict: "ok".into(),
            };
            if let Err(error) = fill(&mut row, kind, hosts) {
                row.verdict = format!("{error:#}");
                wrong.push(format!("{mode}, {direction}: {error:#}"));
            }
            report::tell(&row)?;
        }
    }
    ensure!(wrong.is_empty(), "{}: {}", kind.name, wrong.join("\n"));
    Ok(())
}

fn fill(row: &mut Row, kind: &Kind, hosts: &Hosts) -> Result<()> {
    let (mode, direction) = (row.mode, row.direction);
    let options = [
        "--format",
        "json",
        "--xdp-mode",
        mode,
        "--direction",
        direction,
    ];
    let command = [&["trace", "-i", hosts.device], &options[..]].concat();
    if is_refused(kind, mode)? {
        return refused(row, &daemon::run(&hosts.near, &command)?, hosts.device);
    }
    let tracer = Tracer::start(&mut daemon::command(&hosts.near, &command), 1)?;
    row.attached = attached(&tracer.stderr(), hosts.device)?;
    let before = hosts.sent_again()?;
    let made = hosts.talk(EACH_WAY)?;
    let again = hosts.sent_again()? - before;
    row.made = made.len();
    let told = record::connections(&tracer.stop()?.stdout)?;
    row.traced = told.len();
    // XDP slows software devices down: `auto` leaves it alone on them.
    let tc = if has_tcx()? && mode != "clsact" {
        "TCX"
    } else {
        "clsact"
    };
    let ingress = match mode {
        "native" => "native XDP",
        "generic" => "generic XDP",
        _ => tc,
    };
    let both = direction == "both" && !kind.echoes;
    let hooks = if both {
        format!("{ingress} ingress, {tc} egress")
    } else {
        format!("{ingress} ingress")
    };
    let (is, note) = row.attached.split_once(" (").unwrap_or((&row.attached, ""));
    ensure!(is == hooks, "{is} was attached and not {hooks}");
    ensure!(
        mode != "auto" || note.starts_with("auto: "),
        "no reason in {note:?}"
    );
    ensure!(
        mode != "generic" || note.contains("GRO"),
        "no price in {note:?}"
    );
    each_once(&made, &told)?;
    let sees_all = both || kind.echoes;
    told.iter().try_for_each(|one| judged(one, sees_all, again))
}

fn is_refused(kind: &Kind, mode: &str) -> Result<bool> {
    Ok(kind.refuses.contains(&mode) || mode == "tcx" && !has_tcx()?)
}

/// That it ended with an error that names the device and says why.
fn refused(row: &mut Row, output: &Output, device: &str) -> Result<()> {
    let error = output
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("synfin: error: "));
    let error = error.with_context(|| format!("no error was told: {}", output.stderr))?;
    let reason = error.split_once(": ").map_or(error, |(_, reason)| reason);
    let reason = reason.split_once(';').map_or(reason, |(reason, _)| reason);
    row.attached = format!("refused: {reason}");
    ensure!(
        output.status.code() == Some(1),
        "ended with {}",
        output.status
    );
    ensure!(
        error.contains(&format!("to {device}: ")),
        "it names nothing"
    );
    // What there is on every kernel.
    let instead = if row.mode == "tcx" {
        "`--xdp-mode clsact`"
    } else {
        "`--xdp-mode auto`"
    };
    ensure!(error.contains(instead), "{instead} is not named: {error}");
    ensure!(
        row.mode != "tcx" || error.contains("this kernel has no TCX, which came with Linux 6.6"),
        "it names no version: {error}"
    );
    Ok(())
}

/// What it says that it attached.
fn attached(stderr: &str, device: &str) -> Result<String> {
    let begin = format!("synfin: tracing {device}: ");
    let line = stderr.lines().find_map(|line| line.strip_prefix(&begin));
    Ok(line.context("the line of what is traced")?.to_owned())
}

fn each_once(made: &BTreeSet<Ends>, told: &[Connection]) -> Result<()> {
    let ends = told
        .iter()
        .map(|one| (one.client.endpoint(), one.server.endpoint()));
    let ends: BTreeSet<Ends> = ends.collect();
    ensure!(
        told.len() == made.len() && ends == *made,
        "{} connections of {} were told, {} of them others",
        told.len(),
        made.len(),
        ends.difference(made).count()
    );
    Ok(())
}

/// That a connection is told as it was. Of all of them `again` segments were sent again.
fn judged(one: &Connection, sees_all: bool, again: u64) -> Result<()> {
    let name = one.name();
    ensure!(!one.observation_gap, "{name} has a gap");
    ensure!(
        one.asymmetric != sees_all,
        "{name}: asymmetric is {}",
        one.asymmetric
    );
    if !sees_all {
        return Ok(());
    }
    let open = one.open.outcome.as_str();
    ensure!(open == "established", "{name} is told as {open}");
    // A leg of a segment that was sent again is not known (Karn).
    let retries = u64::from(one.open.syn_retries + one.open.synack_retries);
    ensure!(
        retries <= again,
        "{name}: {retries} retries, {again} sent again"
    );
    let legs = [one.open.rtt_ns.syn_to_synack, one.open.rtt_ns.synack_to_ack];
    ensure!(
        retries > 0 || legs.iter().all(Option::is_some),
        "{name}: {legs:?}"
    );
    let close = one.close.kind.as_str();
    ensure!(
        ["four_way", "three_way"].contains(&close),
        "{name} closed {close}"
    );
    let by = one.close.by.as_deref();
    ensure!(by == Some("server"), "{name} closed by {by:?}");
    let bytes = (one.client.bytes, one.server.bytes);
    ensure!(bytes == (Some(8), Some(8)), "{name}: {bytes:?} octets");
    for (anomaly, count) in &one.anomalies {
        let sent_again = record::OF_SENDING_AGAIN.contains(&&**anomaly);
        ensure!(
            sent_again && *count <= again,
            "{name}: {count} {anomaly}, {again} sent again"
        );
    }
    Ok(())
}

/// Whether the kernel has TCX, which came with Linux 6.6.
fn has_tcx() -> Result<bool> {
    let release = nix::sys::utsname::uname()?
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|number| number.parse::<u32>().ok());
    Ok((numbers.next(), numbers.next()) >= (Some(6), Some(6)))
}
