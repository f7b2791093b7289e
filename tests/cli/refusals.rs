//! What cannot be done ends with status 1 and an error that says what, and where.

use anyhow::{Result, ensure};
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR, Namespace};
use synfin_tests::process::{self, Output};
use synfin_tests::requirement::{
    self,
    Requirement::{Daemon, Root, Tool},
};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::talks::whole;

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        an_interface_that_is_not_there_is_named,
        a_second_native_program_is_refused_and_the_first_goes_on,
        two_tracers_side_by_side_tell_the_same,
    ];
    let unprivileged = cases![&[Root, Daemon, Tool("setpriv")]; without_root_it_says_what_it_needs];
    [plain, unprivileged].concat()
}

fn an_interface_that_is_not_there_is_named() -> Result<()> {
    let namespace = Namespace::new()?;
    let output = daemon::run(&namespace, &["trace", "-i", "nosuch0"])?;
    failed(&output, &["nosuch0"])
}

fn without_root_it_says_what_it_needs() -> Result<()> {
    let link = Link::silent()?;
    // Where the build lies, nobody may be able to look.
    let scratch = Scratch::new()?;
    let copy = scratch.file("synfin");
    std::fs::copy(requirement::daemon(), &copy)?;
    let mut command = link.near.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(["--bounding-set=-all", "--inh-caps=-all"]);
    let output = process::run(command.arg(copy).args(["trace", "-i", NEAR]))?;
    failed(&output, &["root"])
}

fn a_second_native_program_is_refused_and_the_first_goes_on() -> Result<()> {
    let link = Link::silent()?;
    let first = Tracer::json(&link.near, &["--xdp-mode", "native"])?;
    let second = daemon::run(&link.near, &["trace", "-i", NEAR, "--xdp-mode", "native"])?;
    failed(&second, &[NEAR, "XDP"])?;
    Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    assert_eq!(first.connection()?.close.kind, "four_way");
    Ok(())
}

fn two_tracers_side_by_side_tell_the_same() -> Result<()> {
    let link = Link::silent()?;
    let first = Tracer::json(&link.near, &["--xdp-mode", "native"])?;
    let second = Tracer::json(&link.near, &["--xdp-mode", "tcx"])?;
    let third = Tracer::json(&link.near, &["--xdp-mode", "tcx"])?;
    Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    for tracer in [first, second, third] {
        let connection = tracer.connection()?;
        assert_eq!(connection.open.outcome, "established");
        assert_eq!(connection.close.kind, "four_way");
        assert_eq!(connection.client.bytes, Some(5));
    }
    Ok(())
}

fn failed(output: &Output, named: &[&str]) -> Result<()> {
    ensure!(
        output.status.code() == Some(1),
        "it ended with {} and said {}",
        output.status,
        output.stderr
    );
    let error = output
        .stderr
        .lines()
        .find(|line| line.starts_with("synfin: error: "));
    ensure!(error.is_some(), "no error was told: {}", output.stderr);
    for name in named {
        ensure!(
            output.stderr.contains(name),
            "{name} is not named: {}",
            output.stderr
        );
    }
    assert_eq!(output.stdout, "");
    Ok(())
}
