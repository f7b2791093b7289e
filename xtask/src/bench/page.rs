//! What a page of many connections costs, in making it and in a browser: runs the bench of the tests on a
//! capture of `read`.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use super::{Options, load::Load, read};
use crate::{build, exec, packages, workspace::Workspace};

/// Rounds at most: each makes a page and opens it, which takes some ten seconds.
const ROUNDS: u16 = 5;

/// Measures round by round; the figures and the page lie under `target/bench` as well.
pub(super) fn measure(workspace: &Workspace, options: &Options) -> Result<()> {
    let synfin = options.synfin(workspace)?;
    packages::obtain(packages::PAGES)?;
    let folder = workspace.bench();
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let load = Load::Lifecycles;
    let capture = read::capture(&folder, load);
    let mut generate = Command::new(build::xtask(workspace)?);
    exec::run(generate.args(["bench-part", "generate"]).arg(&folder))?;
    let mut command = exec::cargo();
    command
        .args([
            "bench",
            "--package",
            "synfin-tests",
            "--bench",
            "report",
            "--",
        ])
        .args(["--rounds", &options.runs.min(ROUNDS).to_string()])
        .args(["--connections", &load.connections().to_string()])
        .arg("--capture")
        .arg(capture)
        .arg("--json")
        .arg(folder.join("report.json"))
        .env("SYNFIN_BIN", synfin)
        .current_dir(workspace.root());
    exec::run(&mut command)
}
