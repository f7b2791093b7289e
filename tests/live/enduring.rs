//! Connections all the time, while the interface goes down and up and the daemon and the reader of its
//! output stand still by turns: the process lives, its memory is flat, every record is whole or marked,
//! and the kernel's count of lost events is what the serial numbers prove.
//!
//! `cargo xtask endure` runs it for longer: [`DURATION`] is the time in seconds.

mod clients;
mod judge;
mod reading;
mod times;

use std::env;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::process::Output;
use synfin_tests::requirement::Requirement::{Daemon, Pace, Root};
use synfin_tests::suite::Case;

use clients::{Clients, Talk};
use judge::Judgement;
use reading::{Reading, Told};
use times::{Times, now_ns};

/// Overrides how long it lasts, in seconds.
const DURATION: &str = "SYNFIN_ENDURE";
const USUAL: Duration = Duration::from_secs(40);

/// The interface is down for a moment as often as this.
const UP: Duration = Duration::from_secs(5);
const DOWN: Duration = Duration::from_millis(300);
/// The daemon or the reader of its output stands still for so long at most.
const LONGEST_STILL: Duration = Duration::from_secs(30);
/// Both take their turn in each part of the run, and memory is compared between its parts.
const PARTS: u32 = 2;
/// Less than the events, and the records, of the shortest time in which somebody stands still.
const SIZES: [&str; 4] = ["--ring-size", "256K", "--output-queue", "256K"];
/// By how much the daemon's memory may grow after the first part, in KiB.
const MOST_GROWTH: u64 = 8 << 10;
/// Time between two looks at the daemon's memory.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon, Pace];
        every_connection_is_whole_or_marked_whatever_stands_still,
    ]
}

fn every_connection_is_whole_or_marked_whatever_stands_still() -> Result<()> {
    let duration = match env::var(DURATION) {
        Ok(seconds) => Duration::from_secs(seconds.parse().context("read the duration")?),
        Err(_) => USUAL,
    };
    let runs = daemon::modes().map(|mode| thread::spawn(move || endured(mode, duration)));
    for (run, mode) in runs.into_iter().zip(daemon::modes()) {
        let run = run.join().ok().context("a run panicked")?;
        run.with_context(|| format!("by {mode}"))?.judged(mode)?;
    }
    Ok(())
}

/// What a run came to.
struct Run {
    times: Times,
    talks: Vec<Talk>,
    told: Vec<Told>,
    /// The daemon's resident memory in each part, at most, in KiB.
    memory: Vec<u64>,
    output: Output,
}

fn endured(mode: &str, duration: Duration) -> Result<Run> {
    let link = Link::new()?;
    let words = ["trace", "-i", NEAR, "--format", "json", "--xdp-mode", mode];
    let mut command = daemon::command(&link.near, &[&words[..], &SIZES].concat());
    let (mut tracer, stdout) = Tracer::start_unread(&mut command)?;
    let reading = Reading::of(stdout);
    let clients = Clients::start(&link)?;
    let mut times = Times::default();
    let begin = Instant::now();
    // Each part: nobody stands still, the daemon does, nobody, the reader does.
    let parts = (duration.as_secs() / (4 * LONGEST_STILL.as_secs())).max(PARTS.into());
    let parts = u32::try_from(parts)?;
    let quarter = duration / parts / 4;
    let mut memory = vec![0; usize::try_from(parts)?];
    let (mut doing, mut next_down) = (None, UP);
    while begin.elapsed() < duration {
        let quarters = u32::try_from(begin.elapsed().as_nanos() / quarter.as_nanos())?;
        if doing != Some(quarters) {
            doing = Some(quarters);
            stand_still(quarters % 4, &mut tracer, &reading, &mut times)?;
        }
        if begin.elapsed() >= next_down {
            next_down += UP;
            let since = now_ns()?;
            link.near.ip(&["link", "set", NEAR, "down"])?;
            thread::sleep(DOWN);
            link.near.ip(&["link", "set", NEAR, "up"])?;
            times.down.push((since, now_ns()?));
        }
        let part = usize::try_from(quarters / 4)?.min(memory.len() - 1);
        memory[part] = memory[part].max(resident(tracer.id())?);
        thread::sleep(BETWEEN_LOOKS);
    }
    stand_still(0, &mut tracer, &reading, &mut times)?;
    let talks = clients.stop()?;
    // What the interface's last moment down held up comes again.
    thread::sleep(Duration::from_secs(3));
    tracer.signal(Signal::SIGINT)?;
    let output = tracer.finish()?;
    Ok(Run {
        times,
        talks,
        told: reading.finish()?,
        memory,
        output,
    })
}

/// Has whoever's turn it is stand still: the daemon in the second quarter of a part, the reader in the last.
fn stand_still(
    quarter: u32,
    tracer: &mut Tracer,
    reading: &Reading,
    times: &mut Times,
) -> Result<()> {
    let now_ns = now_ns()?;
    match quarter {
        1 => {
            tracer.signal(Signal::SIGSTOP)?;
            times.stopped.begin(now_ns);
        }
        3 => {
            reading.pause(true);
            times.unread.begin(now_ns);
        }
        _ => {
            tracer.signal(Signal::SIGCONT)?;
            reading.pause(false);
            times.stopped.end(now_ns);
            times.unread.end(now_ns);
        }
    }
    Ok(())
}

/// The resident memory of a process, in KiB.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("it has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.context("find VmRSS")?.parse().context("read VmRSS")
}

impl Run {
    fn judged(&self, mode: &str) -> Result<()> {
        let Self { output, memory, .. } = self;
        let count = |name| daemon::count(output, name).unwrap_or(0);
        let judgement = Judgement::of(&self.talks, &self.told, &self.times);
        println!("endure, {mode}: {judgement}");
        println!(
            "endure, {mode}: {} events lost, {} gaps proved, {} unaccounted; {} SYNs and {} SYN-ACKs \
             held back; {} records dropped; the interface was down {} times; at most {memory:?} KiB \
             resident, part by part",
            count("ring_full"),
            count("serial_gaps"),
            count("unaccounted"),
            count("held_syn"),
            count("held_syn_ack"),
            count("records_dropped"),
            self.times.down.len(),
        );
        ensure!(output.status.success(), "it ended with {}", output.status);
        ensure!(count("ring_full") > 0, "the ring never overflowed");
        ensure!(
            count("records_dropped") > 0,
            "the output's queue never was full"
        );
        assert_eq!(count("serial_gaps"), count("ring_full"), "{mode}: gaps");
        assert_eq!(count("unaccounted"), 0, "{mode}");
        let told = u64::try_from(self.told.len())?;
        let connections = counted_connections(&output.stderr).context("find the summary")?;
        let counted = connections + count("backscatter") + count("probe");
        assert_eq!(told + count("records_dropped"), counted, "{mode}: records");
        judgement
            .hold(count("records_dropped"))
            .with_context(|| format!("{:?}; it said {}", self.times, output.stderr))?;
        let (first, last) = (memory.first(), memory.last());
        let [first, last] = [first, last].map(|most| most.copied().unwrap_or(0));
        ensure!(
            last <= first + MOST_GROWTH,
            "{mode}: {first} KiB were resident at most in the first part, and {last} in the last"
        );
        Ok(())
    }
}

/// How many connections the summary counts.
fn counted_connections(stderr: &str) -> Option<u64> {
    let lines = stderr.lines().rev();
    let mut totals = lines.filter_map(|line| {
        let total = line.strip_prefix("synfin: ")?;
        total.contains(" connections").then_some(total)
    });
    totals.next()?.split(' ').next()?.parse().ok()
}
