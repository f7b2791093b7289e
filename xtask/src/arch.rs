//! Other architectures: the libraries and their tests, built by a cross compiler and run under
//! emulation of the user space.
//!
//! No kernel is emulated: what loads programs or makes namespaces is left out.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{
    exec, packages,
    toolchain::{self, Toolchain},
    workspace::Workspace,
};

/// An architecture that the libraries are tested on beside this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// 64 bits, little-endian
    Aarch64,
    /// 64 bits, big-endian
    S390x,
}

impl Arch {
    const fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::S390x => "s390x",
        }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.name())
    }

    /// Where Debian has what programs of this architecture are linked with.
    fn sysroot(self) -> PathBuf {
        format!("/usr/{}-linux-gnu", self.name()).into()
    }

    fn compiler(self) -> String {
        format!("{}-linux-gnu-gcc", self.name())
    }

    fn emulator(self) -> String {
        format!("qemu-{}-static", self.name())
    }

    /// The package of the C library to link with.
    const fn c_library(self) -> &'static str {
        match self {
            Self::Aarch64 => "libc6-dev-arm64-cross",
            Self::S390x => "libc6-dev-s390x-cross",
        }
    }

    const fn compiler_package(self) -> &'static str {
        match self {
            Self::Aarch64 => "gcc-aarch64-linux-gnu",
            Self::S390x => "gcc-s390x-linux-gnu",
        }
    }
}

/// What is tested where nothing was chosen: all that needs neither a kernel nor this machine's
/// programs.
const TESTED: [&[&str]; 2] = [
    &["--package", "synfin-ebpf", "--package", "synfin", "--lib"],
    &["--package", "synfin-tests", "--lib", "--test", "replay"],
];

/// Builds for the architecture, and runs the tests of what does without a kernel.
pub(crate) fn test(workspace: &Workspace, arch: Arch) -> Result<()> {
    obtain(arch)?;
    let toolchain = toolchain::usable().next();
    let toolchain =
        toolchain.context("no toolchain with rust-src here: run `cargo xtask setup`")?;
    for tested in TESTED {
        exec::run(cargo(workspace, &toolchain, arch)?.args(tested))?;
    }
    Ok(())
}

/// Installs the compiler, the C library and the emulator where they are missing.
pub(crate) fn obtain(arch: Arch) -> Result<()> {
    let library = arch.sysroot().join("include/stdio.h");
    let mut missing = Vec::new();
    for (there, package) in [
        (
            exec::find(arch.compiler()).is_some(),
            arch.compiler_package(),
        ),
        (library.is_file(), arch.c_library()),
        (exec::find(arch.emulator()).is_some(), "qemu-user-static"),
    ] {
        if !there {
            missing.push(package);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    packages::install(&missing)
}

/// `cargo test` for the architecture; what is tested is to be added.
fn cargo(workspace: &Workspace, toolchain: &Toolchain, arch: Arch) -> Result<Command> {
    let target = arch.target();
    let variable = |what: &str| {
        let target = target.replace('-', "_").to_uppercase();
        format!("CARGO_TARGET_{target}_{what}")
    };
    let sysroot = arch.sysroot();
    let mut command = toolchain.cargo()?;
    command
        .args(["test", "--no-fail-fast", "--target", &target])
        // There is no built standard library for it.
        .args(["-Z", "build-std", "--target-dir"])
        .arg(workspace.arch())
        .env("RUSTC_BOOTSTRAP", "1")
        // Emulated code that is not optimized takes several times as long.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env(variable("LINKER"), arch.compiler())
        .env(variable("RUNNER"), runner(&arch.emulator(), &sysroot))
        .current_dir(workspace.root());
    Ok(command)
}

fn runner(emulator: &str, sysroot: &Path) -> String {
    format!("{emulator} -L {}", sysroot.display())
}
