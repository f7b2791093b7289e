//! Runs the fuzz targets.
//!
//! What a fuzzer finds on the way stays under `target/fuzz`, so that the next run goes on from
//! there. The seeds in `tests/fuzz/corpus` are read, and never written to.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, say},
    workspace::Workspace,
};

/// The release of cargo-fuzz that is built.
const VERSION: &str = "0.13.2";

/// All targets.
const TARGETS: [&str; 4] = ["frames", "captures", "events", "lines"];

/// Octets of an input at most: several frames, or a small capture.
const MAX_LEN: u32 = 4096;
/// MiB that a target may take: all that it keeps is bounded by a few connections.
const MAX_MIB: u32 = 512;
/// Seconds that one input may take.
const MAX_SECONDS: u32 = 10;

/// Runs one target, or each of them, for so many seconds.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, seconds: u32) -> Result<()> {
    let targets = match target {
        None => TARGETS.to_vec(),
        Some(target) if TARGETS.contains(&target) => vec![target],
        Some(other) => bail!("there is no target {other}, only {}", TARGETS.join(", ")),
    };
    let fuzzer = obtain(workspace)?;
    for target in targets {
        exec::run(&mut fuzz(workspace, &fuzzer, target, seconds)?)
            .with_context(|| format!("fuzz {target}"))?;
    }
    Ok(())
}

fn fuzz(workspace: &Workspace, fuzzer: &Path, target: &str, seconds: u32) -> Result<Command> {
    let package = workspace.root().join("tests/fuzz");
    let found = workspace.fuzz().join("corpus").join(target);
    let artifacts = workspace.fuzz().join("artifacts").join(target);
    for folder in [&found, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let mut command = Command::new(fuzzer);
    command
        // Our code on the way has no unsafe, so the time for it is better spent on more inputs; and
        // without one a stable compiler will do.
        .args(["fuzz", "run", "--sanitizer", "none"])
        .arg("--fuzz-dir")
        .arg(&package)
        .arg("--target-dir")
        .arg(workspace.fuzz())
        // The first folder is written to, the others are read.
        .arg(target)
        .arg(&found)
        .arg(package.join("corpus").join(target))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-rss_limit_mb={MAX_MIB}"))
        .arg(format!("-timeout={MAX_SECONDS}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg("-print_final_stats=1")
        // Optimizing over all crates takes minutes for each target, and makes none much faster.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .current_dir(workspace.root());
    Ok(command)
}

/// Finds cargo-fuzz, ours or one on `PATH`, and where there is none builds it.
fn obtain(workspace: &Workspace) -> Result<PathBuf> {
    let ours = workspace.tools().join("bin/cargo-fuzz");
    if ours.is_file() {
        return Ok(ours);
    }
    if let Some(theirs) = exec::find("cargo-fuzz") {
        return Ok(theirs);
    }
    say(format_args!(
        "building cargo-fuzz {VERSION}; this takes a minute or two, once"
    ));
    exec::run_aside(
        exec::cargo()
            .args(["install", "cargo-fuzz", "--version", VERSION, "--locked"])
            .arg("--root")
            .arg(workspace.tools())
            .env_remove("CARGO_TARGET_DIR")
            // It only starts other programs.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    )
    .with_context(|| {
        format!(
            "without cargo-fuzz nothing can be fuzzed: where it can be had, run \
             `cargo install cargo-fuzz --version {VERSION}`; the seeds are run by \
             `cargo test -p synfin-fuzz`"
        )
    })?;
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_package_and_has_seeds() -> Result<()> {
        let package = Workspace::locate()?.root().join("tests/fuzz");
        for target in TARGETS {
            assert!(
                package
                    .join("targets")
                    .join(target)
                    .with_extension("rs")
                    .is_file()
            );
            assert!(package.join("corpus").join(target).is_dir());
        }
        Ok(())
    }

    #[test]
    fn a_target_that_is_none_is_named() -> Result<()> {
        let outcome = run(&Workspace::locate()?, Some("ghosts"), 1);
        assert!(outcome.is_err_and(|error| error.to_string().contains("ghosts")));
        Ok(())
    }
}
