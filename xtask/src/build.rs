//! Builds the BPF object, and the one binary that carries it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    exec::{self, say},
    setup::{self, Ebpf},
    workspace::Workspace,
};

/// The BPF target has the byte order of the host, as the kernel that will run the programs.
const TARGET: &str = if cfg!(target_endian = "big") {
    "bpfeb-unknown-none"
} else {
    "bpfel-unknown-none"
};

/// Builds the BPF object, and returns where it is.
pub(crate) fn ebpf(workspace: &Workspace) -> Result<PathBuf> {
    object(workspace, "bpf", workspace.bpf_object())
}

/// Builds the same with programs to measure against, and returns where it is.
pub(crate) fn bench_object(workspace: &Workspace) -> Result<PathBuf> {
    object(workspace, "bench", workspace.bench_object())
}

fn object(workspace: &Workspace, feature: &str, object: PathBuf) -> Result<PathBuf> {
    let tools = setup::ebpf(workspace)?;
    exec::run(&mut ebpf_cargo(workspace, &tools, "build", feature)?)?;
    let built = workspace.bpf_build().join(TARGET).join("bpf/synfin-bpf");
    copy_if_changed(&built, &object)?;
    Ok(object)
}

/// Builds the BPF object and the daemon that embeds it, and returns where the daemon is.
pub(crate) fn all(workspace: &Workspace) -> Result<PathBuf> {
    ebpf(workspace)?;
    exec::run(
        exec::cargo()
            .args(["build", "--release", "--package", "synfin"])
            .current_dir(workspace.root()),
    )?;
    let synfin = workspace.synfin();
    say(format_args!(
        "built {}: this one file is all that has to be copied",
        synfin.display()
    ));
    Ok(synfin)
}

/// Builds this program with optimizations, and returns where it is.
pub(crate) fn xtask(workspace: &Workspace) -> Result<PathBuf> {
    exec::run(
        exec::cargo()
            .args(["build", "--release", "--package", "xtask"])
            .current_dir(workspace.root()),
    )?;
    Ok(workspace.xtask())
}

/// A cargo command on the BPF binary for the BPF target; arguments may be added.
pub(crate) fn ebpf_cargo(
    workspace: &Workspace,
    tools: &Ebpf,
    verb: &str,
    feature: &str,
) -> Result<Command> {
    let mut command = tools.toolchain.cargo()?;
    command
        .arg(verb)
        .args(["--package", "synfin-ebpf", "--features", feature])
        .args(["--bin", "synfin-bpf", "--profile", "bpf"])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(workspace.bpf_build())
        // Building `core` is unstable; the compiler may be a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&tools.linker))
        .current_dir(workspace.root());
    Ok(command)
}

/// The flags, apart by the separator that allows spaces in the path of the linker.
///
/// Deliberately absent: the target feature `allows-misaligned-mem-access`. With it LLVM also
/// misaligns what it keeps on the stack, which the verifier refuses.
fn rustflags(linker: &Path) -> String {
    [
        // BTF is made from debugging information.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // Otherwise zeros are written by a called function, octet by octet.
        "-Clink-arg=--disable-expand-memcpy-in-order",
        // Atomic fetch-or and compare-exchange are instructions of the third version.
        "-Ctarget-cpu=v3",
        &format!("-Clinker={}", linker.display()),
    ]
    .join("\u{1f}")
}

/// Leaves an equal file alone: a new time stamp would make cargo build the daemon again.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    fs::write(to, new).with_context(|| format!("write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_in_the_path_of_the_linker_does_not_end_the_flag() {
        let flags = rustflags(Path::new("/a folder/bpf-linker"));
        assert!(
            flags
                .split('\u{1f}')
                .any(|flag| flag == "-Clinker=/a folder/bpf-linker")
        );
    }

    #[test]
    fn an_equal_file_keeps_its_time_stamp() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("xtask-copy-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (from, to) = (folder.join("from"), folder.join("sub/to"));
        fs::write(&from, "one")?;
        copy_if_changed(&from, &to)?;
        let first = fs::metadata(&to)?.modified()?;
        copy_if_changed(&from, &to)?;
        assert_eq!(fs::metadata(&to)?.modified()?, first);
        fs::write(&from, "two")?;
        copy_if_changed(&from, &to)?;
        assert_eq!(fs::read(&to)?, b"two");
        Ok(fs::remove_dir_all(&folder)?)
    }
}
