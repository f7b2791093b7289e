//! bpf-linker: finds one whose LLVM is the toolchain's, or builds it.
//!
//! rustc hands over LLVM bitcode, and only an LLVM of the same major version is sure to read it.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    exec::{self, say},
    llvm, packages,
    workspace::Workspace,
};

/// The release that setup builds.
pub(crate) const VERSION: &str = "0.13.0";

/// The LLVMs that this release can be built against.
pub(crate) const LLVM: RangeInclusive<u32> = 21..=23;

/// The oldest release that takes the flags of our build.
const OLDEST: (u32, u32) = (0, 13);

/// A linker for bitcode of this LLVM, if there is one: ours under `target/tools`, or one on `PATH`.
pub(crate) fn find(workspace: &Workspace, llvm: u32) -> Option<PathBuf> {
    [Some(ours(workspace)), exec::find("bpf-linker")]
        .into_iter()
        .flatten()
        .find(|linker| fits(linker, llvm))
}

/// As [`find`], and where there is none builds it, which takes a minute or two.
pub(crate) fn obtain(workspace: &Workspace, llvm: u32) -> Result<PathBuf> {
    if let Some(linker) = find(workspace, llvm) {
        return Ok(linker);
    }
    let prefix = libraries(llvm)?;
    say(format_args!(
        "building bpf-linker {VERSION} against LLVM {llvm}; this takes a minute or two, once"
    ));
    exec::run_aside(
        exec::cargo()
            .args(["install", "bpf-linker", "--version", VERSION, "--locked"])
            .args(["--no-default-features", "--features"])
            .arg(format!("llvm-{llvm}"))
            // What is there already was found not to fit.
            .arg("--force")
            .arg("--root")
            .arg(workspace.tools())
            .env("LLVM_PREFIX", prefix)
            .env_remove("CARGO_TARGET_DIR")
            // Linking is done by LLVM, which is optimized; doing without it in the Rust around it
            // halves the time that this build takes and costs a link a tenth of a second.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    )
    .context("build bpf-linker")?;
    let linker = ours(workspace);
    ensure!(
        fits(&linker, llvm),
        "{} was built, but does not say that it is {VERSION} with LLVM {llvm}",
        linker.display()
    );
    Ok(linker)
}

fn ours(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("bin/bpf-linker")
}

/// Whether this linker is new enough and has this LLVM. It hands `--version` to the option parser
/// of the LLVM that it runs with, which answers and ends the program before any file is opened, so
/// the answer is as true for a static build as for one whose shared library was replaced.
fn fits(linker: &Path, llvm: u32) -> bool {
    let ask = |question: &[&str]| exec::read(Command::new(linker).args(question));
    let release = ask(&["--version"]).and_then(|said| release(&said));
    let null = ["--output", "/dev/null", "/dev/null"];
    let own_llvm = ask(&[&["--llvm-args=--version"], null.as_slice()].concat())
        .and_then(|said| llvm::major(&said));
    release.is_some_and(|release| release >= OLDEST) && own_llvm == Some(llvm)
}

/// The prefix of the LLVM libraries to build against, installed where that can be done.
fn libraries(llvm: u32) -> Result<PathBuf> {
    if let Some(prefix) = llvm::prefix(llvm) {
        return Ok(prefix);
    }
    let installed = packages::install(&[&format!("llvm-{llvm}-dev")]);
    let Some(prefix) = llvm::prefix(llvm) else {
        let why = installed.err().map_or_else(
            || "the package brought no libLLVM.so".to_owned(),
            |error| format!("{error:#}"),
        );
        bail!(
            "bpf-linker has to be built against LLVM {llvm}, whose libraries are not here ({why}). \
             Install them with your package manager and run `LLVM_PREFIX=… cargo xtask setup`, \
             or put a bpf-linker {VERSION} that has LLVM {llvm} on PATH"
        );
    };
    Ok(prefix)
}

/// Major and minor release in `bpf-linker 0.13.0`.
fn release(said: &str) -> Option<(u32, u32)> {
    let version = said.trim().strip_prefix("bpf-linker ")?;
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_what_the_linker_says() {
        assert_eq!(release("bpf-linker 0.13.0\n"), Some((0, 13)));
        assert_eq!(release("bpf-linker 1.0.0-beta.1\n"), Some((1, 0)));
    }

    #[test]
    fn another_program_of_that_name_has_no_release() {
        assert_eq!(release("ld 2.40\n"), None);
        assert_eq!(release(""), None);
    }

    #[test]
    fn a_linker_that_is_not_there_does_not_fit() {
        assert!(!fits(Path::new("/nonexistent/bpf-linker"), 22));
    }

    #[test]
    fn a_program_that_accepts_every_flag_and_says_nothing_does_not_fit() {
        assert!(!fits(Path::new("/bin/true"), 22));
    }
}
