//! Runs every test against what was just built.
//!
//! Tests that load programs or make network namespaces need root. Cargo itself never runs as root
//! here unless we already are: only the finished test binaries do, so that no file under `target`
//! ends up in root's hands.

use std::{env, ffi::OsString, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    build,
    exec::{self, say},
    guest::{self, quick},
    packages, privilege,
    workspace::Workspace,
};

/// Which tests, and where.
#[derive(Clone, Default)]
pub(crate) struct Choice {
    /// Root is never asked for.
    pub(crate) unprivileged: bool,
    /// A virtual machine, where one was asked for.
    pub(crate) guest: guest::Options,
    /// Only what is worth most there.
    pub(crate) quick: bool,
    /// For `cargo test`. The command line comes apart at a `--` that leads it only: a later one is still
    /// among these.
    pub(crate) args: Vec<OsString>,
    /// For the tests themselves.
    pub(crate) harness: Vec<OsString>,
}

/// Builds everything, then runs every test.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    some(workspace, &Choice::default())
}

/// What is worth most on the oldest kernel that there are virtual machines for. Where these cannot be had
/// that is said, and fails where everything must run.
pub(crate) fn on_the_oldest_kernel(workspace: &Workspace) -> Result<()> {
    let oldest = guest::OLDEST;
    match guest::obtain(workspace, oldest) {
        Ok(_) => {}
        Err(error) if must_all_run() => {
            return Err(error.context(format!(
                "tests on Linux {oldest} may not be left out where CI is set"
            )));
        }
        Err(error) => {
            say(format_args!(
                "tests on Linux {oldest} are not run: {error:#}"
            ));
            return Ok(());
        }
    }
    let choice = Choice {
        guest: guest::Options::oldest(),
        quick: true,
        ..Choice::default()
    };
    some(workspace, &choice)
}

/// Connections all the time for so long, while the interface, the daemon and the reader of its output
/// stand still by turns.
pub(crate) fn endure(workspace: &Workspace, duration: Duration) -> Result<()> {
    let seconds = ("SYNFIN_ENDURE", duration.as_secs().to_string());
    one(workspace, "live", &[], "enduring::", &[seconds])
}

/// So many frames that nobody should send.
pub(crate) fn hostile(workspace: &Workspace, frames: u64) -> Result<()> {
    let frames = ("SYNFIN_HOSTILE_FRAMES", frames.to_string());
    // User space takes most of the time where it is not optimized.
    one(
        workspace,
        "kernel",
        &["--release"],
        "hostile::hostile",
        &[frames],
    )
}

/// One test of a suite, with what it says.
fn one(
    workspace: &Workspace,
    suite: &str,
    flags: &[&str],
    name: &str,
    variables: &[(&str, String)],
) -> Result<()> {
    let args = [&["--package", "synfin-tests", "--test", suite], flags].concat();
    let choice = Choice {
        args: args.into_iter().map(OsString::from).collect(),
        harness: [name, "--nocapture"].map(OsString::from).into(),
        ..Choice::default()
    };
    let mut command = built(workspace, &choice)?;
    exec::run(command.envs(variables.iter().map(|(name, value)| (name, value))))
}

/// What is tested in a virtual machine where nothing was chosen: what asks the kernel.
const IN_A_GUEST: [&str; 6] = [
    "--package",
    "synfin-tests",
    "--test",
    "kernel",
    "--test",
    "live",
];

/// Builds everything, then runs these tests.
pub(crate) fn some(workspace: &Workspace, choice: &Choice) -> Result<()> {
    exec::run(&mut built(workspace, choice)?)
}

/// Builds everything; the `cargo test` that [`some`] runs then.
pub(crate) fn built(workspace: &Workspace, choice: &Choice) -> Result<Command> {
    build::all(workspace)?;
    if let Err(error) = packages::obtain_for_tests() {
        say(format_args!("{error:#}"));
        say("tests that use a missing program report themselves as not run");
    }
    cargo_test(workspace, choice)
}

/// Builds the BPF programs, then says for each program what it costs the verifier, and fails where that is
/// too much.
pub(crate) fn verifier(workspace: &Workspace, guest: guest::Options) -> Result<()> {
    let args = ["--package", "synfin-tests", "--test", "kernel"].map(OsString::from);
    build::ebpf(workspace)?;
    let choice = Choice {
        guest,
        args: args.into(),
        // One at a time, since each takes times.
        harness: ["budget::", "--test-threads=1"].map(OsString::from).into(),
        ..Choice::default()
    };
    let mut command = cargo_test(workspace, &choice)?;
    // Asked for by itself, it may not be left out where something is missing.
    exec::run(command.env("CI", "true"))
}

fn cargo_test(workspace: &Workspace, choice: &Choice) -> Result<Command> {
    let Choice { args, harness, .. } = choice;
    let limit = if choice.quick {
        guest::SHORT
    } else {
        guest::LONG
    };
    let guest = guest::runner(workspace, &choice.guest, limit)?;
    let mut command = exec::cargo();
    if let Some(runner) = &guest {
        // A list of words, of which each may have spaces in it.
        let setting = format!("target.{}.runner={runner:?}", host()?);
        command.args(["--config", &setting]);
    }
    command.args(["test", "--no-fail-fast"]);
    match (chooses_packages(args), &guest) {
        (true, _) => {}
        (false, None) => drop(command.arg("--workspace")),
        (false, Some(_)) => drop(command.args(IN_A_GUEST)),
    }
    command
        .args(args)
        .env("SYNFIN_BIN", workspace.synfin())
        .env("SYNFIN_BPF_OBJECT", workspace.bpf_object())
        .current_dir(workspace.root());
    if choice.quick {
        command.env(quick::VARIABLE, quick::tests());
    }
    if !harness.is_empty() {
        command.arg("--").args(harness);
    }
    if guest.is_none() && !privilege::is_root() {
        if !choice.unprivileged && privilege::sudo_works() {
            command.env(runner_variable()?, privilege::SUDO_RUNNER);
        } else {
            say("tests that need root report themselves as not run");
        }
    }
    Ok(command)
}

/// Whether what is missing is a failure, as the tests have it.
fn must_all_run() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Whether the arguments say which packages to test; cargo's own come before the first `--`.
fn chooses_packages(args: &[OsString]) -> bool {
    args.iter()
        .filter_map(|arg| arg.to_str())
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("--package") || arg.starts_with("-p"))
}

/// The variable that tells cargo which program starts the binaries it built for the host.
pub(crate) fn runner_variable() -> Result<String> {
    Ok(runner_variable_of(&host()?))
}

/// What cargo builds for where it is not told.
fn host() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = exec::read(Command::new(rustc).arg("-vV")).context("ask rustc for its host")?;
    let host = said
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not name its host")?;
    Ok(host.to_owned())
}

fn runner_variable_of(host: &str) -> String {
    let host = host.replace(['-', '.'], "_").to_uppercase();
    format!("CARGO_TARGET_{host}_RUNNER")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn without_a_choice_every_package_is_tested() {
        assert!(!chooses_packages(&words("")));
        assert!(!chooses_packages(&words("--profile release handshake")));
    }

    #[test]
    fn a_chosen_package_is_tested_alone() {
        assert!(chooses_packages(&words("-p synfin-tests --test live")));
        assert!(chooses_packages(&words("--package=synfin")));
    }

    #[test]
    fn a_flag_for_the_tests_themselves_chooses_no_package() {
        assert!(!chooses_packages(&words("-- -p")));
    }

    #[test]
    fn the_runner_is_named_after_the_host() {
        assert_eq!(
            runner_variable_of("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }
}
