//! What goes wrong around synfin has a defined outcome: the output is not read or has no room, the clock
//! is another one, memory lacks, the wish to end comes too early, more connections than fit.

use std::fs;
use std::io::Read as _;
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use synfin_tests::bpf;
use synfin_tests::cases;
use synfin_tests::cgroup::MemoryGroup;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{self, Link, NEAR, Namespace};
use synfin_tests::process::{self, Output};
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, MemoryGroup as Group, Root, Tool};
use synfin_tests::requirement::has_tcx;
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;
use synfin_tests::wait;

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        what_a_reader_that_stops_leaves_no_room_for_is_counted,
        a_full_disk_ends_it_with_an_error_and_leaves_nothing,
        past_the_limit_of_connections_the_oldest_are_given_out_and_counted,
        a_termination_while_it_loads_leaves_nothing,
        a_termination_while_it_attaches_leaves_nothing,
    ];
    let clocks = cases![&[Root, Daemon, Tool("unshare")];
        in_another_time_namespace_times_are_those_of_the_wall_clock,
    ];
    let memory = cases![&[Root, Daemon, Group]; where_memory_lacks_it_says_what_to_lower];
    [plain, clocks, memory].concat()
}

/// Connections that are over, from clients of these ports.
fn talks(ports: std::ops::Range<u16>) -> Vec<Conversation> {
    let talk = |port| {
        let client = ([10, 1, 1, 2], port).into();
        let server = ([10, 1, 1, 1], 80).into();
        let talk = Conversation::between((client, 1_000), (server, 2_000)).open();
        talk.data(Sender::Client, 5).close(Sender::Client)
    };
    ports.map(talk).collect()
}

fn what_a_reader_that_stops_leaves_no_room_for_is_counted() -> Result<()> {
    const AT_ONCE: u16 = 100;
    let link = Link::silent()?;
    let words = ["trace", "-i", NEAR, "--format", "json", "--follow"];
    let arguments = [&words[..], &["--output-queue", "64K"]].concat();
    let (mut tracer, mut stdout) =
        Tracer::start_unread(&mut daemon::command(&link.near, &arguments))?;
    let wire = Wire::of(&link)?;
    // What the pipe and the queue hold is soon used up.
    let mut port = 1_000;
    wait::until("records to be dropped", || {
        wire.mirror(&talks(port..port + AT_ONCE))?;
        port += AT_ONCE;
        let said = tracer.stderr();
        Ok(said
            .contains("the output is not read fast enough")
            .then_some(()))
    })?;
    tracer.signal(Signal::SIGINT)?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let output = tracer.finish()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let text = reader.join().ok().context("the reader panicked")??;
    let told = u64::try_from(record::parse(&text)?.len())?;
    ensure!(text.ends_with('\n'), "the last record is cut: {text:.100}");
    let dropped = daemon::count(&output, "records_dropped").context("how many were dropped")?;
    // Each event is a step, and each connection a record.
    let events = daemon::count(&output, "events").context("how many events there were")?;
    let connections = u64::from(port - 1_000);
    assert_eq!(daemon::count(&output, "established"), Some(connections));
    assert_eq!(told + dropped, events + connections);
    Ok(())
}

fn a_full_disk_ends_it_with_an_error_and_leaves_nothing() -> Result<()> {
    for mode in daemon::modes() {
        let link = Link::silent()?;
        let before = bpf::programs();
        let scratch = Scratch::new()?;
        let words = ["trace", "-i", NEAR, "--format", "json", "--xdp-mode", mode];
        let traced = daemon::command(&link.near, &words);
        // `ip` has made a mount namespace of its own, with which the disk is gone.
        let script = "mount -t tmpfs -o size=64k none \"$0\" && exec \"$@\" >\"$0/records\"";
        let mut command = link.near.command("sh");
        command.args(["-c", script]).arg(scratch.path());
        command.args(program_of(&traced));
        let tracer = Tracer::start(&mut command, 1)?;
        let held = bpf::held_by(tracer.id())?;
        let disk = format!("/proc/{}/root{}", tracer.id(), scratch.path().display());
        let wire = Wire::of(&link)?;
        wire.mirror(&talks(1_000..1_010))?;
        wait::until("the first records", || {
            let file = fs::metadata(format!("{disk}/records"))?;
            Ok((file.len() > 0).then_some(()))
        })?;
        wire.mirror(&talks(2_000..2_100))?;
        let output = tracer.finish()?;
        assert_eq!(output.status.code(), Some(1), "{mode}");
        failed(&output, &["standard output", "No space left"])?;
        // What was told of is in the summary, and what was not written as well.
        assert_eq!(daemon::count(&output, "established"), Some(110), "{mode}");
        let lost = daemon::count(&output, "records_dropped");
        ensure!(lost.is_some(), "{mode}: {}", output.stderr);
        bpf::await_nothing_left(&before, &held)?;
    }
    Ok(())
}

/// What runs inside of a namespace: the program and its arguments.
fn program_of(command: &Command) -> impl Iterator<Item = &std::ffi::OsStr> {
    // Before it are `netns exec NAME`.
    command.get_args().skip(3)
}

fn in_another_time_namespace_times_are_those_of_the_wall_clock() -> Result<()> {
    let link = Link::silent()?;
    let words = ["trace", "-i", NEAR, "--format", "json", "--count", "2"];
    let traced = daemon::command(&link.near, &words);
    let mut command = link.near.command("unshare");
    command.args(["--time", "--monotonic", "86400", "--fork", "--kill-child"]);
    command.args(program_of(&traced));
    let before = unix_ns()?;
    let tracer = Tracer::start(&mut command, 1)?;
    let wire = Wire::of(&link)?;
    // The second one waits for an answer that does not come at once.
    wire.mirror(&talks(1_000..1_001))?;
    wire.play(&talks(1_001..1_002).remove(0))?;
    let output = tracer.finish()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let told = record::connections(&output.stdout)?;
    assert_eq!(told.len(), 2);
    for connection in &told {
        assert_eq!(connection.open.outcome, "established");
        assert_eq!(connection.close.kind, "four_way");
        ensure!(
            (before..=unix_ns()?).contains(&connection.start.as_nanosecond()),
            "it began at {}, and the test {before} ns after the epoch",
            connection.start
        );
    }
    Ok(())
}

fn unix_ns() -> Result<i128> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i128::try_from(since.as_nanos())?)
}

fn where_memory_lacks_it_says_what_to_lower() -> Result<()> {
    const ROOM: u64 = 48 << 20;
    let account = ["--account", "--account-size", "4194304"];
    for words in [
        &["--table-size", "4194304"][..],
        &["--ring-size", "256M"],
        &["--watch-slots", "16777216"],
        &account,
    ] {
        let flag = words.iter().rev().find(|word| word.starts_with("--"));
        let link = Link::silent()?;
        let before = bpf::programs();
        let group = MemoryGroup::new(ROOM)?;
        let small = ["trace", "-i", NEAR, "--ring-size", "64K"];
        let small = small.into_iter().filter(|word| {
            // No flag is given twice.
            let ring = words.contains(&"--ring-size");
            !ring || !["--ring-size", "64K"].contains(word)
        });
        let arguments: Vec<&str> = small.chain(words.iter().copied()).collect();
        let command = daemon::command(&link.near, &arguments);
        let output = process::run(&mut group.command(&command))?;
        failed(
            &output,
            &[
                "no memory for the map",
                &format!("lower {}", flag.context("a flag")?),
            ],
        )?;
        bpf::await_nothing_left(&before, &Default::default())?;
    }
    Ok(())
}

fn past_the_limit_of_connections_the_oldest_are_given_out_and_counted() -> Result<()> {
    const LIMIT: u16 = 10;
    const ALL: u16 = 30;
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--max-connections", &LIMIT.to_string()])?;
    let wire = Wire::of(&link)?;
    for port in 1_000..1_000 + ALL {
        let client = ([10, 1, 1, 2], port).into();
        let server = ([10, 1, 1, 1], 80).into();
        wire.play(&Conversation::between((client, 1_000), (server, 2_000)).open())?;
    }
    let output = tracer.stop()?;
    let told = record::connections(&output.stdout)?;
    let evicted = u64::from(ALL - LIMIT);
    assert_eq!(daemon::count(&output, "connections_evicted"), Some(evicted));
    let open = |connection: &record::Connection| {
        connection.open.outcome == "established" && connection.close.kind == "none"
    };
    ensure!(told.iter().all(open), "they are open: {told:?}");
    let ports = told.iter().map(|connection| connection.client.port);
    let ports: Vec<u16> = ports.take(usize::from(ALL - LIMIT)).collect();
    assert!(
        ports.iter().copied().eq(1_000..1_000 + ALL - LIMIT),
        "{ports:?}"
    );
    assert_eq!(told.len(), usize::from(ALL));
    Ok(())
}

fn a_termination_while_it_loads_leaves_nothing() -> Result<()> {
    let link = Link::silent()?;
    ended_early(&link.near, &[NEAR], |tracer| {
        wait::until("the first map", || {
            let held = bpf::held_by(tracer.id())?;
            Ok(held.iter().any(|(kind, _)| *kind == "map").then_some(()))
        })
    })
}

fn a_termination_while_it_attaches_leaves_nothing() -> Result<()> {
    const PAIRS: usize = 16;
    let namespace = Namespace::new()?;
    let names: Vec<[String; 2]> = (0..PAIRS)
        .map(|number| [format!("a{number}"), format!("b{number}")])
        .collect();
    for [one, other] in &names {
        netns::connect((&namespace, one), (&namespace, other))?;
    }
    let names: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
    ended_early(&namespace, &names, |tracer| {
        wait::until("the first interface", || {
            let attached = if has_tcx() {
                let held = bpf::held_by(tracer.id())?;
                held.iter().any(|(kind, _)| *kind == "link")
            } else {
                // Nobody holds a filter.
                let mut qdiscs = namespace.command("tc");
                process::succeed(qdiscs.args(["qdisc", "show"]))?.contains("clsact")
            };
            Ok(attached.then_some(()))
        })
    })
}

fn ended_early(
    namespace: &Namespace,
    interfaces: &[&str],
    moment: impl Fn(&Tracer) -> Result<()>,
) -> Result<()> {
    let before = bpf::programs();
    let mut command = daemon::command(namespace, &["trace"]);
    for interface in interfaces {
        command.args(["-i", interface]);
    }
    let mut tracer = Tracer::start(&mut command, 0)?;
    wait::until("the daemon", || {
        Ok(daemon::is_daemon(tracer.id())?.then_some(()))
    })?;
    moment(&tracer)?;
    let held = bpf::held_by(tracer.id())?;
    tracer.signal(Signal::SIGTERM)?;
    let output = tracer.finish()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    assert_eq!(output.stdout, "");
    let traced = output.stderr.matches("synfin: tracing").count();
    ensure!(
        interfaces.len() == 1 || traced < interfaces.len(),
        "it went on to attach to all {traced} interfaces"
    );
    bpf::await_nothing_left(&before, &held)
}

fn failed(output: &Output, named: &[&str]) -> Result<()> {
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let error = (output.stderr.lines()).find(|line| line.starts_with("synfin: error: "));
    let error = error.with_context(|| format!("no error was told: {}", output.stderr))?;
    for name in named {
        ensure!(error.contains(name), "{name:?} is not in {error:?}");
    }
    Ok(())
}
