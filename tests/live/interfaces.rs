//! Several interfaces at once, `-i any`, and whatever can happen to an interface while it is traced.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use synfin_tests::bpf;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Namespace, connect};
use synfin_tests::process::{self, Output};
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::services;
use synfin_tests::suite::Case;
use synfin_tests::wait;

/// Pairs of interfaces that come and go.
const SOME: usize = 50;
/// Lines of `ip` that a process runs.
const AT_ONCE: usize = 15;
/// Pairs whose messages are more than a socket has room for.
const MANY: usize = 200;

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        any_traces_what_is_there_and_what_comes,
        any_shows_each_connection_over_loopback_once,
        any_waits_where_no_interface_is_left,
        any_says_once_why_an_interface_is_not_traced_and_goes_on,
        an_interface_that_goes_down_is_traced_again_when_it_comes_up,
        a_renamed_interface_is_traced_on_under_its_new_name,
        an_interface_that_comes_back_under_its_name_is_traced_again,
        an_interface_that_leaves_a_bridge_is_not_gone,
        nothing_is_held_of_interfaces_that_are_gone,
        what_changed_while_messages_were_missed_is_found_out,
    ];
    let bare = cases![&[Root, Daemon, Tool("bpftool"), Tool("tc")];
        an_interface_that_moves_to_another_namespace_is_let_go_of,
    ];
    [plain, bare].concat()
}

fn any_traces_what_is_there_and_what_comes() -> Result<()> {
    let place = Place::new(&["near0"])?;
    let mut tracer = place.trace(&["-i", "any"], 2)?;
    place.wire("near1")?;
    tracer.await_said("tracing near1: ", 1)?;
    place.talk("near0", 40_000)?;
    place.talk("near1", 40_001)?;
    let (connections, output) = told(tracer, 2)?;
    assert_eq!(
        seen_on(&connections),
        [(40_000, "near0"), (40_001, "near1")]
    );
    for interface in ["lo", "near0", "near1"] {
        assert_eq!(
            said(&output, &format!("tracing {interface}: ")),
            1,
            "{interface}"
        );
    }
    Ok(())
}

fn any_shows_each_connection_over_loopback_once() -> Result<()> {
    let place = Place::new(&[])?;
    let mut tracer = place.trace(&["-i", "any"], 1)?;
    let home = "127.0.0.1".parse()?;
    let listener = services::listen(&place.near, home, 80)?;
    let server = place.near.spawn(move || {
        let (mut stream, _) = listener.accept()?;
        Ok(stream.read_to_end(&mut Vec::new())?)
    });
    let mut client = services::connect(&place.near, home, 80)?;
    client.write_all(b"hello")?;
    drop(client);
    assert_eq!(server.finish()?, 5);
    tracer.await_connections(1)?;
    let output = tracer.stop()?;
    let [connection] = &record::connections(&output.stdout)?[..] else {
        anyhow::bail!("not one connection: {}", output.stdout);
    };
    assert_eq!(connection.interface, "lo");
    assert_eq!(connection.open.outcome, "established");
    assert_eq!(connection.open.syn_retries, 0);
    assert!(connection.anomalies.is_empty(), "{connection:?}");
    Ok(())
}

fn any_waits_where_no_interface_is_left() -> Result<()> {
    let place = Place::new(&[])?;
    place.near.ip(&["link", "set", "lo", "down"])?;
    let mut tracer = place.trace(&["-i", "any"], 0)?;
    tracer.await_said("no interface is up yet", 1)?;
    for times in 1..=2 {
        place.wire("near0")?;
        tracer.await_said("tracing near0: ", times)?;
        place.near.ip(&["link", "delete", "near0"])?;
        tracer.await_said("the interface near0 is gone", times)?;
    }
    place.wire("near0")?;
    tracer.await_said("tracing near0: ", 3)?;
    place.talk("near0", 40_000)?;
    let (connections, _) = told(tracer, 1)?;
    assert_eq!(seen_on(&connections), [(40_000, "near0")]);
    Ok(())
}

fn any_says_once_why_an_interface_is_not_traced_and_goes_on() -> Result<()> {
    let place = Place::new(&["near0"])?;
    // Loopback has no native XDP.
    let mut tracer = place.trace(&["-i", "any", "--xdp-mode", "native"], 1)?;
    tracer.await_said("not tracing lo: ", 1)?;
    for up in ["down", "up", "down", "up"] {
        place.near.ip(&["link", "set", "lo", up])?;
    }
    place.wire("near1")?;
    tracer.await_said("tracing near1: ", 1)?;
    place.talk("near0", 40_000)?;
    place.talk("near1", 40_001)?;
    let (connections, output) = told(tracer, 2)?;
    assert_eq!(connections.len(), 2);
    assert_eq!(said(&output, "not tracing lo: "), 1, "{}", output.stderr);
    Ok(())
}

fn an_interface_that_goes_down_is_traced_again_when_it_comes_up() -> Result<()> {
    for mode in daemon::modes() {
        let place = Place::new(&["near0"])?;
        let mut tracer = place.trace(&["-i", "near0", "--xdp-mode", mode], 1)?;
        for times in 1..=3_u16 {
            place.near.ip(&["link", "set", "near0", "down"])?;
            tracer.await_said("the interface near0 is down", times.into())?;
            place.near.ip(&["link", "set", "near0", "up"])?;
            tracer.await_said("the interface near0 is up again", times.into())?;
            place.talk("near0", 40_000 + times)?;
        }
        let (connections, output) = told(tracer, 3)?;
        let all = [(40_001, "near0"), (40_002, "near0"), (40_003, "near0")];
        assert_eq!(seen_on(&connections), all, "{mode}");
        assert_eq!(
            said(&output, "tracing near0: "),
            1,
            "{mode}: it stays attached"
        );
    }
    Ok(())
}

fn a_renamed_interface_is_traced_on_under_its_new_name() -> Result<()> {
    for mode in daemon::modes() {
        let place = Place::new(&["near0"])?;
        let mut tracer = place.trace(&["-i", "near0", "--xdp-mode", mode], 1)?;
        let open = conversation(40_000).open();
        place.play("near0", &open)?;
        place.rename("near0", "wan0")?;
        tracer.await_said("the interface near0 is called wan0 now", 1)?;
        place.talk("wan0", 40_001)?;
        tracer.await_connections(1)?;
        let output = tracer.stop()?;
        let connections = sorted(&output)?;
        // The one that began before is told under the new name as well.
        assert_eq!(
            seen_on(&connections),
            [(40_000, "wan0"), (40_001, "wan0")],
            "{mode}"
        );
        assert_eq!(
            said(&output, "the interface near0 is called wan0 now"),
            1,
            "{mode}"
        );
        assert_eq!(said(&output, "tracing"), 1, "{mode}");
    }
    Ok(())
}

fn an_interface_that_moves_to_another_namespace_is_let_go_of() -> Result<()> {
    for mode in daemon::modes() {
        let place = Place::new(&["near0", "near1"])?;
        let words = ["-i", "near0", "-i", "near1", "--xdp-mode", mode];
        let mut tracer = place.trace(&words, 2)?;
        place
            .near
            .ip(&["link", "set", "near0", "netns", place.far.name()])?;
        tracer.await_said(
            "the interface near0 is gone (moved to another namespace)",
            1,
        )?;
        // The kernel keeps a link attached where its device goes: it has to be let go of.
        wait::until("near0 to be let go of", || {
            Ok(bpf::ensure_bare(&place.far, "near0").ok())
        })?;
        place.far.ip(&["link", "set", "near0", "up"])?;
        await_up(&place.far, "near0")?;
        await_up(&place.far, "far-near0")?;
        let elsewhere = Wire::between((&place.far, "near0"), (&place.far, "far-near0"))?;
        elsewhere.play(&whole(40_000))?;
        place.talk("near1", 40_001)?;
        let (connections, _) = told(tracer, 1)?;
        assert_eq!(seen_on(&connections), [(40_001, "near1")], "{mode}");
    }
    Ok(())
}

fn an_interface_that_comes_back_under_its_name_is_traced_again() -> Result<()> {
    for mode in daemon::modes() {
        let place = Place::new(&["near0", "near1"])?;
        let words = ["-i", "near0", "-i", "near1", "--xdp-mode", mode];
        let mut tracer = place.trace(&words, 2)?;
        place.near.ip(&["link", "delete", "near0"])?;
        tracer.await_said("the interface near0 is gone", 1)?;
        place.talk("near1", 40_000)?;
        place.wire("near0")?;
        tracer.await_said("tracing near0: ", 2)?;
        place.talk("near0", 40_001)?;
        tracer.await_connections(2)?;
        for interface in ["near0", "near1"] {
            place.near.ip(&["link", "delete", interface])?;
        }
        let output = tracer.finish()?;
        assert_eq!(output.status.code(), Some(1), "{mode}");
        assert_eq!(
            said(&output, "error: no interface is left to trace"),
            1,
            "{mode}"
        );
        let connections = sorted(&output)?;
        assert_eq!(
            seen_on(&connections),
            [(40_000, "near1"), (40_001, "near0")],
            "{mode}"
        );
    }
    Ok(())
}

fn an_interface_that_leaves_a_bridge_is_not_gone() -> Result<()> {
    let place = Place::new(&["near0", "near1"])?;
    let mut tracer = place.trace(&["-i", "near0"], 1)?;
    place.near.ip(&["link", "add", "br0", "type", "bridge"])?;
    place.near.ip(&["link", "set", "near0", "master", "br0"])?;
    place.near.ip(&["link", "set", "near0", "nomaster"])?;
    place.rename("near0", "wan0")?;
    // What is told in order is heard in order.
    tracer.await_said("the interface near0 is called wan0 now", 1)?;
    place.talk("wan0", 40_000)?;
    let (connections, output) = told(tracer, 1)?;
    assert_eq!(seen_on(&connections), [(40_000, "wan0")]);
    assert_eq!(said(&output, "the interface near0 is gone"), 0);
    Ok(())
}

fn nothing_is_held_of_interfaces_that_are_gone() -> Result<()> {
    // Programs are loaded when they are first asked for, and stay: those for both ways are there from the
    // beginning.
    let place = Place::new(&["near0"])?;
    let mut tracer = place.trace(&["-i", "any"], 2)?;
    let descriptors = held_by(&tracer)?;
    for round in 1..=2 {
        place.batch(&pairs(0..SOME))?;
        tracer.await_said("tracing", 2 + 2 * SOME * round)?;
        ensure!(held_by(&tracer)? > descriptors, "it holds no links");
        place.batch(
            &(0..SOME)
                .map(|n| format!("link delete a{n}"))
                .collect::<Vec<_>>(),
        )?;
        tracer.await_said("the interface ", 2 * SOME * round)?;
        wait::until("the links to be let go of", || {
            Ok((held_by(&tracer)? == descriptors).then_some(()))
        })?;
    }
    tracer.stop()?;
    Ok(())
}

fn what_changed_while_messages_were_missed_is_found_out() -> Result<()> {
    let place = Place::new(&["near0", "near1"])?;
    let mut tracer = place.trace(&["-i", "any"], 3)?;
    tracer.signal_attacher(Signal::SIGSTOP)?;
    place.near.ip(&["link", "delete", "near0"])?;
    place.batch(&pairs(0..MANY))?;
    place.rename("near1", "wan1")?;
    place.batch(
        &(1..SOME)
            .map(|n| format!("link delete a{n}"))
            .collect::<Vec<_>>(),
    )?;
    ensure!(place.missed()? > 0, "the kernel has dropped no message");
    tracer.signal_attacher(Signal::SIGCONT)?;
    tracer.await_said("the interface near0 is gone", 1)?;
    tracer.await_said("the interface near1 is called wan1 now", 1)?;
    tracer.await_said("tracing a0: ", 1)?;
    tracer.await_said("tracing b0: ", 1)?;
    place.talk("wan1", 40_000)?;
    let (connections, output) = told(tracer, 1)?;
    assert_eq!(seen_on(&connections), [(40_000, "wan1")]);
    for n in 1..SOME {
        let (traced, gone) = (
            format!("tracing a{n}: "),
            format!("the interface a{n} is gone"),
        );
        assert_eq!(said(&output, &traced), said(&output, &gone), "a{n}");
    }
    Ok(())
}

/// Where the daemon is, and where its peers are.
struct Place {
    near: Namespace,
    far: Namespace,
}

impl Place {
    /// With these interfaces.
    fn new(interfaces: &[&str]) -> Result<Self> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        for namespace in [&near, &far] {
            // Nothing crosses a wire but what the test sends.
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        let place = Self { near, far };
        for interface in interfaces {
            place.wire(interface)?;
        }
        Ok(place)
    }

    /// Makes an interface with a wire to the far side, and sets it up.
    fn wire(&self, interface: &str) -> Result<()> {
        let far = far_end(interface);
        connect((&self.near, interface), (&self.far, &far))?;
        self.far.ip(&["link", "set", &far, "up"])?;
        self.near.ip(&["link", "set", interface, "up"])
    }

    /// Waits until both ends of a wire carry frames.
    fn await_wire(&self, interface: &str) -> Result<()> {
        await_up(&self.near, interface)?;
        await_up(&self.far, &far_end(interface))
    }

    /// Renames an interface, and its far end.
    fn rename(&self, from: &str, to: &str) -> Result<()> {
        for (namespace, from, to) in [
            (&self.far, far_end(from), far_end(to)),
            (&self.near, from.to_owned(), to.to_owned()),
        ] {
            namespace.ip(&["link", "set", &from, "down"])?;
            namespace.ip(&["link", "set", &from, "name", &to])?;
            namespace.ip(&["link", "set", &to, "up"])?;
        }
        Ok(())
    }

    fn trace(&self, words: &[&str], interfaces: usize) -> Result<Tracer> {
        let words = [&["trace", "--format", "json"], words].concat();
        Tracer::start(&mut daemon::command(&self.near, &words), interfaces)
    }

    fn play(&self, interface: &str, conversation: &Conversation) -> Result<()> {
        let far = far_end(interface);
        self.await_wire(interface)?;
        Wire::between((&self.near, interface), (&self.far, &far))?.play(conversation)
    }

    /// A whole connection over an interface.
    fn talk(&self, interface: &str, port: u16) -> Result<()> {
        self.play(interface, &whole(port))
    }

    /// Runs lines of `ip` on the near side. What removes an interface waits for every CPU several times,
    /// which takes a second where these are busy: a process gets no more lines than it has time for.
    fn batch(&self, lines: &[String]) -> Result<()> {
        let scratch = Scratch::new()?;
        for lines in lines.chunks(AT_ONCE) {
            let file = scratch.write("batch", lines.join("\n"))?;
            let mut command = self.near.command("ip");
            process::succeed(command.arg("-batch").arg(file))?;
        }
        Ok(())
    }

    /// Messages of netlink that the kernel could not give to anyone on the near side.
    fn missed(&self) -> Result<u64> {
        let sockets = self.near.enter(|| {
            // That of the thread: others are in other namespaces.
            fs::read_to_string("/proc/thread-self/net/netlink").context("list netlink sockets")
        })?;
        let mut lines = sockets.lines();
        let names = lines.next().unwrap_or_default();
        let column = names.split_whitespace().position(|name| name == "Drops");
        let column = column.context("find the column of drops")?;
        let drops =
            lines.filter_map(|line| line.split_whitespace().nth(column)?.parse::<u64>().ok());
        Ok(drops.sum())
    }
}

/// Waits until an interface carries frames: the kernel notices a little later that both ends are up.
fn await_up(namespace: &Namespace, interface: &str) -> Result<()> {
    wait::until(format!("{interface} to carry frames"), || {
        let mut command = namespace.command("ip");
        let told = process::succeed(command.args(["link", "show", interface]))?;
        Ok(told.contains("state UP").then_some(()))
    })
}

fn far_end(interface: &str) -> String {
    format!("far-{interface}")
}

/// Pairs of interfaces that are up, `a0` and `b0` and so on.
fn pairs(numbers: std::ops::Range<usize>) -> Vec<String> {
    let lines = numbers.flat_map(|n| {
        [
            format!("link add a{n} type veth peer name b{n}"),
            format!("link set a{n} up"),
            format!("link set b{n} up"),
        ]
    });
    lines.collect()
}

fn conversation(port: u16) -> Conversation {
    let client = ([10, 1, 1, 2], port).into();
    let server = ([10, 1, 1, 1], 80).into();
    Conversation::between((client, 1_000), (server, 2_000))
}

fn whole(port: u16) -> Conversation {
    conversation(port)
        .open()
        .data(Sender::Client, 5)
        .close(Sender::Client)
}

/// Descriptors that the process holds that attaches.
fn held_by(tracer: &Tracer) -> Result<usize> {
    let attacher = tracer.attacher()?.context("no process attaches")?;
    let descriptors = Path::new("/proc").join(attacher.to_string()).join("fd");
    let descriptors = fs::read_dir(descriptors).context("list a process' descriptors")?;
    Ok(descriptors.count())
}

/// Stops it when so many connections were told, and reads them in the order of the clients' ports.
fn told(mut tracer: Tracer, count: usize) -> Result<(Vec<Connection>, Output)> {
    tracer.await_connections(count)?;
    let output = tracer.stop()?;
    Ok((sorted(&output)?, output))
}

fn sorted(output: &Output) -> Result<Vec<Connection>> {
    let mut connections = record::connections(&output.stdout)?;
    connections.sort_by_key(|connection| connection.client.port);
    Ok(connections)
}

/// The clients' ports, and the interfaces of their connections.
fn seen_on(connections: &[Connection]) -> Vec<(u16, &str)> {
    let told = connections.iter();
    told.map(|one| (one.client.port, one.interface.as_str()))
        .collect()
}

/// How many lines of standard error begin so.
fn said(output: &Output, words: &str) -> usize {
    let line = format!("synfin: {words}");
    let lines = output.stderr.lines();
    lines.filter(|said| said.starts_with(&line)).count()
}
