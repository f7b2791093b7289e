//! Who watches the near end of a wire while traffic crosses it, and whether they saw all of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::process::{Background, Output};
use synfin_tests::requirement;

use crate::place;
use crate::programs::{Bench, Idle};

pub(crate) const NOTHING: &str = "nothing";
pub(crate) const IDLE_TCX: &str = "no-op TCX";
pub(crate) const SYNFIN_TCX: &str = "synfin TCX";
pub(crate) const IDLE_XDP: &str = "no-op XDP";
pub(crate) const SYNFIN_XDP: &str = "synfin XDP";
pub(crate) const TCPDUMP: &str = "tcpdump, flags filtered";
pub(crate) const TSHARK: &str = "tshark, flags filtered";

/// What others have to look at to see openings and closings.
const FLAGS: &str = "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0";

/// The hooks for what arrives that are measured; what leaves is seen on TCX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ingress {
    NativeXdp,
    Tcx,
}

/// Someone who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Nothing,
    Idle(Ingress),
    Synfin(Ingress),
    Tcpdump,
    Tshark,
}

/// Someone who watches now.
pub(crate) enum Watching {
    /// Nobody, or programs that do nothing.
    Quiet(Option<Idle>),
    Synfin(Tracer, Duration),
    Other(Background, Duration),
}

/// What came of the watching.
pub(crate) struct Watched {
    /// CPU time from when it had started.
    pub(crate) cpu: Option<Duration>,
    /// What it said.
    pub(crate) output: Option<Output>,
}

impl Contestant {
    pub(crate) const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Idle(Ingress::Tcx),
        Self::Synfin(Ingress::Tcx),
        Self::Idle(Ingress::NativeXdp),
        Self::Synfin(Ingress::NativeXdp),
        Self::Tcpdump,
        Self::Tshark,
    ];

    /// Those whose program is here; the others are named.
    pub(crate) fn present() -> Vec<Self> {
        let mut all = Self::ALL.to_vec();
        all.retain(|one| match one.program() {
            Some(program) if requirement::tool(program).is_none() => {
                eprintln!("{} is left out: there is no {program} here", one.name());
                false
            }
            _ => true,
        });
        all
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => NOTHING,
            Self::Idle(Ingress::Tcx) => IDLE_TCX,
            Self::Idle(Ingress::NativeXdp) => IDLE_XDP,
            Self::Synfin(Ingress::Tcx) => SYNFIN_TCX,
            Self::Synfin(Ingress::NativeXdp) => SYNFIN_XDP,
            Self::Tcpdump => TCPDUMP,
            Self::Tshark => TSHARK,
        }
    }

    /// Whom it is held against.
    pub(crate) const fn references(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Synfin(Ingress::Tcx) => &[NOTHING, IDLE_TCX],
            Self::Synfin(Ingress::NativeXdp) => &[NOTHING, IDLE_XDP],
            Self::Idle(_) | Self::Tcpdump | Self::Tshark => &[NOTHING],
        }
    }

    const fn program(self) -> Option<&'static str> {
        match self {
            Self::Tcpdump => Some("tcpdump"),
            Self::Tshark => Some("tshark"),
            Self::Nothing | Self::Idle(_) | Self::Synfin(_) => None,
        }
    }

    /// Begins to watch.
    pub(crate) fn start(self, link: &Link, bench: &mut Bench) -> Result<Watching> {
        match self {
            Self::Nothing => Ok(Watching::Quiet(None)),
            Self::Idle(ingress) => Ok(Watching::Quiet(Some(bench.idle(link, ingress)?))),
            Self::Synfin(ingress) => {
                let tracer = Tracer::start_muted(&mut trace(link, ingress))?;
                let cpu = cpu_of(tracer.id())?;
                Ok(Watching::Synfin(tracer, cpu))
            }
            Self::Tcpdump => {
                let words = ["-n", "-Z", "root", "-i", NEAR, "-w", "/dev/null", FLAGS];
                other(link, "tcpdump", &words, "listening on")
            }
            Self::Tshark => {
                let words = ["-n", "-i", NEAR, "-w", "/dev/null", "-f", FLAGS];
                other(link, "tshark", &words, "Capturing on")
            }
        }
    }
}

/// The daemon, whose records are in JSON.
pub(crate) fn trace(link: &Link, ingress: Ingress) -> Command {
    let mode = match ingress {
        Ingress::Tcx => "tcx",
        Ingress::NativeXdp => "native",
    };
    let mut command = place::command(&link.near, place::WATCHER, &requirement::daemon());
    command.args(["trace", "-i", NEAR, "--format", "json", "--xdp-mode", mode]);
    command
}

fn other(link: &Link, program: &str, words: &[&str], ready: &str) -> Result<Watching> {
    let mut command = place::command(&link.near, place::WATCHER, Path::new(program));
    let mut process = Background::start_muted(command.args(words))?;
    process.wait_for_stderr(ready, |text| text.find(ready))?;
    // The socket is there; that of tshark belongs to a child, which takes a moment.
    std::thread::sleep(Duration::from_millis(200));
    let cpu = cpu_of(process.id())?;
    Ok(Watching::Other(process, cpu))
}

impl Watching {
    /// The daemon's process.
    pub(crate) fn daemon(&self) -> Option<u32> {
        match self {
            Self::Synfin(tracer, _) => Some(tracer.id()),
            Self::Quiet(_) | Self::Other(..) => None,
        }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Result<Watched> {
        let before = waited_for()?;
        let (output, begin) = match self {
            Self::Quiet(idle) => {
                drop(idle);
                return Ok(Watched {
                    cpu: None,
                    output: None,
                });
            }
            Self::Synfin(tracer, begin) => (tracer.stop()?, begin),
            Self::Other(mut process, begin) => {
                process.signal(Signal::SIGINT)?;
                (process.wait()?, begin)
            }
        };
        let whole = waited_for()?.saturating_sub(before);
        Ok(Watched {
            cpu: Some(whole.saturating_sub(begin)),
            output: Some(output),
        })
    }
}

impl Watched {
    /// What the daemon did not tell of so many connections, so many of them closed by both sides' FINs,
    /// or another one of packets; `None` where nothing is missing.
    pub(crate) fn shortfall(&self, connections: u64, closed: u64) -> Option<String> {
        let output = self.output.as_ref()?;
        if !output.stderr.contains("synfin: ") {
            return dropped(&output.stderr).map(|count| format!("{count} packets were dropped"));
        }
        let count = |name| daemon::count(output, name).unwrap_or(0);
        let told = ["four_way", "three_way", "simultaneous"].map(count);
        let whole = count("established") == connections
            && told.into_iter().sum::<u64>() >= closed
            && count("none") == 0
            && output.stderr.contains("nothing lost");
        (!whole).then(|| {
            format!(
                "of {connections} connections it told:
{}",
                output.stderr
            )
        })
    }
}

/// The count of a line as `5 packets dropped by kernel`, where it is not zero.
fn dropped(said: &str) -> Option<u64> {
    let mut lines = said.lines().filter(|line| line.contains("dropped"));
    lines.find_map(|line| {
        let count = line.split_whitespace().next()?.parse().ok()?;
        (count > 0).then_some(count)
    })
}

/// CPU time of a process and its children so far.
fn cpu_of(pid: u32) -> Result<Duration> {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    let mut sum = Duration::ZERO;
    for pid in children
        .split_whitespace()
        .chain([pid.to_string().as_str()])
    {
        let clock = clock_getcpuclockid(Pid::from_raw(pid.parse()?));
        let clock = clock.context("find the clock of a process")?;
        sum += Duration::from(clock.now().context("read the clock of a process")?);
    }
    Ok(sum)
}

/// CPU time of all processes that were waited for.
fn waited_for() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let sum = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(u64::try_from(
        sum.tv_sec() * 1_000_000 + sum.tv_usec(),
    )?))
}
