//! The list of system calls, held against those that are made: strace records what every live path calls
//! once it is confined. Nothing is missing in the list, and nothing is in it that nobody calls.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use synfin::sandbox::{Task, calls};
use synfin_tests::cases;
use synfin_tests::daemon::{self, REFUSED, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{self, Link, NEAR};
use synfin_tests::process::{self, Background};
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::requirement::{self, tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;
use synfin_tests::wait;

use crate::talk;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon, Tool("strace"), Tool("gzip")];
        all_calls_of_a_tracer_are_on_its_list_and_all_of_the_list_are_made,
        all_calls_of_a_reader_are_on_its_list_and_all_of_the_list_are_made,
    ]
}

fn all_calls_of_a_tracer_are_on_its_list_and_all_of_the_list_are_made() -> Result<()> {
    let scratch = Scratch::new()?;
    let paths: [fn(&Strace) -> Result<()>; 9] = [
        into_a_pipe_until_a_signal,
        into_a_file_for_a_while,
        onto_a_terminal,
        into_a_pipe_that_is_closed,
        into_a_pipe_that_nobody_reads_for_a_while,
        until_the_interface_is_gone,
        by_filters,
        while_interfaces_come_and_go,
        while_an_interface_comes_by_native_xdp,
    ];
    let (mut made, mut made_attaching) = (BTreeSet::new(), BTreeSet::new());
    let mut values = BTreeSet::new();
    for (place, path) in paths.iter().enumerate() {
        let strace = Strace(scratch.file(&format!("trace-{place}")));
        path(&strace)?;
        made.extend(strace.calls(Who::Looker)?);
        if strace.has_attacher()? {
            made_attaching.extend(strace.calls(Who::Attacher)?);
            values.extend(strace.values(Task::Attach, Who::Attacher)?);
        }
    }
    listed(Task::Attach, &made_attaching)?;
    all_values_are_passed(Task::Attach, &values)?;
    compare(Task::Trace { accounts: true }, &made)?;
    // What every task may do, the other process may have done.
    let every = calls(Task::Read);
    made.retain(|name| every.iter().any(|call| call.name == *name));
    made.extend(made_attaching);
    needed(Task::Attach, &made)
}

fn all_calls_of_a_reader_are_on_its_list_and_all_of_the_list_are_made() -> Result<()> {
    let scratch = Scratch::new()?;
    let paths: [fn(&Strace, &Scratch) -> Result<()>; 3] = [
        a_compressed_file,
        a_pipe_until_a_signal,
        a_file_slowly_with_a_bar,
    ];
    let mut made = BTreeSet::new();
    for (place, path) in paths.iter().enumerate() {
        let strace = Strace(scratch.file(&format!("read-{place}")));
        path(&strace, &scratch)?;
        made.extend(strace.calls(Who::Looker)?);
    }
    compare(Task::Read, &made)
}

fn into_a_pipe_until_a_signal(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["--format", "json", "--account"])?;
    let mut tracer = Tracer::start(&mut command, 1)?;
    Wire::of(&link)?.play(&talk::whole(40_000))?;
    tracer.await_connections(1)?;
    daemon::ended_well(&tracer.stop_by(Signal::SIGTERM)?)
}

fn into_a_file_for_a_while(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let file = strace.0.with_extension("out");
    let mut command = strace.trace(&link, &["--duration", "1s", "--summary"])?;
    let mut child = command.stdout(File::create(&file)?).spawn()?;
    let status = wait::until("the end of its time", || Ok(child.try_wait()?))?;
    ensure!(status.success(), "{status}");
    ensure!(fs::metadata(&file)?.len() > 0, "nothing was written");
    Ok(())
}

fn onto_a_terminal(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let (terminal, other) = Terminal::new()?;
    let mut command = strace.trace(&link, &["--format", "ladder", "--count", "1"])?;
    let mut child = command.stdout(other).stderr(Stdio::piped()).spawn()?;
    drop(command);
    let mut stderr = child.stderr.take().context("its standard error")?;
    let mut said = Vec::new();
    wait::until("tracing", || {
        let mut piece = [0; 256];
        let len = stderr.read(&mut piece)?;
        said.extend_from_slice(&piece[..len]);
        Ok(String::from_utf8_lossy(&said)
            .contains("tracing")
            .then_some(()))
    })?;
    Wire::of(&link)?.play(&talk::whole(40_000))?;
    let status = wait::until("the end", || Ok(child.try_wait()?))?;
    stderr.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(
        status.success() && !said.contains(REFUSED),
        "{status}: {said}"
    );
    let shown = terminal.shown()?;
    ensure!(
        shown.contains("established") && shown.contains('\x1b'),
        "{shown}"
    );
    Ok(())
}

fn into_a_pipe_that_is_closed(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["--format", "json"])?;
    let (tracer, stdout) = Tracer::start_unread(&mut command)?;
    drop(stdout);
    Wire::of(&link)?.play(&talk::whole(40_000))?;
    daemon::ended_well(&tracer.finish()?)
}

fn into_a_pipe_that_nobody_reads_for_a_while(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["--format", "json"])?;
    let (mut tracer, mut stdout) = Tracer::start_unread(&mut command)?;
    let wire = Wire::of(&link)?;
    // More than a pipe holds, and more than fits into memory that is there already.
    for port in 0..200 {
        wire.play(&talk::whole(40_000 + port))?;
    }
    for port in 0..5_000 {
        wire.play(&talk::begun(10_000 + port))?;
    }
    thread::sleep(Duration::from_secs(2));
    tracer.signal(Signal::SIGSTOP)?;
    tracer.signal(Signal::SIGCONT)?;
    let mut written = String::new();
    tracer.signal(Signal::SIGINT)?;
    stdout.read_to_string(&mut written)?;
    daemon::ended_well(&tracer.finish()?)?;
    assert_eq!(record::connections(&written)?.len(), 200 + 5_000);
    Ok(())
}

fn until_the_interface_is_gone(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::start(&mut strace.trace(&link, &["--format", "json"])?, 1)?;
    link.near.ip(&["link", "delete", NEAR])?;
    let output = tracer.finish()?;
    let said = &output.stderr;
    ensure!(
        said.contains("is gone") && !said.contains(REFUSED),
        "{said}"
    );
    Ok(())
}

fn by_filters(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["--xdp-mode", "clsact"])?;
    daemon::ended_well(&Tracer::start(&mut command, 1)?.stop()?)
}

fn while_interfaces_come_and_go(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["-i", "any"])?;
    let mut tracer = Tracer::start(&mut command, 1)?;
    link.near.ip(&["link", "set", "lo", "up"])?;
    tracer.await_said("tracing lo: ", 1)?;
    link.near.ip(&["tuntap", "add", "tun0", "mode", "tun"])?;
    link.near.ip(&["link", "set", "tun0", "up"])?;
    tracer.await_said("tracing tun0: ", 1)?;
    link.near.ip(&["link", "delete", NEAR])?;
    tracer.await_said(&format!("the interface {NEAR} is gone"), 1)?;
    daemon::ended_well(&tracer.stop()?)
}

fn while_an_interface_comes_by_native_xdp(strace: &Strace) -> Result<()> {
    let link = Link::silent()?;
    let mut command = strace.trace(&link, &["-i", "any", "--xdp-mode", "native"])?;
    let mut tracer = Tracer::start(&mut command, 1)?;
    netns::connect((&link.near, "later0"), (&link.far, "later1"))?;
    link.near.ip(&["link", "set", "later0", "up"])?;
    tracer.await_said("tracing later0: native XDP", 1)?;
    daemon::ended_well(&tracer.stop()?)
}

fn a_compressed_file(strace: &Strace, scratch: &Scratch) -> Result<()> {
    let file = talk::captured(scratch, 100)?;
    process::succeed(Command::new("gzip").arg("-kf").arg(&file))?;
    let file = file.with_extension("pcap.gz");
    let output = process::run(strace.read()?.arg(file))?;
    daemon::ended_well(&output)?;
    assert_eq!(record::connections(&output.stdout)?.len(), 100);
    Ok(())
}

fn a_pipe_until_a_signal(strace: &Strace, scratch: &Scratch) -> Result<()> {
    let octets = fs::read(talk::captured(scratch, 1)?)?;
    let pipe = strace.0.with_extension("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    let mut reader = Background::start(strace.read()?.arg(&pipe))?;
    let mut input = File::options().write(true).open(&pipe)?;
    std::io::Write::write_all(&mut input, &octets)?;
    // Its first threads are there, and so the handler of signals is.
    await_lanes(reader.id())?;
    reader.signal(Signal::SIGINT)?;
    let output = reader.wait()?;
    drop(input);
    daemon::ended_well(&output)
}

/// Waits until a reader has the threads that follow connections.
fn await_lanes(pid: u32) -> Result<()> {
    wait::until("the lanes", || {
        let threads = synfin_tests::privileges::of(pid)?;
        let lane = threads.iter().any(|thread| thread.name == "lane");
        Ok(lane.then_some(()))
    })
}

/// More records than the queue to a reader holds, who lets a second pass before it reads: a bar appears.
fn a_file_slowly_with_a_bar(strace: &Strace, scratch: &Scratch) -> Result<()> {
    // Now and then it has read everything before it is stopped.
    for _ in 0..20 {
        if a_file_with_a_bar(strace, scratch)? {
            return Ok(());
        }
    }
    anyhow::bail!("no bar")
}

/// Whether there was a bar.
fn a_file_with_a_bar(strace: &Strace, scratch: &Scratch) -> Result<bool> {
    let file = talk::captured(scratch, 25_000)?;
    let (terminal, other) = Terminal::new()?;
    let mut command = strace.read()?;
    let mut child = command
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(other)
        .spawn()?;
    drop(command);
    let mut stdout = child.stdout.take().context("its output")?;
    // However quick the reader is, it has taken over a second then.
    let reader = Pid::from_raw(i32::try_from(child.id())?);
    await_lanes(child.id())?;
    kill(reader, Signal::SIGSTOP)?;
    thread::sleep(Duration::from_millis(1_500));
    kill(reader, Signal::SIGCONT)?;
    let mut written = String::new();
    stdout.read_to_string(&mut written)?;
    let status = wait::until("the end", || Ok(child.try_wait()?))?;
    let shown = terminal.shown()?;
    ensure!(
        status.success() && !shown.contains(REFUSED),
        "{status}: {shown}"
    );
    assert_eq!(record::connections(&written)?.len(), 25_000);
    Ok(shown.contains(" left"))
}

/// A record of system calls.
pub(crate) struct Strace(pub(crate) PathBuf);

impl Strace {
    fn trace(&self, link: &Link, arguments: &[&str]) -> Result<Command> {
        let strace = tool("strace").context("find strace")?;
        let mut command = link.near.command(strace);
        self.record(&mut command);
        command.args(["trace", "-i", NEAR]).args(arguments);
        Ok(command)
    }

    fn read(&self) -> Result<Command> {
        let mut command = Command::new(tool("strace").context("find strace")?);
        self.record(&mut command);
        command.args(["read", "--format", "json"]);
        Ok(command)
    }

    /// The process is the daemon's own: strace goes aside.
    pub(crate) fn record(&self, command: &mut Command) {
        command.args(["-D", "-f", "-qq", "-e"]);
        command.arg(format!("raw={}", RAW.join(",")));
        command.arg("-o").arg(&self.0);
        command.arg(requirement::daemon());
    }

    fn has_attacher(&self) -> Result<bool> {
        let record = fs::read_to_string(&self.0).context("read what strace recorded")?;
        Ok(record.contains(ATTACHER))
    }

    /// The names of the calls that one of the processes made since its filter was installed.
    pub(crate) fn calls(&self, who: Who) -> Result<BTreeSet<String>> {
        let lines = self.lines(who)?;
        let names = lines.iter().filter_map(|line| name(line));
        Ok(names.map(str::to_owned).collect())
    }

    /// The values of arguments that it passed, of calls that may have some values only.
    fn values(&self, task: Task, who: Who) -> Result<BTreeSet<Value>> {
        let mut values = BTreeSet::new();
        let list = calls(task);
        for line in self.lines(who)? {
            let call = list.iter().find(|call| name(&line) == Some(call.name));
            let Some((name, (index, _))) = call.and_then(|call| Some((call.name, call.values()?)))
            else {
                continue;
            };
            if RAW.contains(&name) {
                let value = argument(&line, index.into()).with_context(|| line.clone())?;
                values.insert((name, value));
            }
        }
        Ok(values)
    }

    /// The lines of what one of the processes called since its filter was installed.
    fn lines(&self, who: Who) -> Result<Vec<String>> {
        // strace ends after what it records.
        let record = wait::until("the end of a record", || {
            let record = fs::read_to_string(&self.0).context("read what strace recorded")?;
            let processes = 1 + usize::from(record.contains(ATTACHER));
            let ended = record.matches("exit_group(").count();
            Ok((ended >= processes).then_some(record))
        })?;
        let lines = record.lines().filter_map(|line| line.split_once(' '));
        let attacher = lines.clone().find(|(_, call)| call.contains(ATTACHER));
        let attacher = attacher.map(|(pid, _)| pid);
        let mut lines = lines.filter(|(pid, _)| (Some(*pid) == attacher) == (who == Who::Attacher));
        let filters = (lines.by_ref()).filter(|(_, call)| call.contains("SECCOMP_SET_MODE_FILTER"));
        ensure!(
            filters.take(2).count() == 2,
            "no filter of {who:?} in {record}"
        );
        // What libraries want to open and can do without is refused without a word.
        let needless = ["/proc/sys/vm/overcommit_memory", "/dev/tty"];
        let lines = lines.filter(|(_, call)| !needless.iter().any(|file| call.contains(file)));
        Ok(lines.map(|(_, call)| call.trim().to_owned()).collect())
    }
}

/// Calls whose arguments are recorded as numbers: what may be asked of the kernel depends on them.
const RAW: [&str; 3] = ["bpf", "ioctl", "socket"];

/// The name of a call, and what it was called with.
type Value = (&'static str, u64);

/// An argument in a line of a record, which has it as a number.
fn argument(line: &str, index: usize) -> Option<u64> {
    let (_, arguments) = line.split_once('(')?;
    let argument = arguments.split(", ").nth(index)?;
    let digits = argument.trim_start_matches("0x");
    let end = digits.find(|letter: char| !letter.is_ascii_hexdigit());
    u64::from_str_radix(&digits[..end.unwrap_or(digits.len())], 16).ok()
}

/// That each value that an argument may have is one that it had.
fn all_values_are_passed(task: Task, passed: &BTreeSet<Value>) -> Result<()> {
    let mut unpassed = Vec::new();
    for call in calls(task).iter().filter(|call| RAW.contains(&call.name)) {
        let (_, values) = call.values().context("it may have any value")?;
        let values = values.iter().map(|value| (call.name, *value));
        unpassed.extend(values.filter(|value| !passed.contains(value)));
    }
    ensure!(
        unpassed.is_empty(),
        "on the list of {task:?}, and not passed on any path: {unpassed:?}"
    );
    Ok(())
}

/// Whose calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// That of the process that looks at what comes from outside.
    Looker,
    /// That of the one that attaches.
    Attacher,
}

/// What the process that attaches calls itself.
const ATTACHER: &str = "synfin-attach";

/// The name of a call that begins in this line of a record.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    let is_name = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    is_name.then_some(name)
}

pub(crate) fn compare(task: Task, made: &BTreeSet<String>) -> Result<()> {
    listed(task, made)?;
    needed(task, made)
}

fn needed(task: Task, made: &BTreeSet<String>) -> Result<()> {
    let list = calls(task);
    let unmade = list
        .iter()
        .filter(|call| call.elsewhere.is_none() && !made.contains(call.name));
    let unmade: Vec<_> = unmade.map(|call| call.name).collect();
    ensure!(
        unmade.is_empty(),
        "on the list of {task:?}, and not made by any path: {unmade:?}"
    );
    Ok(())
}

fn listed(task: Task, made: &BTreeSet<String>) -> Result<()> {
    let list = calls(task);
    let is_listed = |name: &&String| list.iter().any(|call| call.name == **name);
    let unlisted: Vec<_> = made.iter().filter(|name| !is_listed(name)).collect();
    ensure!(
        unlisted.is_empty(),
        "made, and not on the list of {task:?}: {unlisted:?}"
    );
    Ok(())
}

/// A terminal, and what was written to it.
struct Terminal(thread::JoinHandle<String>);

impl Terminal {
    /// Gives the end that a program writes to as well.
    fn new() -> Result<(Self, OwnedFd)> {
        let pty = openpty(None, None).context("make a terminal")?;
        let mut master = File::from(pty.master);
        let reader = thread::spawn(move || {
            let mut shown = Vec::new();
            let mut piece = [0; 4096];
            // Once nobody can write to it any more, reading fails.
            while let Ok(len @ 1..) = master.read(&mut piece) {
                shown.extend_from_slice(&piece[..len]);
            }
            String::from_utf8_lossy(&shown).into_owned()
        });
        Ok((Self(reader), pty.slave))
    }

    fn shown(self) -> Result<String> {
        wait::until("the end of what a terminal shows", || {
            Ok(self.0.is_finished().then_some(()))
        })?;
        self.0
            .join()
            .map_err(|_| anyhow::anyhow!("the terminal's reader panicked"))
    }
}
