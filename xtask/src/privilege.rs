//! Who may do what: root does it itself, everyone else asks sudo.

use std::{
    ffi::OsStr,
    io::{IsTerminal, stdin},
    process::Command,
};

use anyhow::{Result, bail};

use crate::exec;

/// What starts a binary as root, with the variables that were set for it.
pub(crate) const SUDO_RUNNER: &str = "sudo --preserve-env --";

/// Whether this process is root already.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A command that runs `program` as root. `purpose` completes "… needs root".
pub(crate) fn as_root(program: impl AsRef<OsStr>, purpose: &str) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let Some(sudo) = exec::find("sudo") else {
        bail!("{purpose} needs root, and there is no sudo here: run the same command as root");
    };
    let mut command = Command::new(sudo);
    command.arg("--").arg(program);
    Ok(command)
}

/// Whether sudo would let us through. It may ask for a password, but only where someone can answer.
pub(crate) fn sudo_works() -> bool {
    let Some(sudo) = exec::find("sudo") else {
        return false;
    };
    let mut command = Command::new(sudo);
    if !stdin().is_terminal() {
        command.arg("--non-interactive");
    }
    exec::run(command.arg("--validate")).is_ok()
}
