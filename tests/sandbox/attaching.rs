//! The process that attaches: apart from the one that reads, with what it needs and no more.

use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use synfin::attach::{Device, LinkHeader, LoadOptions, Programs, XdpChoice};
use synfin::sandbox::attacher::{self, Confine, Teller};
use synfin::sandbox::{self, Plan, Task};
use synfin_tests::netns::{FAR, Link, NEAR, Namespace};
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;
use synfin_tests::{bpf, cases, privileges, requirement, wait};
use tokio::signal::unix::{SignalKind, signal};

use crate::inside;

/// An interface that is not there at first.
const LATER: &str = "later0";
/// CAP_NET_ADMIN and CAP_BPF (linux/capability.h).
const KEPT: u64 = 1 << 12 | 1 << 39;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, BpfObject];
        an_interface_that_comes_later_is_attached_to_for_a_process_without_rights,
        when_the_process_ends_in_good_order_it_is_detached_from,
        when_the_process_is_killed_it_is_detached_from,
    ]
}

fn an_interface_that_comes_later_is_attached_to_for_a_process_without_rights() -> Result<()> {
    let link = Link::silent()?;
    let (mut process, mut said) = start(&link.near)?;
    let result = (|| {
        make(&link.near)?;
        expect(&mut said, "attached later0: TCX ingress, TCX egress")?;
        privileges::ensure_none(&privileges::of(process.id())?, false)?;
        let attacher = child_of(process.id())?;
        let [thread] = &privileges::of(attacher)?[..] else {
            bail!("more than one thread");
        };
        assert_eq!(thread.name, "synfin-attach");
        assert_eq!(thread.capabilities, [0, KEPT, KEPT, 0, 0]);
        ensure!(thread.users.iter().all(|user| *user != 0), "{thread:?}");
        ensure!(thread.filtered && thread.no_new_privs, "{thread:?}");
        Ok(())
    })();
    end(&mut process)?;
    result
}

fn when_the_process_ends_in_good_order_it_is_detached_from() -> Result<()> {
    let link = Link::silent()?;
    let (mut process, mut said) = start(&link.near)?;
    make(&link.near)?;
    expect(&mut said, "attached later0: TCX ingress, TCX egress")?;
    // As a service manager does it: to both at once.
    for pid in [process.id(), child_of(process.id())?] {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
    }
    expect(&mut said, "let go: true")?;
    let status = wait::until("its end", || Ok(process.try_wait()?))?;
    ensure!(status.success(), "{status}");
    bpf::ensure_bare(&link.near, LATER)
}

fn when_the_process_is_killed_it_is_detached_from() -> Result<()> {
    let link = Link::silent()?;
    let before = bpf::programs();
    let (mut process, mut said) = start(&link.near)?;
    make(&link.near)?;
    expect(&mut said, "attached later0: TCX ingress, TCX egress")?;
    let held = bpf::held_by(child_of(process.id())?)?;
    ensure!(!held.is_empty(), "the process that attaches holds nothing");
    end(&mut process)?;
    bpf::await_nothing_left(&before, &held)?;
    bpf::ensure_bare(&link.near, LATER)
}

/// Starts the part inside the namespace; gives what it says.
fn start(namespace: &Namespace) -> Result<(Child, BufReader<ChildStdout>)> {
    let part = inside::command("attacher")?;
    let mut command = namespace.command(part.get_program());
    let object = requirement::bpf_object();
    command.args(part.get_args()).arg(object);
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = process.stdout.take().context("its output")?;
    let mut said = BufReader::new(said);
    if let Err(error) = expect(&mut said, "confined") {
        end(&mut process)?;
        return Err(error);
    }
    Ok((process, said))
}

fn end(process: &mut Child) -> Result<()> {
    process.kill()?;
    process.wait()?;
    Ok(())
}

fn make(namespace: &Namespace) -> Result<()> {
    namespace.ip(&[
        "link", "add", LATER, "type", "veth", "peer", "name", "later1",
    ])
}

/// The next line, which ends with the process at the latest.
fn expect(said: &mut BufReader<ChildStdout>, words: &str) -> Result<()> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    ensure!(
        line.trim_end() == words,
        "it said {line:?}, and not {words:?}"
    );
    Ok(())
}

fn child_of(pid: u32) -> Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    children
        .trim()
        .parse()
        .with_context(|| format!("one child and not {children:?}"))
}

/// The part: a confined process, and the one that attaches for it.
pub(crate) fn attach_later(words: &[String]) -> Result<()> {
    let [object] = words else {
        bail!("where is the object?");
    };
    ensure!(
        if_nametoindex(NEAR).is_ok() && if_nametoindex(FAR).is_err(),
        "in which namespace?"
    );
    let mut programs = Programs::load_object(&std::fs::read(object)?, &LoadOptions::default())?;
    let started = attacher::start::<String>(
        Confine::As(None),
        |_| (),
        move |teller| watch(&mut programs, teller),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut attacher = started.listen()?;
        let mut stop = signal(SignalKind::terminate())?;
        sandbox::confine(&Plan {
            user: None,
            task: Task::Trace { accounts: false },
            keep: Vec::new(),
        })?;
        inside::tell("confined")?;
        let message = attacher
            .message()
            .await?
            .context("the process that attaches ended")?;
        inside::tell(&message)?;
        stop.recv().await;
        let gone = attacher.finish().await;
        inside::tell(&format!("let go: {gone}"))
    })
}

/// In the process that attaches: waits for the interface, attaches, and holds on until it is to end.
fn watch(programs: &mut Programs, teller: Teller<String>) {
    let index = loop {
        match if_nametoindex(LATER) {
            Ok(index) => break index,
            Err(_) if ended(&teller, PollTimeout::ZERO) => return,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    let device = Device {
        name: LATER.into(),
        index,
        kind: Some("veth".into()),
        loopback: false,
        header: LinkHeader::Ethernet,
    };
    let told = match programs.attach(&device, XdpChoice::Tcx, true) {
        Ok(attachment) => format!("attached {attachment}"),
        Err(error) => format!("refused {error}"),
    };
    if teller.tell(&told) {
        ended(&teller, PollTimeout::NONE);
    }
}

fn ended(teller: &Teller<String>, patience: PollTimeout) -> bool {
    let mut end = [PollFd::new(teller.end().as_fd(), PollFlags::POLLIN)];
    poll(&mut end, patience).is_ok_and(|ready| ready > 0)
}
