//! cargo-deny on the dependencies: licences, duplicates, sources, and advisories where their database can
//! be had. `deny.toml` has the rules and their reasons.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    exec::{self, say},
    workspace::Workspace,
};

/// The release of cargo-deny that is built.
const VERSION: &str = "0.20.2";

/// Checks all dependencies.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    let deny = obtain(workspace)?;
    exec::run(&mut check(
        workspace,
        &deny,
        &["licenses", "bans", "sources"],
    ))?;
    match exec::run_aside(command(workspace, &deny).args(["fetch", "db"])) {
        Ok(()) => exec::run(&mut check(workspace, &deny, &["advisories"])),
        Err(error) => {
            say(format_args!(
                "advisories are not checked: their database cannot be had: {error:#}"
            ));
            Ok(())
        }
    }
}

fn check(workspace: &Workspace, deny: &Path, what: &[&str]) -> Command {
    let mut command = command(workspace, deny);
    command.arg("check").args(what);
    command
}

fn command(workspace: &Workspace, deny: &Path) -> Command {
    let mut command = Command::new(deny);
    command
        .args(["--log-level", "warn"])
        .current_dir(workspace.root());
    command
}

/// Finds cargo-deny, ours or one on `PATH`, and where there is none builds it.
pub(crate) fn obtain(workspace: &Workspace) -> Result<PathBuf> {
    let ours = workspace.tools().join("bin/cargo-deny");
    if ours.is_file() {
        return Ok(ours);
    }
    if let Some(theirs) = exec::find("cargo-deny") {
        return Ok(theirs);
    }
    say(format_args!(
        "building cargo-deny {VERSION}; this takes a minute or two, once"
    ));
    exec::run_aside(
        exec::cargo()
            .args(["install", "cargo-deny", "--version", VERSION, "--locked"])
            .arg("--root")
            .arg(workspace.tools())
            .env_remove("CARGO_TARGET_DIR")
            // It runs for a second: optimizing it takes longer than it saves.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    )
    .with_context(|| {
        format!(
            "without cargo-deny nobody looks at the dependencies: where it can be had, run \
             `cargo install cargo-deny --version {VERSION}`"
        )
    })?;
    Ok(ours)
}
