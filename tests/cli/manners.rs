//! What a program owes to those who use it by hand: examples, completions, manual pages, options from the
//! environment, and words for what it prints.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use synfin::diagnosis::rules;
use synfin_tests::cases;
use synfin_tests::process::{self, Output};
use synfin_tests::record;
use synfin_tests::requirement;
use synfin_tests::requirement::Requirement::{Daemon, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::talks::whole;

pub(crate) fn cases() -> Vec<Case> {
    let alone = cases![&[Daemon];
        every_command_is_in_the_completions_of_every_shell,
        every_diagnosis_is_explained,
        a_diagnosis_that_is_not_there_is_an_error_that_says_what_to_do,
        an_option_comes_from_the_environment_and_the_command_line_comes_first,
        a_wrong_value_in_the_environment_is_a_wrong_command_line,
        a_flag_of_the_environment_takes_true_and_false,
        every_help_has_an_example,
        a_reader_that_has_heard_enough_is_no_error,
    ];
    let shells = cases![&[Daemon, Tool("bash")]; bash_reads_its_completions];
    let pages = cases![&[Daemon, Tool("man")]; every_manual_page_is_shown];
    [alone, shells, pages].concat()
}

/// The commands, as `--help` lists them.
const COMMANDS: [&str; 8] = [
    "trace",
    "read",
    "top",
    "detach",
    "doctor",
    "explain",
    "completions",
    "man",
];

fn synfin() -> Command {
    Command::new(requirement::daemon())
}

fn said(arguments: &[&str]) -> Result<Output> {
    let output = process::run(synfin().args(arguments))?;
    ensure!(output.status.success(), "{arguments:?}: {}", output.stderr);
    Ok(output)
}

fn every_command_is_in_the_completions_of_every_shell() -> Result<()> {
    let help = said(&["--help"])?.stdout;
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell])?.stdout;
        for command in COMMANDS {
            ensure!(
                help.contains(&format!("  {command} ")),
                "--help lacks {command}"
            );
            ensure!(script.contains(command), "{shell} lacks {command}");
        }
        ensure!(
            script.contains("--xdp-mode") || script.contains("xdp-mode"),
            "{shell} lacks options"
        );
    }
    Ok(())
}

fn bash_reads_its_completions() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.path().join("completions");
    std::fs::write(&file, said(&["completions", "bash"])?.stdout)?;
    // What it completes is asked for as bash does.
    let script = "source \"$1\"; COMP_WORDS=(synfin trace --xdp-mode ''); COMP_CWORD=3; \
                  _synfin synfin '' --xdp-mode; echo \"${COMPREPLY[*]}\"";
    let words = process::succeed(Command::new("bash").args(["-c", script, "bash"]).arg(&file))?;
    assert_eq!(words.trim(), "auto native generic tcx clsact");
    Ok(())
}

fn every_manual_page_is_shown() -> Result<()> {
    let scratch = Scratch::new()?;
    for command in COMMANDS.map(Some).into_iter().chain([None]) {
        let words: Vec<_> = ["man"].into_iter().chain(command).collect();
        let page = scratch.path().join("page.1");
        std::fs::write(&page, said(&words)?.stdout)?;
        let mut man = Command::new("man");
        man.env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .args(["--warnings", "-l"]);
        let output = process::run(man.arg(&page))?;
        ensure!(
            output.status.success() && output.stderr.is_empty(),
            "{words:?}: {}",
            output.stderr
        );
        let title = command.map_or_else(|| "synfin".to_owned(), |name| format!("synfin-{name}"));
        ensure!(
            output.stdout.contains(&title),
            "{words:?}: {}",
            output.stdout
        );
        ensure!(
            output.stdout.contains("SYNOPSIS"),
            "{words:?}: {}",
            output.stdout
        );
    }
    Ok(())
}

fn every_diagnosis_is_explained() -> Result<()> {
    let list = said(&["explain"])?.stdout;
    for rule in rules() {
        ensure!(list.contains(rule.code), "{} is not listed", rule.code);
        let text = said(&["explain", rule.code])?.stdout;
        for part in [rule.headline, rule.when] {
            ensure!(text.contains(part), "{text}");
        }
    }
    Ok(())
}

fn a_diagnosis_that_is_not_there_is_an_error_that_says_what_to_do() -> Result<()> {
    let output = process::run(synfin().args(["explain", "bad_luck"]))?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stderr,
        "synfin: error: no diagnosis is called bad_luck; synfin explain lists them\n"
    );
    Ok(())
}

/// Reads a capture of one connection with this environment.
fn read(environment: &[(&str, &str)], arguments: &[&str]) -> Result<Output> {
    let scratch = Scratch::new()?;
    let capture = crate::formats::capture(&scratch, &[whole("10.1.1.2:40000", "10.1.1.1:80")])?;
    let mut command = synfin();
    command.arg("read").args(arguments).arg(capture);
    process::run(command.envs(environment.iter().copied()))
}

fn an_option_comes_from_the_environment_and_the_command_line_comes_first() -> Result<()> {
    let output = read(&[("SYNFIN_FORMAT", "json")], &[])?;
    assert_eq!(record::connections(&output.stdout)?.len(), 1);
    let output = read(&[("SYNFIN_FORMAT", "json")], &["--format", "csv"])?;
    ensure!(output.stdout.starts_with("start,"), "{}", output.stdout);
    let output = read(&[("SYNFIN_PORT", "81,82")], &[])?;
    assert_eq!(output.stdout, "");
    Ok(())
}

fn a_wrong_value_in_the_environment_is_a_wrong_command_line() -> Result<()> {
    let output = read(&[("SYNFIN_HANDSHAKE_TIMEOUT", "soon")], &[])?;
    assert_eq!(output.status.code(), Some(2));
    ensure!(
        output.stderr.contains("--handshake-timeout"),
        "{}",
        output.stderr
    );
    Ok(())
}

fn a_flag_of_the_environment_takes_true_and_false() -> Result<()> {
    let output = read(&[("SYNFIN_SUMMARY", "true")], &[])?;
    ensure!(output.stdout.contains("10.1.1.1:80"), "{}", output.stdout);
    ensure!(!output.stdout.contains("◄─"), "{}", output.stdout);
    let output = read(&[("SYNFIN_SUMMARY", "false")], &[])?;
    ensure!(output.stdout.contains("◄─"), "{}", output.stdout);
    Ok(())
}

fn every_help_has_an_example() -> Result<()> {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["trace", "--help"],
        &["read", "--help"],
    ] {
        let help = said(arguments)?.stdout;
        let (_, examples) = help.split_once("Examples:").context("no examples")?;
        ensure!(examples.contains("synfin "), "{arguments:?}: {examples}");
    }
    let help = said(&["--help"])?.stdout;
    for part in ["Environment:", "SYNFIN_", "Exit status:"] {
        ensure!(help.contains(part), "{part} is missing: {help}");
    }
    Ok(())
}

fn a_reader_that_has_heard_enough_is_no_error() -> Result<()> {
    for arguments in [&["explain"][..], &["completions", "zsh"], &["man", "trace"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = synfin();
        let status = command.args(arguments).stdout(writer).status()?;
        ensure!(status.success(), "{arguments:?}: {status}");
    }
    Ok(())
}
