//! Whom synfin can be started as, what it says where that is not enough, and what is left of it then.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::privileges::{self, Privileges};
use synfin_tests::process::{self, Background};
use synfin_tests::requirement;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;
use synfin_tests::{cases, wait};

use crate::talk;

/// What tracing needs.
const NEEDED: [&str; 3] = ["bpf", "net_admin", "perfmon"];
/// Where these are among the bits of a set (linux/capability.h).
const BITS: u64 = 1 << 39 | 1 << 12 | 1 << 38;
/// A user without a name.
const SOMEONE: &str = "12345";

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_tracer_of_roots_has_nothing_left_on_any_thread,
        a_tracer_becomes_whom_it_is_told_to,
        a_reader_of_roots_has_nothing_left_on_any_thread,
        who_makes_a_report_for_root_has_nothing_left_on_any_thread,
        without_sandbox_it_says_so_and_stays_what_it_was,
        a_user_who_is_not_there_is_refused,
    ];
    let ambient = cases![&[Root, Daemon, Tool("setpriv")];
        the_three_capabilities_are_enough,
        root_that_can_become_nobody_goes_on_without_capabilities_and_says_so,
        each_capability_that_is_missing_is_named,
        a_user_without_any_hears_of_all_of_them,
        only_root_can_become_another_user,
    ];
    let of_a_file = cases![&[Root, Daemon, Tool("setpriv"), Tool("setcap")];
        the_capabilities_of_the_file_are_enough,
    ];
    [plain, ambient, of_a_file].concat()
}

fn a_tracer_of_roots_has_nothing_left_on_any_thread() -> Result<()> {
    for flags in [&[][..], &["--account"], &["--xdp-mode", "native"]] {
        let threads = traced(|link| {
            let words = [&["trace", "-i", NEAR, "--format", "json"], flags].concat();
            Ok(daemon::command(&link.near, &words))
        })?;
        privileges::ensure_none(&threads, false)?;
        let writer = threads.iter().any(|thread| thread.name == "writer");
        ensure!(writer, "where is the writer among {threads:?}?");
    }
    Ok(())
}

fn a_tracer_becomes_whom_it_is_told_to() -> Result<()> {
    let user = format!("{SOMEONE}:54321");
    let threads = traced(|link| {
        let words = ["trace", "-i", NEAR, "--format", "json", "--user", &user];
        Ok(daemon::command(&link.near, &words))
    })?;
    privileges::ensure_none(&threads, false)?;
    for thread in threads {
        assert_eq!(
            (thread.users, thread.groups),
            (vec![12_345; 4], vec![54_321; 4])
        );
    }
    Ok(())
}

fn a_reader_of_roots_has_nothing_left_on_any_thread() -> Result<()> {
    reads_without_anything(&["read", "--format", "json"])
}

fn who_makes_a_report_for_root_has_nothing_left_on_any_thread() -> Result<()> {
    let scratch = Scratch::new()?;
    let page = scratch.file("report.html");
    reads_without_anything(&["report", "-o", &page.to_string_lossy()])?;
    // The one that puts it there is another process, and looks at nothing.
    ensure!(page.is_file(), "there is no page");
    Ok(())
}

/// That no thread has anything left while it reads from a pipe.
fn reads_without_anything(words: &[&str]) -> Result<()> {
    let scratch = Scratch::new()?;
    let octets = fs::read(talk::captured(&scratch, 1)?)?;
    let pipe = scratch.file("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).context("make a pipe")?;
    let mut command = Command::new(requirement::daemon());
    let reader = Background::start(command.args(words).arg(&pipe))?;
    let mut input = fs::File::options().write(true).open(&pipe)?;
    input.write_all(&octets)?;
    // Told, though nothing says yet that the pipe ends: all threads are at work.
    let lanes = |threads: &[Privileges]| {
        threads
            .iter()
            .filter(|thread| thread.name == "lane")
            .count()
    };
    let threads = wait::until("all threads", || {
        let threads = privileges::of(reader.id())?;
        let all = lanes(&threads) == 4 && threads.iter().any(|thread| thread.name == "reader");
        Ok(all.then_some(threads))
    })?;
    privileges::ensure_none(&threads, false)?;
    drop(input);
    let output = reader.wait()?;
    daemon::ended_well(&output)?;
    let said = format!("{}{}", output.stdout, output.stderr);
    ensure!(said.contains("established"), "{said}");
    Ok(())
}

fn without_sandbox_it_says_so_and_stays_what_it_was() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--no-sandbox"])?;
    for thread in privileges::of(tracer.id())? {
        assert_eq!(thread.users, [0; 4]);
        ensure!(!thread.filtered && !thread.no_new_privs, "{thread:?}");
        ensure!(thread.capabilities[2] & BITS == BITS, "{thread:?}");
    }
    let output = tracer.stop()?;
    let said = output.stderr.matches("not confined").count();
    ensure!(said == 1, "{}", output.stderr);
    let scratch = Scratch::new()?;
    let capture = talk::captured(&scratch, 1)?;
    let mut command = Command::new(requirement::daemon());
    let output = process::run(command.args(["read", "--no-sandbox"]).arg(capture))?;
    daemon::ended_well(&output)?;
    ensure!(output.stderr.contains("not confined"), "{}", output.stderr);
    Ok(())
}

fn a_user_who_is_not_there_is_refused() -> Result<()> {
    for user in ["no-such-user", "12345:no-such-group", "0:0"] {
        let mut command = Command::new(requirement::daemon());
        let output = process::run(command.args(["trace", "-i", "lo", "--user", user]))?;
        assert_eq!(output.status.code(), Some(2), "{user}: {}", output.stderr);
    }
    Ok(())
}

fn the_three_capabilities_are_enough() -> Result<()> {
    let scratch = Scratch::new()?;
    let daemon = copy(&scratch)?;
    let threads = traced(|link| {
        Ok(ambient(
            &link.near.command(requirement("setpriv")?),
            &daemon,
            &NEEDED,
        ))
    })?;
    privileges::ensure_none(&threads, true)?;
    for thread in threads {
        assert_eq!(thread.users, [12_345; 4]);
        assert_eq!(thread.capabilities[3], BITS);
    }
    Ok(())
}

fn root_that_can_become_nobody_goes_on_without_capabilities_and_says_so() -> Result<()> {
    let link = Link::silent()?;
    let mut command = link.near.command(requirement("setpriv")?);
    command.args([
        "--inh-caps=-all",
        &format!("--bounding-set={}", set(&NEEDED)),
    ]);
    command.arg(requirement::daemon()).args(TRACE);
    let tracer = Tracer::start(&mut command, 1)?;
    for thread in privileges::of(tracer.id())? {
        ensure!(thread.filtered && thread.no_new_privs, "{thread:?}");
        assert_eq!(thread.capabilities, [0, 0, 0, BITS, 0]);
    }
    let output = tracer.stop()?;
    for word in ["goes on as root", "CAP_SETUID"] {
        ensure!(output.stderr.contains(word), "{}", output.stderr);
    }
    Ok(())
}

fn each_capability_that_is_missing_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let daemon = copy(&scratch)?;
    for missing in NEEDED {
        let held: Vec<_> = NEEDED.into_iter().filter(|name| *name != missing).collect();
        let mut command = ambient(&Command::new(requirement("setpriv")?), &daemon, &held);
        let output = process::run(&mut command)?;
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        for name in NEEDED {
            let named = output
                .stderr
                .contains(&format!("CAP_{} is missing, to ", name.to_uppercase()));
            assert_eq!(
                named,
                name == missing,
                "without {missing}: {}",
                output.stderr
            );
        }
    }
    Ok(())
}

fn a_user_without_any_hears_of_all_of_them() -> Result<()> {
    let scratch = Scratch::new()?;
    let daemon = copy(&scratch)?;
    let mut command = Command::new(requirement("setpriv")?);
    let output = process::run(command.args(someone()).arg(daemon).args(TRACE))?;
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    for word in [
        "CAP_BPF is missing",
        "CAP_NET_ADMIN is missing",
        "CAP_PERFMON is missing",
        "setcap",
    ] {
        ensure!(
            output.stderr.contains(word),
            "no {word} in {}",
            output.stderr
        );
    }
    Ok(())
}

fn only_root_can_become_another_user() -> Result<()> {
    let scratch = Scratch::new()?;
    let daemon = copy(&scratch)?;
    let link = Link::silent()?;
    let mut command = ambient(
        &link.near.command(requirement("setpriv")?),
        &daemon,
        &NEEDED,
    );
    let output = process::run(command.args(["--user", "54321:54321"]))?;
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    ensure!(output.stderr.contains("CAP_SETUID"), "{}", output.stderr);
    Ok(())
}

fn the_capabilities_of_the_file_are_enough() -> Result<()> {
    let scratch = Scratch::new()?;
    let daemon = copy(&scratch)?;
    let mut setcap = Command::new(requirement("setcap")?);
    let words = NEEDED.map(|name| format!("cap_{name}")).join(",");
    process::succeed(setcap.arg(format!("{words}+ep")).arg(&daemon))?;
    let threads = traced(|link| {
        let mut command = link.near.command(requirement("setpriv")?);
        command.args(someone()).arg(&daemon).args(TRACE);
        Ok(command)
    })?;
    privileges::ensure_none(&threads, true)?;
    for thread in threads {
        assert_eq!(thread.users, [12_345; 4]);
    }
    Ok(())
}

const TRACE: [&str; 5] = ["trace", "-i", NEAR, "--format", "json"];

/// Traces a connection by this command, and gives the privileges of its threads meanwhile.
fn traced(command: impl FnOnce(&Link) -> Result<Command>) -> Result<Vec<Privileges>> {
    let link = Link::silent()?;
    let mut tracer = Tracer::start(&mut command(&link)?, 1)?;
    Wire::of(&link)?.play(&talk::whole(40_000))?;
    tracer.await_connections(1)?;
    let threads = privileges::of(tracer.id())?;
    daemon::ended_well(&tracer.stop()?)?;
    Ok(threads)
}

/// `setpriv` to someone without a name, with these capabilities and no others to be had.
fn ambient(setpriv: &Command, daemon: &Path, held: &[&str]) -> Command {
    let mut command = Command::new(setpriv.get_program());
    command.args(setpriv.get_args()).args(someone());
    for option in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.arg(format!("{option}={}", set(held)));
    }
    command.arg(daemon).args(TRACE);
    command
}

fn someone() -> [&'static str; 5] {
    ["--reuid", SOMEONE, "--regid", SOMEONE, "--clear-groups"]
}

/// These capabilities alone, as setpriv(1) wants them.
fn set(held: &[&str]) -> String {
    let held = held.iter().map(|name| format!(",+{name}"));
    format!("-all{}", held.collect::<String>())
}

/// The daemon where everyone may start it.
fn copy(scratch: &Scratch) -> Result<PathBuf> {
    let copy = scratch.file("synfin");
    fs::copy(requirement::daemon(), &copy).context("copy the daemon")?;
    for path in [scratch.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(copy)
}

fn requirement(tool: &str) -> Result<PathBuf> {
    requirement::tool(tool).with_context(|| format!("find {tool}"))
}
