//! Enters a network namespace.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use thiserror::Error;

/// Where `ip netns` keeps names of namespaces (ip-netns(8)).
const NAMES: &str = "/run/netns";

/// Why a network namespace could not be entered.
#[derive(Debug, Error)]
pub enum NetnsError {
    /// There is none.
    #[error("there is no network namespace {wanted}: {}", there_are(.names))]
    None {
        /// What was asked for.
        wanted: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// There is no such process.
    #[error("there is no network namespace of {0}: no process has this number")]
    NoProcess(String),
    /// The right to enter it is missing.
    #[error("no permission to enter the network namespace {0}; it needs root, or CAP_SYS_ADMIN")]
    NoPermission(String),
    /// The file is none.
    #[error("{} is no network namespace", .0.display())]
    Other(PathBuf),
    /// It could not be entered for another reason.
    #[error("the network namespace {} cannot be entered", path.display())]
    Enter {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Enters the namespace of this name, of the process of this number, or of this path: the calling
/// thread does, and those that it starts from then on.
///
/// # Errors
/// Where there is none, or it cannot be entered.
pub fn enter(wanted: &str) -> Result<(), NetnsError> {
    let path = file_of(wanted);
    let entered = File::open(&path).and_then(|file| Ok(setns(file, CloneFlags::CLONE_NEWNET)?));
    let Err(source) = entered else {
        return Ok(());
    };
    let errno = source.raw_os_error().map(Errno::from_raw);
    Err(match errno {
        Some(Errno::ENOENT | Errno::ESRCH) if path.starts_with("/proc") => {
            NetnsError::NoProcess(wanted.to_owned())
        }
        Some(Errno::ENOENT | Errno::ENOTDIR) => NetnsError::None {
            wanted: wanted.to_owned(),
            names: names(),
        },
        Some(Errno::EPERM | Errno::EACCES) => NetnsError::NoPermission(wanted.to_owned()),
        Some(Errno::EINVAL | Errno::EISDIR) => NetnsError::Other(path),
        _ => NetnsError::Enter { path, source },
    })
}

/// A name comes before a number.
fn file_of(wanted: &str) -> PathBuf {
    let named = Path::new(NAMES).join(wanted);
    if wanted.contains('/') {
        PathBuf::from(wanted)
    } else if wanted.parse::<u32>().is_ok() && !named.exists() {
        Path::new("/proc").join(wanted).join("ns/net")
    } else {
        named
    }
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() {
        "`ip netns` knows none".into()
    } else {
        format!("there are {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(wanted: &str) -> String {
        enter(wanted).unwrap_err().to_string()
    }

    #[test]
    fn a_name_a_number_and_a_path_are_told_apart() {
        assert_eq!(
            file_of("synfin-no-such"),
            Path::new("/run/netns/synfin-no-such")
        );
        assert_eq!(file_of("1"), Path::new("/proc/1/ns/net"));
        assert_eq!(file_of("./x"), Path::new("./x"));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_was_looked_for() {
        let name = refusal("synfin-no-such");
        assert!(
            name.contains("no network namespace synfin-no-such"),
            "{name}"
        );
        let process = refusal("4294967295");
        assert!(process.contains("no process"), "{process}");
        let path = refusal("/synfin/no/such");
        assert!(
            path.contains("no network namespace /synfin/no/such"),
            "{path}"
        );
    }

    #[test]
    fn another_file_is_no_namespace() {
        for path in ["/proc/self/exe", "/"] {
            let refusal = refusal(path);
            // Without the right to enter any, that comes first.
            let known = ["is no network namespace", "no permission"];
            assert!(
                known.iter().any(|words| refusal.contains(words)),
                "{refusal}"
            );
        }
    }
}
