//! What the programs cost in the kernel: builds them with others to measure against, and runs the
//! bench of the tests on them.

use std::fs;

use anyhow::{Context, Result};

use crate::{build, exec, privilege, test, workspace::Workspace};

/// Measures round by round; the figures lie under `target/bench` as well.
pub(super) fn measure(workspace: &Workspace, rounds: u16) -> Result<()> {
    let object = build::bench_object(workspace)?;
    let folder = workspace.bench();
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut command = exec::cargo();
    command
        .args(["bench", "--package", "synfin-tests", "--bench", "kernel"])
        .args(["--", "--rounds", &rounds.to_string(), "--object"])
        .arg(object)
        .arg("--json")
        .arg(folder.join("kernel.json"))
        .current_dir(workspace.root());
    if !privilege::is_root() {
        command.env(test::runner_variable()?, privilege::SUDO_RUNNER);
    }
    exec::run(&mut command)
}
