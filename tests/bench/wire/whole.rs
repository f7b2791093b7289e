//! Real connections while the host is flooded: all of them whole, every SYN counted, memory flat.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::FAR;
use synfin_tests::process::Output;
use synfin_tests::record::{self, Connection};
use synfin_tests::talks::Talks;
use synfin_tests::tallies;

use crate::contestants::{self, Contestant, Ingress};
use crate::flooding::{self, EVERYWHERE};
use crate::place;
use crate::programs::Bench;
use crate::report::Report;

pub(crate) const HOOKS: [Ingress; 2] = [Ingress::Tcx, Ingress::NativeXdp];

const TALKS: Talks = Talks {
    pairs: 8,
    each: 250,
};
/// SYNs of the flood at least, and as many more as the connections take time for.
const SYNS: u32 = 1_000_000;
/// SYNs between two looks at how far the connections are.
const PIECE: u32 = 1 << 16;
/// Octets that the daemon may grow by and be called flat.
const FLAT: u64 = 64 << 20;

/// What came of a flood.
struct Flooded {
    output: Output,
    syns: u64,
    /// Segments of every kind that crossed the traced interface.
    segments: u64,
    memory: [u64; 3],
}

pub(crate) fn measure(ingress: Ingress, bench: &mut Bench, report: &mut Report) -> Result<()> {
    let name = Contestant::Synfin(ingress).name();
    let flooded = flood(ingress, bench)?;
    let connections = record::connections(&flooded.output.stdout)?;
    let whole = connections.iter().filter(|one| is_whole(one)).count();
    let all = TALKS.count();
    report.verdict(
        format!(
            "{name}: {whole} of {all} connections whole in a flood of {}",
            flooded.syns
        ),
        Some(u64::try_from(whole)? == all && connections.len() == whole),
    );
    let count = |name| daemon::count(&flooded.output, name);
    let segments = count(daemon::SEGMENTS).unwrap_or(0);
    report.verdict(
        format!(
            "{name}: {segments} segments counted of {}",
            flooded.segments
        ),
        Some(segments == flooded.segments),
    );
    let syns = count(daemon::SYNS);
    report.verdict(
        format!(
            "{name}: {} SYNs counted of {}",
            syns.unwrap_or(0),
            flooded.syns
        ),
        Some(syns == Some(flooded.syns)),
    );
    let [start, peak, end] = flooded.memory;
    let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
    report.verdict(
        format!(
            "{name}: memory grows by at most {} MiB: from {:.1} MiB to {:.1}, {:.1} after it",
            FLAT >> 20,
            mib(start),
            mib(peak),
            mib(end)
        ),
        Some(peak - start <= FLAT),
    );
    Ok(())
}

fn flood(ingress: Ingress, bench: &mut Bench) -> Result<Flooded> {
    let victim = flooding::victim()?;
    let link = &victim.link;
    let mut command = contestants::trace(link, ingress);
    let tracer = Tracer::start(command.args(["--only", "established"]), 1)?;
    // The peak is that since now.
    let process = format!("/proc/{}", tracer.id());
    fs::write(format!("{process}/clear_refs"), "5").context("forget the peak of memory")?;
    let start = memory(&process, "VmRSS")?;
    let dropped = tallies::frames(&link.far, FAR)?.tx_dropped;
    let mut sent = 0;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let talks = scope.spawn(|| {
            let held = TALKS.hold(link, &[place::CLIENT], &[place::SERVER]);
            over.store(true, Relaxed);
            held
        });
        while sent < SYNS || !over.load(Relaxed) {
            bench.send(link, &flooding::syn(), EVERYWHERE, PIECE)?;
            sent += PIECE;
        }
        talks
            .join()
            .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
    })?;
    let peak = memory(&process, "VmHWM")?;
    let end = memory(&process, "VmRSS")?;
    let output = tracer.stop()?;
    let dropped = tallies::frames(&link.far, FAR)?.tx_dropped - dropped;
    ensure!(dropped == 0, "{dropped} frames were lost on the wire");
    let tcp = |host, name| tallies::tcp(host, name);
    let flood = u64::from(sent);
    let stacks = [&link.near, &link.far]
        .map(|host| -> Result<u64> { Ok(tcp(host, "OutSegs")? + tcp(host, "RetransSegs")?) });
    let [near, far] = stacks;
    Ok(Flooded {
        output,
        syns: flood + tcp(&link.far, "ActiveOpens")? + tcp(&link.far, "TCPSynRetrans")?,
        segments: flood + near? + far?,
        memory: [start, peak, end],
    })
}

/// Its opening and close are told, and both legs of its handshake.
fn is_whole(one: &Connection) -> bool {
    let rtt = &one.open.rtt_ns;
    one.open.outcome == "established"
        && ["four_way", "three_way"].contains(&one.close.kind.as_str())
        && one.close.by.as_deref() == Some("client")
        && rtt.syn_to_synack.is_some()
        && rtt.synack_to_ack.is_some()
}

/// A figure of a process' memory, in octets.
fn memory(process: &str, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("{process}/status")).context("is the daemon alive?")?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let figure = lines.find(|(named, _)| *named == name);
    let figure = figure.and_then(|(_, figure)| figure.split_whitespace().next());
    let kib: u64 = figure.context("find a figure of memory")?.parse()?;
    Ok(kib << 10)
}
