//! Which LLVM: rustc's, the linker's, and the one whose libraries are installed have to agree.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::exec;

/// The major version in what a tool says of its LLVM: `LLVM version: 22.1.2` (rustc) or
/// `LLVM version 22.1.8` (everything that is LLVM).
pub(crate) fn major(said: &str) -> Option<u32> {
    let (_, version) = said.split_once("LLVM version")?;
    leading_number(version.trim_start_matches([':', ' ']))
}

/// Where the libraries of this LLVM are: where `LLVM_PREFIX` says, else where Debian puts them, else
/// where an `llvm-config` on `PATH` says. The tools may be installed without what is linked
/// against, so a prefix counts only where that is.
pub(crate) fn prefix(llvm: u32) -> Option<PathBuf> {
    let given = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let debian = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    let asked = [format!("llvm-config-{llvm}"), "llvm-config".to_owned()]
        .into_iter()
        .filter_map(exec::find)
        .filter_map(|llvm_config| prefix_from(&llvm_config, llvm));
    given
        .into_iter()
        .chain([debian])
        .chain(asked)
        .find(|prefix| is_linkable(prefix))
}

fn prefix_from(llvm_config: &Path, llvm: u32) -> Option<PathBuf> {
    let version = exec::read(Command::new(llvm_config).arg("--version"))?;
    if leading_number(&version) != Some(llvm) {
        return None;
    }
    let prefix = exec::read(Command::new(llvm_config).arg("--prefix"))?;
    Some(prefix.trim().into())
}

/// These are the folders in which the build of bpf-linker looks.
fn is_linkable(prefix: &Path) -> bool {
    ["lib64/libLLVM.so", "lib/libLLVM.so"]
        .iter()
        .any(|library| prefix.join(library).exists())
}

fn leading_number(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_says_its_llvm_with_a_colon() {
        assert_eq!(major("release: 1.95.0\nLLVM version: 22.1.2\n"), Some(22));
    }

    #[test]
    fn a_linker_says_its_llvm_without_one() {
        let debian = "Debian LLVM version 22.1.8\n  Optimized build.\n";
        let upstream = "LLVM (http://llvm.org/):\n  LLVM version 23.1.0\n  Optimized build.\n";
        assert_eq!(major(debian), Some(22));
        assert_eq!(major(upstream), Some(23));
    }

    #[test]
    fn a_rustc_without_llvm_has_no_major() {
        assert_eq!(major("release: 1.95.0\n"), None);
        assert_eq!(major("LLVM version: unknown\n"), None);
    }
}
