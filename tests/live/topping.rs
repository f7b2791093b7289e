//! `synfin top` in a terminal of tmux, on live traffic and on a capture.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::Pid;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, REFUSED};
use synfin_tests::evidence;
use synfin_tests::inject::Wire;
use synfin_tests::netns::{FAR_V4, Link, NEAR, NEAR_V4};
use synfin_tests::packets::{self, Packets};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::services;
use synfin_tests::suite::Case;
use synfin_tests::tmux::Tmux;
use synfin_tests::{cases, privileges, requirement, wait};

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon, Tool("tmux")];
        a_screen_shows_connections_as_they_open_fail_and_are_reset,
        a_ladder_grows_while_its_connection_lives,
        keys_and_clicks_and_another_size_change_the_screen,
        whatever_ends_it_the_terminal_is_given_back,
        a_stopped_screen_gives_the_terminal_back_and_takes_it_again,
        a_capture_is_replayed_in_its_own_time_and_as_fast_as_can_be,
        a_terminal_that_takes_nothing_holds_nobody_up,
        without_a_terminal_it_says_what_to_use_instead,
    ]
}

const SMALL: (u16, u16) = (80, 24);

/// A screen that looks at the near end.
fn watch(link: &Link, size: (u16, u16), arguments: &[&str]) -> Result<Tmux> {
    let fixed = ["top", "-i", NEAR];
    let tmux = Tmux::start(
        size,
        &daemon::command(&link.near, &[&fixed, arguments].concat()),
    )?;
    tmux.await_shown("an empty screen", |shown| {
        shown.contains("no connection yet")
    })?;
    Ok(tmux)
}

/// A connection from the far end, and the server's end of it.
fn open(link: &Link, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let port = listener.local_addr()?.port();
    let client = services::connect(&link.far, NEAR_V4, port)?;
    Ok((client, listener.accept()?.0))
}

fn reset(stream: TcpStream) -> Result<()> {
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &at_once)?;
    drop(stream);
    Ok(())
}

/// The line of the connection with this server port.
fn line(shown: &str, port: u16) -> &str {
    let wanted = format!("{NEAR_V4}:{port} ");
    shown
        .lines()
        .find(|line| line.starts_with(' ') && line.contains(&wanted))
        .unwrap_or_default()
}

fn a_screen_shows_connections_as_they_open_fail_and_are_reset() -> Result<()> {
    let link = Link::new()?;
    let tmux = watch(&link, SMALL, &["--handshake-timeout", "2s"])?;
    let open_one = services::listen(&link.near, NEAR_V4, 8001)?;
    let reset_one = services::listen(&link.near, NEAR_V4, 8002)?;
    let kept = open(&link, &open_one)?;
    reset(open(&link, &reset_one)?.1)?;
    ensure!(
        services::connect(&link.far, NEAR_V4, 8003).is_err(),
        "who listens there?"
    );
    // Nobody has this address.
    let syn = Conversation::between(
        ((FAR_V4, 40_000).into(), 1_000),
        (([10, 1, 1, 99], 8004).into(), 2_000),
    );
    Wire::of(&link)?.play(&syn.syn())?;
    let shown = tmux.await_shown("all four", |shown| {
        line(shown, 8001).contains("ESTABLISHED")
            && line(shown, 8002).contains("RST by server")
            && line(shown, 8003).contains("refused")
            && shown.contains("10.1.1.99:8004")
            && shown.contains("no reply")
            && shown.contains("(2 failed, 1 reset)")
            && shown.contains("open 1 ")
    })?;
    evidence::note("the screen", &shown);
    for head in [
        "CLIENT", "SERVER", "STATE", "AGE", "SHAKE", "BYTES", "VERDICT", "ring ", "lost 0",
    ] {
        ensure!(shown.contains(head), "no {head}: {shown}");
    }
    ensure!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    drop(kept);
    tmux.await_shown("the close", |shown| line(shown, 8001).contains("closed"))?;
    tmux.press(&["q"])?;
    let left = tmux.left()?;
    ensure!(left.status == 0 && !left.said.contains(REFUSED), "{left:?}");
    ensure!(
        left.said.contains(&format!("synfin: tracing {NEAR}")),
        "{}",
        left.said
    );
    ensure!(left.said.contains("synfin: 4 connections"), "{}", left.said);
    Ok(())
}

/// How a conversation goes on, and what is shown of it then, how often.
type Change = (fn(Conversation) -> Conversation, &'static str, usize);

fn a_ladder_grows_while_its_connection_lives() -> Result<()> {
    let link = Link::silent()?;
    let tmux = watch(&link, (120, 40), &[])?;
    let wire = Wire::of(&link)?;
    let mut talk = Conversation::between(
        (([10, 1, 1, 2], 40_000).into(), 1_000),
        (([10, 1, 1, 1], 21).into(), 2_000),
    );
    let count = |shown: &str, what: &str| shown.matches(what).count();
    let steps: [Change; 4] = [
        (Conversation::syn, "── SYN ", 1),
        (Conversation::syn_ack, "─ SYN,ACK", 1),
        (|talk| talk.ack(Sender::Client), "✓ acknowledges Y", 1),
        (|talk| talk.close(Sender::Client), "FIN,ACK", 2),
    ];
    let mut played = 0;
    for (go_on, what, times) in steps {
        talk = go_on(talk);
        for (sender, frame) in talk.frames().skip(played) {
            match sender {
                Sender::Client => wire.ingress(&frame.octets())?,
                Sender::Server => wire.egress(&frame.octets())?,
            }
        }
        played = talk.frames().count();
        tmux.await_shown(what, |shown| count(shown, what) >= times)?;
    }
    tmux.await_shown("the last record", |shown| {
        shown.contains("closed by client") && !shown.contains("growing")
    })?;
    tmux.press(&["q"])?;
    ensure!(tmux.left()?.status == 0, "another status");
    Ok(())
}

fn keys_and_clicks_and_another_size_change_the_screen() -> Result<()> {
    let link = Link::new()?;
    let tmux = watch(&link, SMALL, &[])?;
    for port in [8001, 8003] {
        ensure!(
            services::connect(&link.far, NEAR_V4, port).is_err(),
            "who listens there?"
        );
    }
    let listener = services::listen(&link.near, NEAR_V4, 8002)?;
    let _kept = open(&link, &listener)?;
    let has = |words: &'static str| move |shown: &str| shown.contains(words);
    tmux.await_shown("three rows", has("3 connections"))?;
    tmux.press(&["/", "r", "e", "f", "u"])?;
    tmux.await_shown("a filter while it is typed", has("2 of 3 connections"))?;
    tmux.press(&["Enter", "Space"])?;
    tmux.await_shown("a pause", has(" paused"))?;
    tmux.press(&["Space", "Escape"])?;
    tmux.await_shown("no filter", |shown| {
        shown.contains("── 3 connections") && shown.contains("live")
    })?;
    tmux.press(&["?"])?;
    tmux.await_shown("the help", has("any key closes"))?;
    tmux.press(&["x"])?;
    // A click on the head of the second column: rows are in the order of their servers then.
    let shown = tmux.await_shown("no help", has("SERVER"))?;
    let heads = shown.lines().position(|line| line.contains("SERVER"));
    let heads = heads.unwrap_or_default();
    let column = shown
        .lines()
        .nth(heads)
        .and_then(|line| line.find("SERVER"));
    let click = format!("\x1b[<0;{};{}M", column.unwrap_or_default() + 2, heads + 1);
    tmux.send(click.as_bytes())?;
    let shown = tmux.await_shown("another order", has("SERVER▼"))?;
    let ports: Vec<_> = shown
        .lines()
        .skip(heads + 1)
        .take(3)
        .map(str::to_owned)
        .collect();
    let in_order = ports
        .iter()
        .zip([":8001", ":8002", ":8003"])
        .all(|(line, port)| line.contains(port));
    ensure!(in_order, "{ports:#?}");
    // A click on the last row, whose ladder is shown then.
    let click = format!("\x1b[<0;5;{}M", heads + 4);
    tmux.send(click.as_bytes())?;
    tmux.await_shown("the ladder of a row", |shown| {
        let ladder = shown.split("── ladder").nth(1).unwrap_or_default();
        ladder.contains(":8003")
    })?;
    tmux.resize(140, 45)?;
    tmux.await_shown("a large screen", |shown| {
        shown.contains("handshakes by time") && shown.lines().count() == 45
    })?;
    tmux.resize(60, 15)?;
    tmux.await_shown("a small screen", |shown| {
        !shown.contains("handshakes by time") && shown.contains("SERVER▼")
    })?;
    tmux.press(&["l"])?;
    tmux.await_shown("the log", has("tracing near0"))?;
    tmux.press(&["C-c"])?;
    let left = tmux.left()?;
    ensure!(left.status == 0 && !left.said.contains(REFUSED), "{left:?}");
    Ok(())
}

fn whatever_ends_it_the_terminal_is_given_back() -> Result<()> {
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let link = Link::new()?;
        let tmux = watch(&link, SMALL, &[])?;
        kill(Pid::from_raw(tmux.pid()?), signal)?;
        let left = tmux.left()?;
        ensure!(left.status == 0, "{signal}: {left:?}");
    }
    let link = Link::new()?;
    let tmux = watch(&link, SMALL, &[])?;
    link.near.ip(&["link", "delete", NEAR])?;
    let left = tmux.left()?;
    ensure!(
        left.status == 1 && left.said.contains("is gone"),
        "{left:?}"
    );
    let link = Link::new()?;
    let tmux = watch(&link, SMALL, &["--duration", "1s"])?;
    ensure!(tmux.left()?.status == 0, "another status after its time");
    Ok(())
}

fn a_stopped_screen_gives_the_terminal_back_and_takes_it_again() -> Result<()> {
    let link = Link::new()?;
    let tmux = Tmux::shell(SMALL)?;
    let words = format!(
        "ip netns exec {} {} top -i {NEAR}",
        link.near.name(),
        requirement::daemon().display()
    );
    tmux.press(&[&words, "Enter"])?;
    let empty = |shown: &str| shown.contains("no connection yet");
    tmux.await_shown("an empty screen", empty)?;
    tmux.press(&["C-z"])?;
    tmux.await_shown("a shell", |shown| {
        shown.contains("Stopped") && !empty(shown)
    })?;
    tmux.press(&["fg", "Enter"])?;
    tmux.await_shown("the screen again", empty)?;
    tmux.press(&["q"])?;
    tmux.await_shown("the summary", |shown| {
        shown.contains("synfin: no connections")
    })?;
    Ok(())
}

fn a_capture_is_replayed_in_its_own_time_and_as_fast_as_can_be() -> Result<()> {
    const GAP_NS: u64 = 3_600_000_000_000;
    let scratch = Scratch::new()?;
    let talks = [40_001, 40_002].map(|port| {
        let client = (([10, 1, 1, 2], port).into(), 1_000);
        let talk = Conversation::between(client, (([10, 1, 1, 1], 21).into(), 2_000));
        talk.open().close(Sender::Client)
    });
    // The second one an hour after the first.
    let packets = talks.iter().zip(0_u64..).flat_map(|(talk, place)| {
        let frames = talk.frames().zip(0_u64..);
        frames.map(move |((_, frame), step)| {
            let time_ns = 1_700_000_000_000_000_000 + place * GAP_NS + step * 1_000_000;
            (time_ns, frame.octets())
        })
    });
    let file = scratch.file("two.pcap");
    packets::write(&Packets::ethernet(packets), &file)?;
    let file = file.display().to_string();
    let replay = |speed: &str| {
        let mut command = std::process::Command::new(requirement::daemon());
        command.args(["top", "--read", &file, "--speed", speed]);
        Tmux::start((120, 40), &command)
    };
    let tmux = replay("1")?;
    tmux.await_shown("the first connection", |shown| {
        shown.contains("1 connections") && shown.contains("closed by client")
    })?;
    std::thread::sleep(Duration::from_secs(1));
    ensure!(
        tmux.shown()?.contains("1 connections"),
        "it does not wait for the second"
    );
    tmux.press(&["n"])?;
    tmux.await_shown("the second connection", |shown| {
        shown.contains("2 connections") && shown.contains("at its end")
    })?;
    tmux.press(&["q"])?;
    let left = tmux.left()?;
    ensure!(
        left.status == 0 && left.said.contains("synfin: 2 connections"),
        "{left:?}"
    );
    ensure!(!left.said.contains(REFUSED), "{left:?}");
    let tmux = replay("max")?;
    tmux.await_shown("its end", |shown| {
        shown.contains("2 connections") && shown.contains("at its end")
    })?;
    tmux.press(&["q"])?;
    ensure!(tmux.left()?.status == 0, "another status");
    fs::write(scratch.file("none.pcap"), "no capture at all, but text")?;
    let mut command = std::process::Command::new(requirement::daemon());
    command
        .args(["top", "--read"])
        .arg(scratch.file("none.pcap"));
    let left = Tmux::start(SMALL, &command)?.left()?;
    ensure!(
        left.status == 1 && left.said.contains("synfin: error: "),
        "{left:?}"
    );
    Ok(())
}

fn a_terminal_that_takes_nothing_holds_nobody_up() -> Result<()> {
    const CONNECTIONS: usize = 300;
    let link = Link::new()?;
    let scratch = Scratch::new()?;
    let said = scratch.file("said");
    // Nobody reads what is written to it.
    let pty = openpty(
        Some(&Winsize {
            ws_row: 50,
            ws_col: 160,
            ws_xpixel: 0,
            ws_ypixel: 0,
        }),
        None,
    )?;
    let mut child = daemon::command(&link.near, &["top", "-i", NEAR, "--xdp-mode", "native"])
        .env("TERM", "xterm")
        .stdin(Stdio::from(pty.slave.try_clone()?))
        .stdout(Stdio::from(pty.slave))
        .stderr(Stdio::from(fs::File::create(&said)?))
        .spawn()?;
    // All programs are there by then, and what comes is read at once.
    wait::until("a process that is confined", || {
        let threads = privileges::of(child.id())?;
        Ok(threads.iter().all(|thread| thread.filtered).then_some(()))
    })?;
    services::talk_shortly(&link, 80, CONNECTIONS)?;
    // The record of a connection is complete a second after its end.
    std::thread::sleep(Duration::from_secs(2));
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    let status = wait::until("its end", || Ok(child.try_wait()?))?;
    let said = fs::read_to_string(said)?;
    evidence::note("standard error", &said);
    ensure!(status.success(), "{status}");
    ensure!(
        said.contains(&format!("synfin: {CONNECTIONS} connections")),
        "{said}"
    );
    ensure!(
        said.contains("nothing lost") && !said.contains("s behind;"),
        "{said}"
    );
    Ok(())
}

fn without_a_terminal_it_says_what_to_use_instead() -> Result<()> {
    let link = Link::new()?;
    let output = daemon::run(&link.near, &["top", "-i", NEAR])?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(output.stderr.contains("use `synfin trace`"), "{output:?}");
    let dumb = {
        let mut command = std::process::Command::new("env");
        let words = daemon::command(&link.near, &["top", "-i", NEAR]);
        command
            .arg("TERM=dumb")
            .arg(words.get_program())
            .args(words.get_args());
        command
    };
    let left = Tmux::start(SMALL, &dumb)?.left()?;
    ensure!(
        left.status == 1 && left.said.contains("TERM is \"dumb\""),
        "{left:?}"
    );
    Ok(())
}
