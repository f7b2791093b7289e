//! The lists of what shows a screen, held against the calls that are made: live and of a capture, with
//! keys, another size, and a stop in between.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use synfin::sandbox::Task;
use synfin_tests::cases;
use synfin_tests::daemon::REFUSED;
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::process;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::requirement::tool;
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;
use synfin_tests::tmux::Tmux;
use synfin_tests::wait;

use crate::calls::{Strace, Who, compare};
use crate::talk;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon, Tool("strace"), Tool("gzip"), Tool("tmux")];
        all_calls_of_a_live_screen_are_on_its_list_and_all_of_the_list_are_made,
        all_calls_of_a_replay_are_on_its_list_and_all_of_the_list_are_made,
    ]
}

const SMALL: (u16, u16) = (80, 24);

fn all_calls_of_a_live_screen_are_on_its_list_and_all_of_the_list_are_made() -> Result<()> {
    let scratch = Scratch::new()?;
    let link = Link::silent()?;
    let mut made = BTreeSet::new();
    for (place, hook) in [("by-key", "auto"), ("by-signal", "clsact")] {
        let strace = Strace(scratch.file(place));
        let mut command = link.near.command(tool("strace").context("find strace")?);
        strace.record(&mut command);
        command.args([
            "top",
            "-i",
            NEAR,
            "--account",
            "--rows",
            "100000",
            "--xdp-mode",
            hook,
        ]);
        let screen = Tmux::start(SMALL, &command)?;
        screen.await_shown("a screen", |shown| shown.contains("no connection yet"))?;
        let wire = Wire::of(&link)?;
        // More than fits into memory that is there already.
        for port in (10_000..20_000).take_while(|_| place == "by-key") {
            wire.play(&talk::begun(port))?;
        }
        wire.play(&talk::whole(40_000))?;
        screen.await_shown("a connection", |shown| shown.contains(":40000"))?;
        used(&screen)?;
        if place == "by-key" {
            screen.press(&["q"])?;
        } else {
            kill(Pid::from_raw(screen.pid()?), Signal::SIGTERM)?;
        }
        ended_well(&screen)?;
        made.extend(strace.calls(Who::Looker)?);
    }
    compare(Task::Top { accounts: true }, &made)
}

fn all_calls_of_a_replay_are_on_its_list_and_all_of_the_list_are_made() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = talk::captured(&scratch, 5_000)?;
    process::succeed(Command::new("gzip").arg("-kf").arg(&file))?;
    let zipped = file.with_extension("pcap.gz");
    let mut made = BTreeSet::new();
    for (place, file, speed) in [("plain", &file, "1"), ("zipped", &zipped, "max")] {
        let strace = Strace(scratch.file(place));
        let mut command = Command::new(tool("strace").context("find strace")?);
        strace.record(&mut command);
        command.args(["top", "--speed", speed, "--read"]).arg(file);
        let screen = Tmux::start(SMALL, &command)?;
        screen.await_shown("the end", |shown| shown.contains("at its end"))?;
        used(&screen)?;
        screen.press(&["q"])?;
        ended_well(&screen)?;
        made.extend(strace.calls(Who::Looker)?);
    }
    compare(Task::Replay, &made)
}

/// Presses keys, makes the screen larger, stops and continues the process.
fn used(screen: &Tmux) -> Result<()> {
    screen.press(&["?"])?;
    screen.await_shown("the help", |shown| shown.contains("any key closes"))?;
    screen.press(&["x", "m", "Enter", "/", "nowhere"])?;
    screen.press(&["Enter", "Escape", "Escape"])?;
    screen.resize(140, 45)?;
    screen.await_shown("a large screen", |shown| {
        shown.contains("handshakes by time")
    })?;
    screen.press(&["C-z"])?;
    wait::until("a terminal given back", || {
        Ok((!screen.is_taken()?).then_some(()))
    })?;
    let pid = Pid::from_raw(screen.pid()?);
    // It stops just now: whether it has cannot be told apart from being looked at.
    wait::until("the screen again", || {
        kill(pid, Signal::SIGCONT)?;
        Ok(screen.is_taken()?.then_some(()))
    })?;
    screen.press(&["?"])?;
    screen.await_shown("the help again", |shown| shown.contains("any key closes"))?;
    screen.press(&["x"])
}

fn ended_well(screen: &Tmux) -> Result<()> {
    let left = screen.left()?;
    ensure!(left.status == 0 && !left.said.contains(REFUSED), "{left:?}");
    Ok(())
}
