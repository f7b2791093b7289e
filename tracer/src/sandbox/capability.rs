//! Capabilities: those that tracing needs, and giving them up (see capabilities(7)).

use std::fmt;

use caps::{CapSet, Capability, CapsHashSet};
use thiserror::Error;

use super::SandboxError;

/// What tracing needs, and what for.
const NEEDED: [(Capability, &str); 3] = [
    (Capability::CAP_BPF, "load BPF programs and make their maps"),
    (
        Capability::CAP_NET_ADMIN,
        "load programs for network devices and attach them",
    ),
    (
        Capability::CAP_PERFMON,
        "load programs that compare and count in pointers",
    ),
];

/// Capabilities that are missing, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Missing(Vec<(Capability, &'static str)>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = (self.0.iter())
            .map(|(capability, what_for)| format!("{capability} is missing, to {what_for}"))
            .collect();
        write!(f, "{}; {HOW}", words.join("; "))
    }
}

/// Where capabilities come from.
const HOW: &str = "run synfin as root (sudo), or give it what it needs: `setcap \
                   cap_bpf,cap_net_admin,cap_perfmon+ep` on its file, or AmbientCapabilities of systemd";

/// Makes sure that this thread has what tracing needs.
///
/// # Errors
/// Where something is missing; all of it is named.
pub fn require() -> Result<(), Missing> {
    match missing() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Missing(missing)),
    }
}

/// What explains that the kernel allows something not: what is missing, or, where nothing is, what else
/// there can be.
#[must_use]
pub fn shortfall() -> String {
    match require() {
        Err(missing) => missing.to_string(),
        Ok(()) => "no capability is missing, but something else forbids it: a container or a user \
                   namespace that does not let them count, a security module, kernel lockdown, or before \
                   Linux 5.11 a limit of locked memory (`ulimit -l unlimited`)"
            .into(),
    }
}

fn missing() -> Vec<(Capability, &'static str)> {
    // Where the kernel does not tell, it will when something is asked of it.
    let Ok(held) = caps::read(None, CapSet::Effective) else {
        return Vec::new();
    };
    lacking(&held)
}

/// CAP_SYS_ADMIN stands for what was taken out of it in Linux 5.8.
fn lacking(held: &CapsHashSet) -> Vec<(Capability, &'static str)> {
    let has = |capability: Capability| {
        let older =
            capability != Capability::CAP_NET_ADMIN && held.contains(&Capability::CAP_SYS_ADMIN);
        older || held.contains(&capability)
    };
    NEEDED
        .into_iter()
        .filter(|(capability, _)| !has(*capability))
        .collect()
}

/// Whether something is refused without CAP_BPF, found out by trying: `works` runs without any effective
/// capability, which then come back.
///
/// # Errors
/// Where the kernel does not take capabilities or does not give them back.
pub fn needs_bpf_for(works: impl FnOnce() -> bool) -> Result<bool, SandboxError> {
    let held = caps::read(None, CapSet::Effective)
        .map_err(SandboxError::capabilities("ask for capabilities"))?;
    caps::clear(None, CapSet::Effective)
        .map_err(SandboxError::capabilities("lower capabilities"))?;
    let works = works();
    caps::set(None, CapSet::Effective, &held)
        .map_err(SandboxError::capabilities("raise capabilities"))?;
    Ok(!works)
}

/// Empties the bounding set, where that is allowed; gives whether it is empty. With no_new_privs it means
/// nothing any more.
pub(super) fn clear_bounding() -> Result<bool, SandboxError> {
    let what = "empty the bounding set";
    let allowed = caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .map_err(SandboxError::capabilities(what))?;
    if allowed {
        caps::clear(None, CapSet::Bounding).map_err(SandboxError::capabilities(what))?;
    }
    let left = caps::read(None, CapSet::Bounding).map_err(SandboxError::capabilities(what))?;
    Ok(left.is_empty())
}

/// Gives up all capabilities but these.
pub(super) fn keep_only(keep: &[Capability]) -> Result<(), SandboxError> {
    let keep: CapsHashSet = keep.iter().copied().collect();
    let fail = || SandboxError::capabilities("give capabilities up");
    caps::clear(None, CapSet::Ambient).map_err(fail())?;
    caps::set(None, CapSet::Effective, &keep).map_err(fail())?;
    caps::set(None, CapSet::Permitted, &keep).map_err(fail())?;
    caps::clear(None, CapSet::Inheritable).map_err(fail())?;
    for set in [
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
        CapSet::Ambient,
    ] {
        let left = caps::read(None, set).map_err(fail())?;
        if let Some(left) = left.difference(&keep).next() {
            return Err(SandboxError::Capabilities {
                what: "give capabilities up",
                reason: format!("{left} stays"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(held: &[Capability]) -> String {
        let lacking = lacking(&held.iter().copied().collect());
        let names: Vec<_> = lacking
            .iter()
            .map(|(capability, _)| capability.to_string())
            .collect();
        names.join(" ")
    }

    #[test]
    fn each_capability_that_is_missing_is_named() {
        use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
        assert_eq!(names(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]), "");
        assert_eq!(names(&[CAP_BPF, CAP_NET_ADMIN]), "CAP_PERFMON");
        assert_eq!(names(&[CAP_PERFMON]), "CAP_BPF CAP_NET_ADMIN");
    }

    #[test]
    fn the_older_capability_stands_for_its_parts_but_not_for_the_network() {
        assert_eq!(names(&[Capability::CAP_SYS_ADMIN]), "CAP_NET_ADMIN");
    }

    #[test]
    fn what_fails_without_capabilities_needs_one_and_what_works_does_not() {
        assert!(needs_bpf_for(|| false).unwrap());
        let lowered = || caps::read(None, CapSet::Effective).unwrap().is_empty();
        assert!(!needs_bpf_for(lowered).unwrap());
    }
}
