//! `--netns`: the interfaces of another network namespace than the one that synfin was started in.

use std::process::Command;

use anyhow::{Result, ensure};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::Tracer;
use synfin_tests::inject::Wire;
use synfin_tests::netns::{FAR, Link, NEAR};
use synfin_tests::process::{self, Background, Output};
use synfin_tests::requirement::{
    self,
    Requirement::{Daemon, Root, Tool},
};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_namespace_is_entered_by_its_name,
        a_namespace_is_entered_by_its_path,
        a_namespace_is_entered_by_the_number_of_a_process_in_it,
        any_in_a_namespace_follows_what_comes_there,
        a_namespace_that_is_not_there_is_named,
    ];
    let unprivileged = cases![&[Root, Daemon, Tool("setpriv")];
        without_the_right_to_enter_a_namespace_it_says_what_it_needs,
    ];
    [plain, unprivileged].concat()
}

fn a_namespace_is_entered_by_its_name() -> Result<()> {
    let link = Link::silent()?;
    is_traced(&link, link.near.name())
}

fn a_namespace_is_entered_by_its_path() -> Result<()> {
    let link = Link::silent()?;
    is_traced(&link, &format!("/run/netns/{}", link.near.name()))
}

fn a_namespace_is_entered_by_the_number_of_a_process_in_it() -> Result<()> {
    let link = Link::silent()?;
    let mut command = link.near.command("sh");
    // It says so when it is there.
    command.args(["-c", "echo here; exec sleep 600"]);
    let mut process = Background::start(&mut command)?;
    process.wait_for_stdout("a process in the namespace", |said| said.find("here"))?;
    is_traced(&link, &process.id().to_string())
}

fn any_in_a_namespace_follows_what_comes_there() -> Result<()> {
    let link = Link::silent()?;
    let mut tracer = trace(link.near.name(), "any", 2)?;
    link.near.ip(&["link", "set", NEAR, "down"])?;
    link.near.ip(&["link", "set", NEAR, "name", "other0"])?;
    tracer.await_said(&format!("the interface {NEAR} is called other0 now"), 1)?;
    link.near.ip(&["link", "set", "other0", "up"])?;
    Wire::between((&link.near, "other0"), (&link.far, FAR))?.play(&whole())?;
    assert_eq!(tracer.connection()?.interface, "other0");
    Ok(())
}

fn a_namespace_that_is_not_there_is_named() -> Result<()> {
    for (wanted, words) in [
        ("nosuch", "there is no network namespace nosuch"),
        ("4294967295", "no process has this number"),
        (
            "/nosuch/at/all",
            "there is no network namespace /nosuch/at/all",
        ),
        ("/proc/self/exe", "/proc/self/exe is no network namespace"),
        ("/", "/ is no network namespace"),
    ] {
        let output = process::run(&mut command(wanted, "any"))?;
        failed(&output, words)?;
    }
    Ok(())
}

fn without_the_right_to_enter_a_namespace_it_says_what_it_needs() -> Result<()> {
    let link = Link::silent()?;
    // Where the build lies, nobody may be able to look.
    let scratch = Scratch::new()?;
    let copy = scratch.file("synfin");
    std::fs::copy(requirement::daemon(), &copy)?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    command.arg(copy).args(["trace", "-i", NEAR]);
    let output = process::run(command.args(["--netns", link.near.name()]))?;
    failed(&output, "CAP_SYS_ADMIN")
}

/// That a connection of the near side is told to who enters it like this.
fn is_traced(link: &Link, wanted: &str) -> Result<()> {
    let tracer = trace(wanted, NEAR, 1)?;
    Wire::of(link)?.play(&whole())?;
    let connection = tracer.connection()?;
    assert_eq!(connection.interface, NEAR);
    assert_eq!(connection.close.kind, "four_way");
    Ok(())
}

/// Traces from the namespace of the test itself.
fn trace(wanted: &str, interface: &str, interfaces: usize) -> Result<Tracer> {
    let mut command = command(wanted, interface);
    Tracer::start(command.args(["--format", "json"]), interfaces)
}

fn command(wanted: &str, interface: &str) -> Command {
    let mut command = Command::new(requirement::daemon());
    command.args(["trace", "--netns", wanted, "-i", interface]);
    command
}

fn whole() -> Conversation {
    let client = ([10, 1, 1, 2], 40_000).into();
    let server = ([10, 1, 1, 1], 80).into();
    let talk = Conversation::between((client, 1_000), (server, 2_000));
    talk.open().data(Sender::Client, 5).close(Sender::Client)
}

fn failed(output: &Output, words: &str) -> Result<()> {
    ensure!(
        output.status.code() == Some(1),
        "it ended with {} and said {}",
        output.status,
        output.stderr
    );
    let told = output
        .stderr
        .lines()
        .any(|line| line.starts_with("synfin: error: ") && line.contains(words));
    ensure!(told, "{words:?} is not told: {}", output.stderr);
    Ok(())
}
