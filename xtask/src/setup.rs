//! Brings together what building the BPF programs needs: a toolchain and a linker of one LLVM.
//!
//! Nothing is recorded: every command asks the tools themselves, which takes a fraction of a second
//! and cannot go stale.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    exec, linker, packages,
    toolchain::{self, Toolchain},
    workspace::Workspace,
};

/// Tools that build for the BPF target together.
pub(crate) struct Ebpf {
    /// Compiles.
    pub(crate) toolchain: Toolchain,
    /// Links what it compiled.
    pub(crate) linker: PathBuf,
}

/// Finds the tools, and installs what is missing: first what rustup has, then what the
/// distribution has.
pub(crate) fn ebpf(workspace: &Workspace) -> Result<Ebpf> {
    match found(workspace) {
        Some(ebpf) => Ok(ebpf),
        None => install(workspace),
    }
}

/// The packages of a Rust that Debian keeps current, for the browser that needs it.
const DEBIAN_TOOLCHAIN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

fn found(workspace: &Workspace) -> Option<Ebpf> {
    toolchain::usable().find_map(|toolchain| {
        let linker = linker::find(workspace, toolchain.llvm)?;
        Some(Ebpf { toolchain, linker })
    })
}

fn install(workspace: &Workspace) -> Result<Ebpf> {
    let mut obstacles = Vec::new();
    let mut without_linker = Vec::new();
    let steps: [fn() -> Result<()>; 3] = [|| Ok(()), rustup_sources, debian_toolchain];
    for step in steps {
        if let Err(error) = step() {
            obstacles.push(format!("{error:#}"));
        }
        for toolchain in toolchain::usable() {
            if without_linker.contains(&toolchain.llvm) {
                continue;
            }
            match linker::obtain(workspace, toolchain.llvm) {
                Ok(linker) => return Ok(Ebpf { toolchain, linker }),
                Err(error) => obstacles.push(format!("{toolchain}: {error:#}")),
            }
            without_linker.push(toolchain.llvm);
        }
    }
    obstacles.extend(shortfalls());
    if without_linker.is_empty() {
        obstacles.push(REMEDY.to_owned());
    }
    bail!(
        "nothing here can build the BPF programs:\n  - {}",
        obstacles.join("\n  - ")
    )
}

const REMEDY: &str = "\
run `rustup component add rust-src`, or on Debian, as root,
    `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src`;
    once one of them has worked, `cargo xtask setup` does the rest";

fn shortfalls() -> impl Iterator<Item = String> {
    toolchain::installed()
        .into_iter()
        .filter_map(|toolchain| Some(format!("{toolchain}: {}", toolchain.shortfall()?)))
}

fn rustup_sources() -> Result<()> {
    let rustup = exec::find("rustup").context("no rustup here to fetch rust-src with")?;
    let name = toolchain::installed()
        .into_iter()
        .filter(Toolchain::lacks_only_sources)
        .find_map(|toolchain| toolchain.rustup)
        .context("rustup has no toolchain that only lacks rust-src")?;
    exec::run_aside(
        Command::new(rustup)
            .args(["component", "add", "rust-src"])
            .args(["--toolchain", &name]),
    )
}

fn debian_toolchain() -> Result<()> {
    packages::install(&DEBIAN_TOOLCHAIN)
}
