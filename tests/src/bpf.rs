//! What is loaded into the kernel, and what a process has left there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::maps::loaded_maps;
use aya::programs::{loaded_links, loaded_programs};

use crate::netns::Namespace;
use crate::process::succeed;
use crate::wait;

/// The kinds of things that a process can hold, as the kernel names them.
const KINDS: [&str; 3] = [PROGRAM, MAP, LINK];
const PROGRAM: &str = "prog";
const MAP: &str = "map";
const LINK: &str = "link";

/// How the names of the programs begin.
const OURS: &[u8] = b"synfin";

/// Something loaded: its kind and number.
pub type Loaded = (&'static str, u32);

/// The programs of synfin on this machine, whoever loaded them.
#[must_use]
pub fn programs() -> BTreeSet<Loaded> {
    // One that goes away during the listing is not there.
    let programs = loaded_programs().flatten();
    let ours = programs.filter(|program| program.name().starts_with(OURS));
    ours.map(|program| (PROGRAM, program.id())).collect()
}

/// What a process holds descriptors of.
///
/// # Errors
/// Where the process is no more.
pub fn held_by(pid: u32) -> Result<BTreeSet<Loaded>> {
    let directory = Path::new("/proc").join(pid.to_string()).join("fdinfo");
    let mut held = BTreeSet::new();
    for entry in fs::read_dir(directory).context("list a process' descriptors")? {
        // A descriptor may be closed between the listing and the reading.
        let info = fs::read_to_string(entry?.path()).unwrap_or_default();
        for line in info.lines() {
            let Some((name, number)) = line.split_once(':') else {
                continue;
            };
            let kind = KINDS
                .into_iter()
                .find(|kind| name.strip_suffix("_id") == Some(kind));
            if let (Some(kind), Ok(number)) = (kind, number.trim().parse()) {
                held.insert((kind, number));
            }
        }
    }
    Ok(held)
}

/// Waits until nothing is loaded any more of what a process held, and no program of synfin's that
/// came since `before` and that no process holds. The kernel frees a little after the last
/// descriptor is closed, and others load and unload meanwhile.
///
/// # Errors
/// Where something stays; it is named.
pub fn await_nothing_left(before: &BTreeSet<Loaded>, was_held: &BTreeSet<Loaded>) -> Result<()> {
    let mut left = BTreeSet::new();
    let outcome = wait::until("the kernel to free programs, links and maps", || {
        let programs = programs();
        let links = loaded_links().flatten().map(|link| (LINK, link.id()));
        let maps = loaded_maps().flatten().map(|map| (MAP, map.id()));
        let loaded: BTreeSet<Loaded> = links.chain(maps).chain(programs.iter().copied()).collect();
        let others = held_by_anyone();
        let orphans = programs
            .difference(before)
            .filter(|one| !others.contains(one));
        left = loaded
            .intersection(was_held)
            .chain(orphans)
            .copied()
            .collect();
        Ok(left.is_empty().then_some(()))
    });
    outcome.with_context(|| format!("left: {left:?} of {was_held:?}"))
}

/// That an interface carries neither XDP programs nor filters.
///
/// # Errors
/// Where it does; with what `ip`, `tc` and `bpftool` say.
pub fn ensure_bare(namespace: &Namespace, interface: &str) -> Result<()> {
    let link = succeed(
        namespace
            .command("ip")
            .args(["-details", "link", "show", interface]),
    )?;
    ensure!(
        !link.contains("xdp"),
        "{interface} still carries XDP: {link}"
    );
    let queues = succeed(
        namespace
            .command("tc")
            .args(["qdisc", "show", "dev", interface]),
    )?;
    ensure!(
        !queues.contains("clsact"),
        "{interface} still has a clsact: {queues}"
    );
    for side in ["ingress", "egress"] {
        let filters = namespace
            .command("tc")
            .args(["filter", "show", "dev", interface, side])
            .output();
        let filters = filters.context("list filters")?.stdout;
        ensure!(filters.is_empty(), "{interface} still has {side} filters");
    }
    let net = succeed(namespace.command("bpftool").args(["net", "show"]))?;
    ensure!(
        !net.contains(interface),
        "{interface} still has programs: {net}"
    );
    Ok(())
}

fn held_by_anyone() -> BTreeSet<Loaded> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes
        .filter_map(|pid| held_by(pid).ok())
        .flatten()
        .collect()
}
