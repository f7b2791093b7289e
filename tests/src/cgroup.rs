//! A control group that bounds the memory of a process and of what the kernel keeps for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, Result};

use crate::process;
use crate::wait;

const PREFIX: &str = "synfin-t";

/// Where such groups are made: the file that takes the limit, and the directory, of either version.
const PLACES: [(&str, &str); 2] = [
    ("memory.limit_in_bytes", "/sys/fs/cgroup/memory"),
    ("memory.max", "/sys/fs/cgroup"),
];

/// A group without processes, gone when dropped.
#[derive(Debug)]
pub struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Makes one whose processes may take so many octets.
    ///
    /// # Errors
    /// Where this machine's groups do not bound memory, or cannot be made.
    pub fn new(octets: u64) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (file, place) = place().context("find a place for a group that bounds memory")?;
        let count = COUNT.fetch_add(1, Relaxed);
        let path = place.join(format!("{PREFIX}{}-{count}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        let group = Self { path };
        let file = group.path.join(file);
        fs::write(&file, octets.to_string())
            .with_context(|| format!("write {}", file.display()))?;
        Ok(group)
    }

    /// A command whose process is inside.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let mut inside = Command::new("sh");
        inside.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]);
        inside.arg(self.path.join("cgroup.procs"));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It is busy until the kernel has put the last process away.
        let gone = wait::until("the end of a group", || Ok(fs::remove_dir(&self.path).ok()));
        if gone.is_err() {
            eprintln!("{} is left", self.path.display());
        }
    }
}

/// Removes the groups of test runs that were killed: those whose process is no more.
pub fn sweep() {
    for (_, place) in PLACES {
        process::sweep(Path::new(place), PREFIX, fs::remove_dir);
    }
}

/// The file for the limit, and the directory that such groups can be made in.
pub(crate) fn place() -> Option<(&'static str, PathBuf)> {
    PLACES.into_iter().find_map(|(file, place)| {
        let place = Path::new(place);
        let bounds = place.join("memory.limit_in_bytes").exists()
            || fs::read_to_string(place.join("cgroup.subtree_control"))
                .is_ok_and(|enabled| enabled.split_whitespace().any(|name| name == "memory"));
        let writable = nix::unistd::access(place, nix::unistd::AccessFlags::W_OK).is_ok();
        (bounds && writable).then(|| (file, place.to_owned()))
    })
}
