//! Which CPU a thread is on.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// Keeps the calling thread, and those that it makes, on a CPU.
///
/// # Errors
/// Where this process may not be there.
pub fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).context("name a CPU")?;
    sched_setaffinity(SELF, &set).with_context(|| format!("stay on CPU {cpu}"))
}

/// The CPUs that the calling thread may be on.
///
/// # Errors
/// Where the kernel does not tell.
pub fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(SELF).context("ask for the CPUs")?;
    let all = 0..CpuSet::count();
    Ok(all
        .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
        .collect())
}
