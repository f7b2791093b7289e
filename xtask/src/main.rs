//! The project's own commands, called as `cargo xtask COMMAND`.
//!
//! In go the words of the command line; out come a BPF object, a binary, a running tracer or a test
//! report. Each command finds or installs what it needs first, so any of them may be the first that
//! is run on a machine. What is done is said on standard error in plain words. Nothing here is
//! needed to use a built `synfin`.

mod arch;
mod bench;
mod build;
mod ci;
mod demo;
mod deny;
mod exec;
mod ftp;
mod fuzz;
mod guest;
mod interrupt;
mod linker;
mod llvm;
mod netns;
mod packages;
mod privilege;
mod process;
mod report;
mod run;
mod services;
mod setup;
mod test;
mod toolchain;
mod unsafety;
mod workspace;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{exec::say, setup::Ebpf, workspace::Workspace};

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Builds, runs, demonstrates and tests synfin.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Finds, or installs, what building needs
    Setup {
        /// Also what the tests and the demo need
        #[arg(long)]
        tests: bool,
    },
    /// Builds the BPF programs into target/bpf/synfin.bpf.o
    BuildEbpf {
        /// Then say what they cost the verifier, and fail where that is too much
        #[arg(long)]
        stats: bool,
        #[command(flatten)]
        guest: guest::Options,
    },
    /// Builds the BPF programs, then the one binary that embeds them
    Build,
    /// Builds, then runs `synfin trace ARGS…` as root
    #[command(disable_help_flag = true)]
    Run {
        /// Passed to `synfin trace` untouched
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Traces a real FTP transfer between two network namespaces and shows its connections
    Demo {
        /// The synfin to show, instead of building it
        #[arg(long, value_name = "PATH")]
        synfin: Option<PathBuf>,
        /// Passed to `synfin trace` untouched
        #[arg(last = true)]
        args: Vec<OsString>,
    },
    /// Builds, then runs every test, those that need root as root
    Test {
        /// Never ask for root: tests that need it report themselves as not run
        #[arg(long)]
        unprivileged: bool,
        #[command(flatten)]
        guest: guest::Options,
        /// Only what is worth most in that virtual machine, as CI does
        #[arg(long, requires = "kernel", conflicts_with_all = ["args", "harness"])]
        quick: bool,
        /// Only what needs no kernel, built for another architecture and emulated
        #[arg(long, value_enum, conflicts_with_all = ["kernel", "args", "harness"])]
        arch: Option<arch::Arch>,
        /// Only so many frames that nobody should send, through the loaded programs
        #[arg(long, value_name = "N", exclusive = true)]
        hostile: Option<u64>,
        /// Only the tests that attach to devices; prints what each attached and traced as a table
        #[arg(long, conflicts_with_all = ["kernel", "args", "harness"])]
        report: bool,
        /// Passed to `cargo test`, as `-p synfin-tests --test live`
        #[arg(allow_hyphen_values = true)]
        args: Vec<OsString>,
        /// Passed to the tests themselves, as `--nocapture`
        #[arg(last = true)]
        harness: Vec<OsString>,
    },
    /// Connections all the time, while the interface goes down and up, and the daemon and the reader of
    /// its output stand still by turns
    Endure {
        /// How long it lasts, e.g. 90s or 10m
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
        duration: Duration,
    },
    /// Checks licences, duplicates and sources of the dependencies, and advisories where they can be had
    Deny,
    /// Lists every unsafe with its reason
    Unsafe,
    /// Checks format, lints and dependencies, then runs every test
    Ci,
    /// Measures what synfin costs, beside what does nothing and beside the programs of others
    Bench {
        #[command(flatten)]
        options: bench::Options,
    },
    /// Feeds made-up inputs to the parser, the reader of captures and the assembler
    Fuzz {
        /// frames, captures, events or lines; all of them where none is named
        target: Option<String>,
        /// How long each is fuzzed
        #[arg(long, value_name = "N", default_value = "60")]
        seconds: u32,
    },
    /// What cargo starts binaries with, each in a virtual machine of its own
    #[command(hide = true)]
    Guest {
        #[command(flatten)]
        start: guest::Start,
    },
    /// One part of a bench, in a process of its own
    #[command(hide = true)]
    BenchPart {
        #[command(subcommand)]
        part: bench::Part,
    },
}

fn perform(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::locate()?;
    let done = match task {
        Task::Setup { tests } => setup(&workspace, tests),
        Task::BuildEbpf { stats: false, .. } => build::ebpf(&workspace).map(drop),
        Task::BuildEbpf { guest, .. } => test::verifier(&workspace, guest),
        Task::Build => build::all(&workspace).map(drop),
        Task::Run { args } => run::trace(&workspace, &args),
        Task::Demo { synfin, args } => demo::ftp(&workspace, synfin, &args),
        Task::Test {
            arch: Some(arch), ..
        } => arch::test(&workspace, arch),
        Task::Test {
            hostile: Some(frames),
            ..
        } => test::hostile(&workspace, frames),
        Task::Test {
            unprivileged,
            report: true,
            ..
        } => report::devices(&workspace, unprivileged),
        Task::Test {
            unprivileged,
            guest,
            quick,
            args,
            harness,
            ..
        } => {
            let choice = test::Choice {
                unprivileged,
                guest,
                quick,
                args,
                harness,
            };
            test::some(&workspace, &choice)
        }
        Task::Guest { start } => return guest::start(&workspace, &start),
        Task::Endure { duration } => test::endure(&workspace, duration),
        Task::Deny => deny::all(&workspace),
        Task::Unsafe => unsafety::list(&workspace),
        Task::Ci => ci::all(&workspace),
        Task::Bench { options } => bench::all(&workspace, &options),
        Task::Fuzz { target, seconds } => fuzz::run(&workspace, target.as_deref(), seconds),
        Task::BenchPart { part } => bench::part(&part),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn setup(workspace: &Workspace, tests: bool) -> Result<()> {
    let Ebpf { toolchain, linker } = setup::ebpf(workspace)?;
    say(format_args!(
        "the BPF programs are built by {toolchain} and linked by {}",
        linker.display()
    ));
    if tests {
        packages::obtain_for_tests()?;
        guest::obtain(workspace, guest::OLDEST)?;
        deny::obtain(workspace)?;
        say("every program that the tests use is here");
    }
    say("ready; to build: cargo xtask build");
    Ok(())
}
