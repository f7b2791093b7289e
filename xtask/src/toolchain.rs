//! Rust toolchains that can build for the BPF target.
//!
//! The target has no prebuilt `core`, so the toolchain needs the sources of the standard library,
//! and an LLVM that the linker knows. Any toolchain is the folder of its own `rustc` and `cargo`,
//! whether rustup put it into a home directory or a distribution into `/usr/bin`; that the compiler
//! is a stable one does not matter, since `RUSTC_BOOTSTRAP` opens what building `core` needs.

use std::{
    env,
    fmt::{self, Display},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{exec, linker, llvm};

/// The oldest release that builds this workspace, as `rust-version` in its Cargo.toml.
pub(crate) const OLDEST: (u32, u32) = (1, 95);

/// One installed toolchain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The folder with its `rustc` and `cargo`.
    pub(crate) bin: PathBuf,
    /// The name that rustup knows it by, where rustup does.
    pub(crate) rustup: Option<String>,
    /// Major and minor release of its compiler.
    pub(crate) release: (u32, u32),
    /// Major version of its LLVM.
    pub(crate) llvm: u32,
    /// Whether the sources of the standard library are there.
    pub(crate) sources: bool,
}

impl Toolchain {
    /// Why it cannot build for the BPF target, or `None` where it can.
    pub(crate) fn shortfall(&self) -> Option<String> {
        if self.release < OLDEST {
            let (major, minor) = OLDEST;
            return Some(format!("it is older than {major}.{minor}"));
        }
        if !linker::LLVM.contains(&self.llvm) {
            let version = linker::VERSION;
            return Some(format!("bpf-linker {version} knows no LLVM {}", self.llvm));
        }
        if !self.sources {
            return Some("the sources of the standard library (rust-src) are missing".to_owned());
        }
        None
    }

    /// Whether everything but the sources is there.
    pub(crate) fn lacks_only_sources(&self) -> bool {
        let with_sources = Self {
            sources: true,
            ..self.clone()
        };
        !self.sources && with_sources.shortfall().is_none()
    }

    /// Whether it has the linter.
    pub(crate) fn has_clippy(&self) -> bool {
        self.bin.join("cargo-clippy").is_file()
    }

    /// Its cargo, with nothing in the environment that belongs to another toolchain.
    pub(crate) fn cargo(&self) -> Result<Command> {
        let mut command = Command::new(self.bin.join("cargo"));
        forget_outer_toolchain(&mut command);
        command.env("PATH", exec::path_led_by(&self.bin)?);
        Ok(command)
    }
}

impl Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((major, minor), llvm) = (self.release, self.llvm);
        let bin = self.bin.display();
        write!(f, "Rust {major}.{minor} with LLVM {llvm} in {bin}")
    }
}

/// Every toolchain here, in order of preference: rustup's, then those of the system.
pub(crate) fn installed() -> Vec<Toolchain> {
    let mut toolchains: Vec<Toolchain> = Vec::new();
    for toolchain in of_rustup().into_iter().chain(of_the_system()) {
        if toolchains.iter().all(|known| known.bin != toolchain.bin) {
            toolchains.push(toolchain);
        }
    }
    toolchains
}

/// The installed toolchains that can build for the BPF target, in order of preference.
pub(crate) fn usable() -> impl Iterator<Item = Toolchain> {
    installed()
        .into_iter()
        .filter(|toolchain| toolchain.shortfall().is_none())
}

fn of_rustup() -> Vec<Toolchain> {
    let Some(rustup) = exec::find("rustup") else {
        return Vec::new();
    };
    let Some(list) = exec::read(Command::new(&rustup).args(["toolchain", "list"])) else {
        return Vec::new();
    };
    in_order(&list)
        .into_iter()
        .filter_map(|name| {
            let mut which = Command::new(&rustup);
            which.args(["which", "--toolchain", name, "rustc"]);
            let rustc = exec::read(&mut which)?;
            probe(Path::new(rustc.trim()), Some(name))
        })
        .collect()
}

fn of_the_system() -> Vec<Toolchain> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .map(|folder| folder.join("rustc"))
        .filter(|rustc| rustc.is_file())
        .filter_map(|rustc| probe(&rustc, None))
        .collect()
}

/// Asks a compiler what it is. The toolchain's folder is that of its sysroot, so a proxy of rustup
/// on `PATH` turns out to be the toolchain that it stands for.
fn probe(rustc: &Path, rustup: Option<&str>) -> Option<Toolchain> {
    let ask = |question: &[&str]| {
        let mut command = Command::new(rustc);
        forget_outer_toolchain(&mut command);
        exec::read(command.args(question))
    };
    let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?.trim());
    let (release, llvm) = versions(&ask(&["-vV"])?)?;
    let bin = sysroot.join("bin");
    let complete = bin.join("rustc").is_file() && bin.join("cargo").is_file();
    complete.then(|| Toolchain {
        bin,
        rustup: rustup.map(str::to_owned),
        release,
        llvm,
        sources: sysroot.join("lib/rustlib/src/rust/library/core").is_dir(),
    })
}

/// Cargo and rustup tell their children which toolchain and flags they chose. A child of another
/// toolchain must not hear it.
fn forget_outer_toolchain(command: &mut Command) {
    for variable in [
        "CARGO",
        "CARGO_BUILD_RUSTC",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
    ] {
        command.env_remove(variable);
    }
}

/// The names in `rustup toolchain list`: the active one, the default, other releases, nightlies.
fn in_order(list: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_by_key(|line| {
        (
            !line.contains("active"),
            !line.contains("default"),
            line.starts_with("nightly"),
        )
    });
    lines
        .into_iter()
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// The release and the LLVM in what `rustc -vV` says.
fn versions(said: &str) -> Option<((u32, u32), u32)> {
    let release = said
        .lines()
        .find_map(|line| line.strip_prefix("release: "))?;
    let mut numbers = release.split('.').map(str::parse);
    let release = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((release, llvm::major(said)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)
binary: rustc
commit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96
commit-date: 2026-05-25
host: x86_64-unknown-linux-gnu
release: 1.96.0
LLVM version: 22.1.8
";

    fn complete() -> Toolchain {
        Toolchain {
            bin: "/usr/bin".into(),
            rustup: None,
            release: (1, 96),
            llvm: 22,
            sources: true,
        }
    }

    #[test]
    fn versions_are_read_from_a_release_and_from_a_nightly() {
        assert_eq!(versions(DEBIAN), Some(((1, 96), 22)));
        let nightly = "release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(versions(nightly), Some(((1, 97), 22)));
    }

    #[test]
    fn a_compiler_that_does_not_name_its_llvm_is_passed_over() {
        assert_eq!(versions("release: 1.96.0\n"), None);
    }

    #[test]
    fn a_complete_toolchain_has_no_shortfall() {
        assert_eq!(complete().shortfall(), None);
        assert!(!complete().lacks_only_sources());
    }

    #[test]
    fn a_toolchain_without_sources_says_so() {
        let toolchain = Toolchain {
            sources: false,
            ..complete()
        };
        assert!(
            toolchain
                .shortfall()
                .is_some_and(|s| s.contains("rust-src"))
        );
        assert!(toolchain.lacks_only_sources());
    }

    #[test]
    fn sources_do_not_help_a_toolchain_that_is_too_old() {
        let toolchain = Toolchain {
            release: (1, 85),
            sources: false,
            ..complete()
        };
        assert!(toolchain.shortfall().is_some_and(|s| s.contains("1.95")));
        assert!(!toolchain.lacks_only_sources());
    }

    #[test]
    fn an_llvm_that_the_linker_does_not_know_is_a_shortfall() {
        let toolchain = Toolchain {
            llvm: 99,
            ..complete()
        };
        assert!(toolchain.shortfall().is_some_and(|s| s.contains("LLVM 99")));
    }

    #[test]
    fn the_active_toolchain_comes_first_and_nightlies_last() {
        let list = "\
nightly-x86_64-unknown-linux-gnu
1.95.0-x86_64-unknown-linux-gnu (active)
stable-x86_64-unknown-linux-gnu (default)
beta-x86_64-unknown-linux-gnu
";
        let names = in_order(list);
        let first_parts: Vec<_> = names.iter().filter_map(|n| n.split('-').next()).collect();
        assert_eq!(first_parts, ["1.95.0", "stable", "beta", "nightly"]);
    }
}
