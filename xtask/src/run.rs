//! Runs the tracer on this machine.

use std::{ffi::OsString, os::unix::process::CommandExt};

use anyhow::{Context, Result};

use crate::{build, exec, privilege, workspace::Workspace};

/// Builds, then becomes `synfin trace ARGS…` as root. It takes the place of this process, so that
/// signals, the terminal and the exit status are its own.
pub(crate) fn trace(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    let mut command = privilege::as_root(workspace.synfin(), "attaching to an interface")?;
    command.arg("trace").args(args);
    build::all(workspace)?;
    exec::say(format_args!("$ {}", exec::shown(&command)));
    Err(command.exec()).context("start synfin")
}
