//! What a test needs of the machine, and where it looks for it.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aya::programs::{SchedClassifier, TcAttachType};

use crate::netns::Namespace;
use crate::{cgroup, corpus, pace};

/// What this machine may be without, by the names of requirements and apart by commas.
const MAY_LACK: &str = "SYNFIN_MAY_LACK";

/// Something that a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The right to make namespaces and to load programs.
    Root,
    /// A program in the search path.
    Tool(&'static str),
    /// The built daemon: `SYNFIN_BIN`, or the workspace's release build.
    Daemon,
    /// The built BPF object: `SYNFIN_BPF_OBJECT`, or the workspace's build.
    BpfObject,
    /// Links for TC programs, which came with Linux 6.6.
    Tcx,
    /// Captures that others published: `SYNFIN_CORPUS`.
    Corpus,
    /// Control groups that bound memory, and may be made.
    MemoryGroup,
    /// A kind of network device that the kernel has.
    Device(&'static str),
    /// More work than an emulated machine gets done.
    Pace,
}

impl Requirement {
    /// Why it is not met; `None` where it is.
    #[must_use]
    pub fn lack(self) -> Option<String> {
        match self {
            Self::Root if nix::unistd::geteuid().is_root() => None,
            Self::Root => Some("needs root".to_owned()),
            Self::Tool(name) if tool(name).is_some() => None,
            Self::Tool(name) => Some(format!("needs {name}")),
            Self::Daemon => lack_of_file("the built daemon", &daemon()),
            Self::BpfObject => lack_of_file("the built BPF object", &bpf_object()),
            Self::Tcx if has_tcx() => None,
            Self::Tcx => Some("needs a kernel with TCX, as Linux 6.6".to_owned()),
            Self::MemoryGroup if cgroup::place().is_some() => None,
            Self::MemoryGroup => Some("needs control groups that bound memory".to_owned()),
            Self::Corpus if corpus::directory().is_some() => None,
            Self::Pace if pace::is_emulated() => {
                Some("needs a machine that is not emulated".to_owned())
            }
            Self::Pace => None,
            Self::Device(kind) if has_device(kind) => None,
            Self::Device(kind) => Some(format!("needs a kernel with {kind} devices")),
            Self::Corpus => Some(format!(
                "needs a corpus of captures in {}",
                corpus::VARIABLE
            )),
        }
    }

    /// Whether a machine that must be able to run everything may do without: what does not belong
    /// to the repository, or is the machine's or its kernel's own, cannot be installed, and in [`MAY_LACK`] is what was
    /// left out on purpose.
    #[must_use]
    pub fn is_optional(self) -> bool {
        let may_lack = env::var(MAY_LACK).unwrap_or_default();
        let own = [Self::Corpus, Self::MemoryGroup, Self::Pace].contains(&self);
        own || matches!(self, Self::Device(_))
            || may_lack.split(',').any(|name| name == self.name())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tool(name) | Self::Device(name) => name,
            Self::Daemon => "daemon",
            Self::BpfObject => "bpf",
            Self::Tcx => "tcx",
            Self::Corpus => "corpus",
            Self::MemoryGroup => "cgroup",
            Self::Pace => "pace",
        }
    }
}

/// Whether the kernel has TCX: one that has not knows no such place to ask for programs.
#[must_use]
pub fn has_tcx() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// Whether a lack is a failure: on the machine that must be able to run everything.
#[must_use]
pub fn must_all_run() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Where the daemon under test is.
#[must_use]
pub fn daemon() -> PathBuf {
    env::var_os("SYNFIN_BIN").map_or_else(|| workspace().join("target/release/synfin"), Into::into)
}

/// Where the BPF object is.
#[must_use]
pub fn bpf_object() -> PathBuf {
    env::var_os("SYNFIN_BPF_OBJECT")
        .map_or_else(|| workspace().join("target/bpf/synfin.bpf.o"), Into::into)
}

/// The path of a program: the search path, and where system programs are for those who lack it there.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| is_program(candidate))
}

fn has_device(kind: &str) -> bool {
    // In a namespace of its own, which takes the device along.
    let made = Namespace::new().and_then(|inside| inside.ip(&["link", "add", "type", kind]));
    made.is_ok()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn lack_of_file(what: &str, path: &Path) -> Option<String> {
    (!path.is_file()).then(|| format!("needs {what}, there is no {}", path.display()))
}

/// The directory of the repository.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_nowhere_is_lacking_by_its_name() {
        let lack = Requirement::Tool("no-such-tool-anywhere").lack();
        assert_eq!(lack.as_deref(), Some("needs no-such-tool-anywhere"));
    }

    #[test]
    fn a_tool_that_is_there_is_found() {
        assert_eq!(Requirement::Tool("sh").lack(), None);
    }
}
