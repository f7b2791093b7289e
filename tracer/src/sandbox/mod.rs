//! Gives up what is not needed any more, before anything from outside is looked at.
//!
//! In: what the process is going to do. Out: what is in force from then on. In this order: the bounding
//! set, the user, the other capability sets, no_new_privs, Landlock, seccomp. Capabilities, Landlock and
//! seccomp belong to a thread and are handed on to the threads that it starts: that there is only one
//! thread yet is checked, so that none escapes.
//!
//! Absent on purpose: loading and attaching, which are over by then, and a way back.

mod account;
pub mod attacher;
mod capability;
mod error;
mod files;
pub mod keeper;
mod refusal;
mod syscalls;

pub use account::Account;
pub use capability::{Missing, needs_bpf_for, require, shortfall};
pub use error::SandboxError;
pub use files::Files;
pub use refusal::tell_rest;
pub use syscalls::{Call, Calls, Task, calls};

use std::fmt;
use std::fs;

use caps::Capability;
use nix::sys::prctl;

/// What a process is going to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As whom, where that was asked for; else a process of root's becomes nobody's.
    pub user: Option<Account>,
    /// What it does.
    pub task: Task,
    /// The capabilities that it cannot do without.
    pub keep: Vec<Capability>,
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct Confinement {
    user: Option<Account>,
    /// Why it still runs as root.
    still_root: Option<SandboxError>,
    kept: Vec<Capability>,
    bounding: bool,
    files: Files,
    calls: Result<usize, String>,
}

/// Confines the process as planned.
///
/// # Errors
/// Where something is refused that was asked for, or that every kernel grants; nothing is said in silence.
pub fn confine(plan: &Plan) -> Result<Confinement, SandboxError> {
    one_thread()?;
    let bounding = capability::clear_bounding()?;
    let (user, still_root) = account::leave_root(plan.user.as_ref(), !plan.keep.is_empty())?;
    capability::keep_only(&plan.keep)?;
    prctl::set_no_new_privs().map_err(|errno| SandboxError::system("set no_new_privs", errno))?;
    let files = files::close()?;
    refusal::listen()?;
    let calls = syscalls::restrict(plan.task);
    Ok(Confinement {
        user,
        still_root,
        kept: plan.keep.clone(),
        bounding,
        files,
        calls,
    })
}

/// Threads that run already would keep what this one gives up. Where there is no /proc nobody knows.
fn one_thread() -> Result<(), SandboxError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(SandboxError::Threads(threads));
    }
    Ok(())
}

impl Confinement {
    /// What has to be said, asked or not: less is in force than there should be.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(error) = &self.still_root {
            warnings.push(format!(
                "goes on as root, without its capabilities: {error}"
            ));
        }
        if let Err(reason) = &self.calls {
            warnings.push(format!("runs without a seccomp filter: {reason}"));
        }
        warnings
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confined: ")?;
        match &self.user {
            Some(user) => write!(f, "user {user}, ")?,
            None if self.still_root.is_some() => write!(f, "user root, ")?,
            None => {}
        }
        match &self.kept[..] {
            [] => write!(f, "no capabilities")?,
            kept => {
                let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
                write!(f, "no capabilities but {}", kept.join(", "))?;
            }
        }
        if !self.bounding {
            // It means nothing under no_new_privs.
            write!(f, " (the bounding set is left)")?;
        }
        write!(f, ", no_new_privs, {}", self.files)?;
        match self.calls {
            Ok(calls) => write!(f, ", seccomp: {calls} system calls"),
            Err(_) => write!(f, ", no seccomp"),
        }
    }
}
