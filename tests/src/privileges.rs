//! What the threads of a process may do, as the kernel tells it (proc_pid_status(5)).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// One thread's privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// The thread's name.
    pub name: String,
    /// Real, effective, saved and file system user.
    pub users: Vec<u32>,
    /// The same of its group.
    pub groups: Vec<u32>,
    /// Supplementary groups.
    pub more_groups: Vec<u32>,
    /// Inheritable, permitted, effective, bounding and ambient capabilities, a bit each.
    pub capabilities: [u64; 5],
    /// It gains nothing by executing a file.
    pub no_new_privs: bool,
    /// Its system calls pass a filter.
    pub filtered: bool,
}

/// The sets, in the order of [`Privileges::capabilities`].
pub const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// The privileges of all threads of a process.
///
/// # Errors
/// Where the process is no more.
pub fn of(pid: u32) -> Result<Vec<Privileges>> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let mut threads = Vec::new();
    for task in fs::read_dir(&tasks).with_context(|| format!("list {}", tasks.display()))? {
        // A thread may end between the listing and the reading.
        if let Ok(status) = fs::read_to_string(task?.path().join("status")) {
            threads.push(parse(&status)?);
        }
    }
    ensure!(!threads.is_empty(), "no threads in {}", tasks.display());
    Ok(threads)
}

/// That no thread has anything left of what it was started with but its place in the bounding set, which
/// means nothing by then.
///
/// # Errors
/// Where one of them has; it is named.
pub fn ensure_none(threads: &[Privileges], bounding: bool) -> Result<()> {
    for thread in threads {
        for (set, held) in SETS.iter().zip(thread.capabilities) {
            let may_stay = bounding && *set == "CapBnd";
            ensure!(held == 0 || may_stay, "{set} {held:x} in {thread:?}");
        }
        let ids = thread.users.iter().chain(&thread.groups);
        ensure!(!ids.clone().any(|id| *id == 0), "still root: {thread:?}");
        ensure!(thread.more_groups.is_empty(), "groups are left: {thread:?}");
        ensure!(thread.no_new_privs, "no_new_privs is not set: {thread:?}");
        ensure!(thread.filtered, "no seccomp filter: {thread:?}");
    }
    Ok(())
}

fn parse(status: &str) -> Result<Privileges> {
    let field = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(field, _)| *field == name)?;
        Some(value.trim())
    };
    let text = |name| field(name).with_context(|| format!("no {name} in {status}"));
    let numbers = |name| -> Result<Vec<u32>> {
        let numbers = text(name)?.split_whitespace().map(str::parse);
        numbers.collect::<Result<_, _>>().context("read a number")
    };
    let mut capabilities = [0; 5];
    for (set, held) in SETS.iter().zip(&mut capabilities) {
        *held = u64::from_str_radix(text(set)?, 16).context("read a capability set")?;
    }
    Ok(Privileges {
        name: text("Name")?.to_owned(),
        users: numbers("Uid")?,
        groups: numbers("Gid")?,
        more_groups: numbers("Groups")?,
        capabilities,
        no_new_privs: text("NoNewPrivs")? == "1",
        filtered: text("Seccomp")? == "2",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsynfin\nUid:\t65534\t65534\t65534\t65534\nGid:\t9\t9\t9\t9\nGroups:\t \n\
                          CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
                          CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn what_is_left_is_found_by_its_name() -> Result<()> {
        let bare = parse(STATUS)?;
        assert!(ensure_none(std::slice::from_ref(&bare), true).is_ok());
        let complaint = |status: String| {
            let outcome = ensure_none(&[parse(&status).unwrap()], false);
            outcome
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(complaint(STATUS.to_owned()).starts_with("CapBnd 1ffffffffff"));
        let bare = STATUS.replace("000001ffffffffff", "0000000000000000");
        assert_eq!(complaint(bare.clone()), "");
        let saved = bare.replace("65534\t65534\n", "0\t65534\n");
        assert!(complaint(saved).starts_with("still root"));
        assert!(complaint(bare.replace("Groups:\t ", "Groups:\t4 ")).starts_with("groups"));
        assert!(complaint(bare.replace("Privs:\t1", "Privs:\t0")).starts_with("no_new_privs"));
        assert!(complaint(bare.replace("Seccomp:\t2", "Seccomp:\t0")).starts_with("no seccomp"));
        Ok(())
    }
}
