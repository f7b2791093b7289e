//! What user space costs: runs the bench of the tests on events that it makes itself.

use std::fs;

use anyhow::{Context, Result};

use crate::{exec, workspace::Workspace};

/// Measures round by round; the figures lie under `target/bench` as well.
pub(super) fn measure(workspace: &Workspace, rounds: u16) -> Result<()> {
    let folder = workspace.bench();
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut command = exec::cargo();
    command
        .args(["bench", "--package", "synfin-tests", "--bench", "user"])
        .args(["--", "--rounds", &rounds.to_string(), "--json"])
        .arg(folder.join("user.json"))
        .current_dir(workspace.root());
    exec::run(&mut command)
}
