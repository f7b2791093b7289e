//! The process that attaches: there where it is needed, apart from the one that reads, with what it needs
//! and no more; and whichever of both ends, and how, nothing stays.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use synfin_tests::bpf::{self, Loaded};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::process::is_gone;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::suite::Case;
use synfin_tests::{cases, privileges, wait};

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF (linux/capability.h).
const KEPT: u64 = 1 << 12 | 1 << 38 | 1 << 39;
/// What takes a process that attaches: interfaces that come later, and filters that no link holds.
const NEEDY: [&[&str]; 2] = [&["-i", "any"], &["-i", NEAR, "--xdp-mode", "clsact"]];

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        one_interface_by_links_needs_no_second_process,
        two_interfaces_need_one_since_each_can_come_back,
        the_process_that_attaches_has_what_that_takes_and_the_other_one_nothing,
        without_sandbox_both_stay_what_they_were,
    ];
    let bare = cases![&[Root, Daemon, Tool("bpftool"), Tool("tc")];
        a_signal_to_both_ends_both_in_good_order,
        when_the_process_that_reads_is_killed_the_other_one_lets_go_and_ends,
        when_the_process_that_attaches_is_killed_the_other_one_says_so_and_ends,
    ];
    [plain, bare].concat()
}

fn one_interface_by_links_needs_no_second_process() -> Result<()> {
    for mode in daemon::modes().into_iter().filter(|mode| *mode != "clsact") {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        assert_eq!(tracer.attacher()?, None, "{mode}");
        tracer.stop()?;
    }
    Ok(())
}

fn two_interfaces_need_one_since_each_can_come_back() -> Result<()> {
    let link = Link::silent()?;
    let tracer = trace(&link, &["-i", NEAR, "-i", "lo"], 2)?;
    ensure!(tracer.attacher()?.is_some(), "nobody attaches");
    tracer.stop().map(drop)
}

fn the_process_that_attaches_has_what_that_takes_and_the_other_one_nothing() -> Result<()> {
    let link = Link::silent()?;
    let mut tracer = trace(&link, &["-i", "any"], 1)?;
    // Another kind than those before: its programs are loaded now.
    link.near.ip(&["tuntap", "add", "tun0", "mode", "tun"])?;
    link.near.ip(&["link", "set", "tun0", "up"])?;
    tracer.await_said("tracing tun0: ", 1)?;
    privileges::ensure_none(&privileges::of(tracer.id())?, false)?;
    let attacher = tracer.attacher()?.context("nobody attaches")?;
    let [thread] = &privileges::of(attacher)?[..] else {
        bail!("more than one thread");
    };
    assert_eq!(thread.name, "synfin-attach");
    assert_eq!(thread.capabilities, [0, KEPT, KEPT, 0, 0]);
    ensure!(thread.users.iter().all(|user| *user != 0), "{thread:?}");
    ensure!(thread.filtered && thread.no_new_privs, "{thread:?}");
    tracer.stop().map(drop)
}

fn without_sandbox_both_stay_what_they_were() -> Result<()> {
    let link = Link::silent()?;
    let tracer = trace(&link, &["-i", "any", "--no-sandbox"], 1)?;
    let attacher = tracer.attacher()?.context("nobody attaches")?;
    for thread in [privileges::of(tracer.id())?, privileges::of(attacher)?].concat() {
        ensure!(!thread.filtered && thread.users == [0; 4], "{thread:?}");
    }
    tracer.stop().map(drop)
}

fn a_signal_to_both_ends_both_in_good_order() -> Result<()> {
    for words in NEEDY {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let traced = Traced::start(words)?;
            // As a terminal and a service manager do it: to both at once.
            traced.tracer.signal_attacher(signal)?;
            let output = traced.tracer.stop_by(signal)?;
            ensure!(!output.stderr.contains("attaches"), "{}", output.stderr);
            ensure!(is_gone(&traced.attacher.to_string()), "{words:?}");
            bpf::ensure_bare(&traced.link.near, NEAR)?;
            bpf::await_nothing_left(&traced.before, &traced.held)?;
        }
    }
    Ok(())
}

fn when_the_process_that_reads_is_killed_the_other_one_lets_go_and_ends() -> Result<()> {
    for words in NEEDY {
        let traced = Traced::start(words)?;
        traced.tracer.kill()?;
        wait::until("the end of the process that attaches", || {
            Ok(is_gone(&traced.attacher.to_string()).then_some(()))
        })?;
        bpf::ensure_bare(&traced.link.near, NEAR)?;
        bpf::await_nothing_left(&traced.before, &traced.held)?;
    }
    Ok(())
}

fn when_the_process_that_attaches_is_killed_the_other_one_says_so_and_ends() -> Result<()> {
    for words in NEEDY {
        let traced = Traced::start(words)?;
        traced.tracer.signal_attacher(Signal::SIGKILL)?;
        let output = traced.tracer.finish()?;
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        let said = output
            .stderr
            .contains("error: the process that attaches has ended");
        ensure!(said, "{}", output.stderr);
        if words.contains(&"clsact") {
            // Nobody was left who could.
            daemon::run(&traced.link.near, &["detach"])?;
        }
        bpf::ensure_bare(&traced.link.near, NEAR)?;
        bpf::await_nothing_left(&traced.before, &traced.held)?;
    }
    Ok(())
}

/// A tracer with a process that attaches.
struct Traced {
    link: Link,
    tracer: Tracer,
    attacher: u32,
    /// The programs that were there before, and what the process that attaches holds.
    before: BTreeSet<Loaded>,
    held: BTreeSet<Loaded>,
}

impl Traced {
    fn start(words: &[&str]) -> Result<Self> {
        let link = Link::silent()?;
        let before = bpf::programs();
        let tracer = trace(&link, words, 1)?;
        let attacher = tracer.attacher()?.context("nobody attaches")?;
        let held = bpf::held_by(attacher)?;
        ensure!(!held.is_empty(), "the process that attaches holds nothing");
        Ok(Self {
            link,
            tracer,
            attacher,
            before,
            held,
        })
    }
}

fn trace(link: &Link, words: &[&str], interfaces: usize) -> Result<Tracer> {
    let words = [&["trace", "--format", "json"], words].concat();
    Tracer::start(&mut daemon::command(&link.near, &words), interfaces)
}
