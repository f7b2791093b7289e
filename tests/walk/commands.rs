//! Each command of the README, in a place where it can be run: a host with an interface called eth0, and a
//! directory with the captures that the README speaks of.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{self, Namespace};
use synfin_tests::packets::{self, Packets};
use synfin_tests::process::{self, Background};
use synfin_tests::requirement;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

/// Commands that come to an end, and what they print.
pub(crate) const WALKED: &[(&str, &str)] = &[
    (
        "cargo xtask build",
        "this one file is all that has to be copied",
    ),
    (
        "cargo xtask setup --tests",
        "ready; to build: cargo xtask build",
    ),
    ("cargo xtask unsafe", "unsafe"),
    ("cargo xtask demo", "10.1.1.1:21 ftp   established in "),
    ("source <(synfin completions bash)", ""),
    (
        "sudo setcap cap_bpf,cap_net_admin,cap_perfmon+ep /usr/local/bin/synfin",
        "",
    ),
    ("synfin --help", "Examples:"),
    ("synfin --version", "commit "),
    ("synfin completions bash|zsh|fish", "synfin"),
    (
        "synfin detach",
        "nothing is left of a synfin that was killed",
    ),
    ("synfin doctor", "this host"),
    ("synfin doctor -i eth0", "⇒ tracing would take "),
    ("synfin explain", "no_answer"),
    ("synfin explain synack_repeated", "accept queue"),
    ("synfin man [COMMAND]", ".TH"),
    ("synfin man trace | man -l -", "synfin-trace"),
    ("synfin read --format json", "\"type\":\"connection\""),
    (
        "synfin read --only failed --since +5m client.pcap server.pcap.gz",
        "no connections",
    ),
    ("synfin read capture.pcapng", "established in "),
    (
        "synfin report capture.pcapng -o report.html",
        "connections listed",
    ),
    (
        "synfin report connections.json -o report.html",
        "connections listed",
    ),
];

/// Commands that go on until they are told to end, and what they print of a connection meanwhile.
pub(crate) const TRACED: &[(&str, &str)] = &[
    (
        "cargo xtask run --iface eth0",
        "10.1.1.2:40000 → 10.1.1.1:80 http   established in ",
    ),
    (
        "sudo synfin trace -i eth0",
        "10.1.1.2:40000 → 10.1.1.1:80 http   established in ",
    ),
    (
        "tcpdump -i eth0 -U -w - tcp | synfin read --format json -",
        "\"outcome\":\"established\"",
    ),
];

/// Commands that are not run here, and why. Those of `cargo xtask` are asked whether they are right.
pub(crate) const CHECKED: &[(&str, &str)] = &[
    ("cargo xtask bench", "takes a quarter of an hour"),
    ("cargo xtask bench live flood", "takes minutes"),
    ("cargo xtask bench read --peers", "takes half an hour"),
    (
        "cargo xtask build-ebpf --stats",
        "is what --test kernel says of budgets",
    ),
    ("cargo xtask ci", "runs this test"),
    ("cargo xtask deny", "is a part of cargo xtask ci"),
    (
        "cargo xtask endure",
        "takes 10 minutes; its test is in --test live",
    ),
    (
        "cargo xtask fuzz",
        "takes a target and as long as it is given; its seeds are tests",
    ),
    ("cargo xtask test --arch s390x", "takes half an hour"),
    (
        "cargo xtask test --hostile 20000000",
        "takes minutes; --test kernel has fewer frames",
    ),
    ("cargo xtask test --kernel 6.1", "takes minutes"),
    ("cargo xtask test --kernel 6.1 --quick", "takes minutes"),
    (
        "cargo xtask test --report",
        "is what --test live devices does",
    ),
    (
        "curl --proto '=https' -sSf https://sh.rustup.rs | sh",
        "has been run where cargo is",
    ),
    ("strace -f synfin …", "is what --test sandbox does"),
    (
        "synfin COMMAND --help",
        "is a placeholder; --test cli asks all commands",
    ),
    ("synfin read", "is a name in a sentence"),
    ("synfin report", "is a name in a sentence"),
    ("synfin top", "is a name in a sentence"),
    (
        "synfin top --read capture.pcapng --speed 10",
        "needs a terminal; --test live has one",
    ),
    (
        "synfin top -i eth0",
        "needs a terminal; --test live has one",
    ),
    ("synfin trace", "is a name in a sentence"),
];

pub(crate) fn cases() -> Vec<Case> {
    let tools = [
        Tool("tcpdump"),
        Tool("man"),
        Tool("setcap"),
        Tool("vsftpd"),
        Tool("curl"),
    ];
    let needs = [&[Root, Daemon], &tools[..]].concat();
    cases![needs;
        what_ends_by_itself_does_what_the_readme_says,
        what_traces_tells_of_a_connection,
        what_is_not_run_is_taken_by_the_command_line,
    ]
}

/// A host as the README has it in mind.
struct Place {
    near: Namespace,
    far: Namespace,
    scratch: Scratch,
}

impl Place {
    fn new() -> Result<Self> {
        let place = Self {
            near: Namespace::new()?,
            far: Namespace::new()?,
            scratch: Scratch::new()?,
        };
        netns::connect((&place.near, "eth0"), (&place.far, "far0"))?;
        for (host, device) in [(&place.near, "eth0"), (&place.far, "far0")] {
            host.sysctl(&format!("ipv6/conf/{device}/disable_ipv6"), "1")?;
            host.ip(&["link", "set", device, "up"])?;
        }
        let bin = place.scratch.file("bin");
        fs::create_dir(&bin)?;
        // The tests are root already.
        let sudo = bin.join("sudo");
        fs::write(&sudo, "#!/bin/sh\nexec \"$@\"\n")?;
        fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755))?;
        symlink(requirement::daemon(), bin.join("synfin"))?;
        fs::copy(requirement::daemon(), place.scratch.file("installed"))?;
        let capture = place.scratch.file("capture.pcapng");
        packets::write(&captured(), &capture)?;
        let records = process::succeed(
            Command::new(requirement::daemon())
                .args(["read", "--format", "json"])
                .arg(&capture),
        )?;
        place.scratch.write("connections.json", records)?;
        fs::copy(&capture, place.scratch.file("client.pcap"))?;
        fs::copy(&capture, place.scratch.file("server.pcap"))?;
        process::succeed(Command::new("gzip").arg(place.scratch.file("server.pcap")))?;
        Ok(place)
    }

    /// The command in a shell, where it is run by hand otherwise.
    fn command(&self, words: &str) -> Result<Command> {
        let bin = self.scratch.file("bin");
        let path = std::env::var("PATH").context("the search path")?;
        // What is set up is set up for the whole machine, and may have to be fetched.
        let is_apart = !words.starts_with("cargo ") || words.contains("eth0");
        let mut command = if is_apart {
            self.near.command("bash")
        } else {
            Command::new("bash")
        };
        // What is no pipe is the shell itself, and takes its signals.
        let exec = if words.contains(['|', '<']) {
            ""
        } else {
            "exec "
        };
        command.args(["-c", &format!("{exec}{words}")]);
        command.env("PATH", format!("{}:{path}", bin.display()));
        command.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        command.current_dir(if words.starts_with("cargo ") {
            requirement::workspace()
        } else {
            self.scratch.path()
        });
        Ok(command)
    }
}

/// What is named after is run as one of the things that it stands for.
fn concrete(words: &str, place: &Place) -> String {
    let installed = place.scratch.file("installed");
    words
        .replace("/usr/local/bin/synfin", &installed.display().to_string())
        .replace("bash|zsh|fish", "fish")
        .replace(" [COMMAND]", "")
        .replace("--format json", "--format json capture.pcapng")
}

fn talk() -> Conversation {
    Conversation::between(
        (([10, 1, 1, 2], 40_000).into(), 1_000),
        (([10, 1, 1, 1], 80).into(), 2_000),
    )
    .open()
    .data(Sender::Client, 26)
    .close(Sender::Client)
}

fn captured() -> Packets {
    let talk = talk();
    let frames = talk.frames().zip(talk.times_ns());
    Packets::ethernet(
        frames.map(|((_, frame), time_ns)| (1_700_000_000_000_000_000 + time_ns, frame.octets())),
    )
}

fn what_ends_by_itself_does_what_the_readme_says() -> Result<()> {
    let place = Place::new()?;
    for (words, printed) in WALKED {
        // It takes as long as it takes: something may have to be fetched or built.
        let output = place.command(&concrete(words, &place))?.output()?;
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|octets| String::from_utf8_lossy(&octets).into_owned());
        let status = output.status;
        ensure!(status.success(), "`{words}` ended with {status}: {stderr}");
        let said = format!("{stdout}{stderr}");
        ensure!(
            said.contains(printed),
            "`{words}` does not say {printed:?}: {said}"
        );
    }
    Ok(())
}

fn what_traces_tells_of_a_connection() -> Result<()> {
    for (words, printed) in TRACED {
        let place = Place::new()?;
        let mut running = Background::start(&mut place.command(words)?)?;
        running.wait_for_stderr("its beginning", |said| {
            let begun = said.contains("synfin: tracing eth0") || said.contains("listening on eth0");
            begun.then_some(())
        })?;
        let wire = Wire::between((&place.near, "eth0"), (&place.far, "far0"))?;
        wire.play(&talk())?;
        running.wait_for_stdout("the connection", |told| {
            told.contains(printed).then_some(())
        })?;
        // Of a pipe the first program is told to end, and the other one ends with it.
        let id = running.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        match children.split_whitespace().next() {
            Some(child) if words.contains('|') => {
                kill(Pid::from_raw(child.parse()?), Signal::SIGINT)?
            }
            _ => running.signal(Signal::SIGINT)?,
        }
        let output = running.wait()?;
        ensure!(
            output.status.success(),
            "`{words}` ended with {}: {}",
            output.status,
            output.stderr
        );
    }
    Ok(())
}

fn what_is_not_run_is_taken_by_the_command_line() -> Result<()> {
    let place = Place::new()?;
    for (words, _) in CHECKED
        .iter()
        .filter(|(words, _)| words.starts_with("cargo "))
    {
        let output = process::run(&mut place.command(&format!("{words} --help"))?)?;
        ensure!(
            output.status.success(),
            "`{words}` is refused: {}",
            output.stderr
        );
        ensure!(
            output.stdout.contains("Usage: "),
            "`{words}`: {}",
            output.stdout
        );
    }
    Ok(())
}
