//! The sections that load programs: builds them with others to measure against, and runs a bench of the
//! tests on them, as root.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::Options;
use crate::{
    build,
    exec::{self, say},
    packages::{self, Tool},
    privilege, test,
    workspace::Workspace,
};

/// What traffic is made with, and the programs of others that watch it as well.
const TOOLS: [Tool; 5] = [
    packages::tool("ip", "iproute2"),
    packages::tool("ethtool", "ethtool"),
    packages::tool("iperf3", "iperf3"),
    packages::tool("tcpdump", "tcpdump"),
    packages::tool("tshark", "tshark"),
];

/// The programs by BPF_PROG_TEST_RUN, on single segments.
pub(super) fn segments(workspace: &Workspace, options: &Options) -> Result<()> {
    run("kernel", None, "kernel", workspace, options)
}

/// The daemon and the programs of others on traffic between network namespaces.
pub(super) fn on_the_wire(section: &str, workspace: &Workspace, options: &Options) -> Result<()> {
    let synfin = options.synfin(workspace)?;
    for tool in TOOLS {
        if let Err(error) = packages::obtain(&[tool]) {
            say(format_args!("{error:#}"));
        }
    }
    run("wire", Some(&synfin), section, workspace, options)
}

/// Runs a bench; its figures lie under `target/bench` as well.
fn run(
    bench: &str,
    synfin: Option<&Path>,
    section: &str,
    workspace: &Workspace,
    options: &Options,
) -> Result<()> {
    let object = build::bench_object(workspace)?;
    let folder = workspace.bench();
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut command = exec::cargo();
    command
        .args(["bench", "--package", "synfin-tests", "--bench", bench, "--"])
        .args(synfin.into_iter().flat_map(|_| ["--section", section]))
        .args(["--rounds", &options.runs.to_string(), "--object"])
        .arg(object)
        .arg("--json")
        .arg(folder.join(section).with_extension("json"))
        .current_dir(workspace.root());
    if let Some(synfin) = synfin {
        command.env("SYNFIN_BIN", synfin);
    }
    if !privilege::is_root() {
        command.env(test::runner_variable()?, privilege::SUDO_RUNNER);
    }
    exec::run(&mut command)
}
