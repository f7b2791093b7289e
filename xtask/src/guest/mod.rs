//! Other kernels than this machine's, in virtual machines.
//!
//! Cargo is given a program that starts the binaries that it built: this one, which starts each in a
//! guest of its own. A guest has one of Debian's kernels, a file system in memory with the binary and
//! what it needs, and two serial ports. Nothing is installed: what guests are made of lies unpacked under
//! `target`.

mod archive;
mod emulator;
mod image;
mod kernel;
mod machine;
pub(crate) mod quick;
mod without;

use std::{env, ffi::OsString, fs, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::{kernel::Kernel, machine::Accel};
use crate::{exec::say, workspace::Workspace};

/// Which guest is meant.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// In a virtual machine with the newest kernel of this version that apt offers, as 6.1
    #[arg(long, value_name = "VERSION")]
    kernel: Option<String>,
    /// How a virtual machine's instructions are carried out
    #[arg(long, value_enum, default_value_t, requires = "kernel")]
    accel: Accel,
}

/// The oldest kernel that Debian keeps for machines with BTF.
pub(crate) const OLDEST: &str = "6.1";

impl Options {
    /// The oldest one, emulated.
    pub(crate) fn oldest() -> Self {
        Self {
            kernel: Some(OLDEST.to_owned()),
            accel: Accel::default(),
        }
    }
}

/// Seconds that a guest may take from its start to its last word: for all tests of a suite, and for a few.
pub(crate) const LONG: u32 = 5_400;
pub(crate) const SHORT: u32 = 1_200;

/// A binary to start in a guest.
#[derive(Args)]
pub(crate) struct Start {
    /// How long it may take, in seconds
    #[arg(long)]
    limit: u32,
    /// The whole release of a kernel that is unpacked
    #[arg(long)]
    release: String,
    #[arg(long, value_enum)]
    accel: Accel,
    /// The binary and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// What starts binaries in guests, as words; `None` where no guest is meant.
pub(crate) fn runner(
    workspace: &Workspace,
    options: &Options,
    limit: u32,
) -> Result<Option<Vec<String>>> {
    let Some(version) = &options.kernel else {
        return Ok(None);
    };
    let kernel = obtain(workspace, version)?;
    for (what, why) in without::reasons(&kernel)? {
        say(format_args!("tests that need {what} are not run: {why}"));
    }
    let xtask = env::current_exe().context("ask where this program is")?;
    let xtask = xtask
        .to_str()
        .context("the path of this program is no text")?;
    let limit = limit.to_string();
    let words = [
        xtask,
        "guest",
        "--limit",
        &limit,
        "--release",
        kernel.release(),
        "--accel",
        options.accel.word(),
    ];
    Ok(Some(words.map(str::to_owned).to_vec()))
}

/// Obtains everything that guests with this version need.
pub(crate) fn obtain(workspace: &Workspace, version: &str) -> Result<Kernel> {
    ensure!(
        env::consts::ARCH == "x86_64",
        "virtual machines are x86-64, and what is built here is {}",
        env::consts::ARCH
    );
    emulator::obtain(workspace)?;
    kernel::busybox(workspace)?;
    Kernel::obtain(workspace, version)
}

/// Starts a binary in a guest, and ends as it ended.
pub(crate) fn start(workspace: &Workspace, start: &Start) -> Result<ExitCode> {
    let kernel = Kernel::at(workspace, &start.release);
    let busybox = kernel::busybox(workspace)?;
    let root = workspace
        .guest()
        .join(format!("root-{}", std::process::id()));
    let console = root.with_extension("console");
    let image = image::root(workspace, &kernel, &busybox, &start.command)?;
    fs::write(&root, image).with_context(|| format!("write {}", root.display()))?;
    let status = machine::run(workspace, &kernel, &root, &console, start);
    for file in [&root, &console] {
        drop(fs::remove_file(file));
    }
    Ok(ExitCode::from(status?))
}
