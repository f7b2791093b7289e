//! QEMU: the one that is installed, or Debian's unpacked under `target`. Installed it would get into the
//! way of parts of another version that a machine may have.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{exec, packages, workspace::Workspace};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// Where an unpacked one has what it loads, below its folder.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

/// Makes sure that there is an emulator.
pub(super) fn obtain(workspace: &Workspace) -> Result<()> {
    if exec::find(PROGRAM).is_some() || unpacked(workspace).is_dir() {
        return Ok(());
    }
    let packages = packages::not_installed_for(PACKAGE)?;
    packages::unpack(&packages, &unpacked(workspace))
}

/// A command that starts it after `before`, a command that takes another one.
pub(super) fn command(workspace: &Workspace, mut before: Command) -> Command {
    if let Some(program) = exec::find(PROGRAM) {
        before.arg(program);
        return before;
    }
    let folder = unpacked(workspace);
    let libraries = folder.join(LIBRARIES);
    before
        .arg(folder.join("usr/bin").join(PROGRAM))
        .env("QEMU_MODULE_DIR", libraries.join("qemu"))
        .env("LD_LIBRARY_PATH", libraries);
    for firmware in FIRMWARE {
        before.arg("-L").arg(folder.join(firmware));
    }
    before
}

fn unpacked(workspace: &Workspace) -> PathBuf {
    workspace.guest().join("qemu")
}
