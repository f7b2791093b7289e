//! What the host has.

use std::fs;
use std::path::Path;

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{is_map_supported, is_program_supported};
use aya::util::nr_cpus;
use nix::sys::utsname::uname;

use super::finding::Finding;
use crate::sandbox;

/// Where the kernel tells it.
const BTF: &str = "/sys/kernel/btf/vmlinux";
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";
const HARDENED: &str = "/proc/sys/net/core/bpf_jit_harden";

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![kernel(), capabilities()];
    findings.push(supported(
        "the BPF ring buffer",
        "5.8",
        is_map_supported(MapType::RingBuf).map_err(|error| error.to_string()),
    ));
    for (kind, name, since) in [
        (ProgramType::Xdp, "XDP programs", "4.8"),
        (ProgramType::SchedClassifier, "TC programs", "4.1"),
    ] {
        let answer = is_program_supported(kind).map_err(|error| error.to_string());
        findings.push(supported(name, since, answer));
    }
    findings.push(if Path::new(BTF).exists() {
        Finding::good("the kernel has its types at hand (BTF)")
    } else {
        Finding::good("the kernel has not its types at hand (BTF); synfin does without")
    });
    findings.push(jit(read(JIT).as_deref(), read(HARDENED).as_deref()));
    findings.extend(confinement());
    findings
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn kernel() -> Finding {
    let cpus = nr_cpus().map_or_else(
        |_| "an unknown number of".to_owned(),
        |cpus| cpus.to_string(),
    );
    match uname() {
        Ok(name) => Finding::good(format!(
            "Linux {} on {}, {cpus} possible CPUs",
            name.release().to_string_lossy(),
            name.machine().to_string_lossy()
        )),
        Err(error) => Finding::odd(format!("the kernel does not tell its name: {error}")),
    }
}

fn capabilities() -> Finding {
    match sandbox::require() {
        Ok(()) => Finding::good("nothing is missing of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"),
        Err(missing) => Finding::wrong(missing.to_string()),
    }
}

/// Whether the kernel has something, by trying; it also answers no where the right to ask is missing.
fn supported(what: &str, since: &str, answer: Result<bool, String>) -> Finding {
    match answer {
        Ok(true) => Finding::good(format!("the kernel has {what}")),
        Ok(false) => Finding::wrong(format!(
            "the kernel has not {what}, which came with Linux {since}"
        )),
        Err(error) if sandbox::require().is_err() => Finding::odd(format!(
            "whether the kernel has {what} is not known without the capabilities: {error}"
        )),
        Err(error) => Finding::odd(format!(
            "whether the kernel has {what} is not known: {error}"
        )),
    }
}

fn jit(enabled: Option<&str>, hardened: Option<&str>) -> Finding {
    match (enabled, hardened) {
        (Some("0"), _) => Finding::odd(
            "BPF programs are interpreted, which takes several times as long: sysctl net.core.bpf_jit_enable=1",
        ),
        (Some(_), Some("2")) => Finding::odd(
            "BPF programs are compiled, with constants blinded also for root, which takes longer: \
             net.core.bpf_jit_harden is 2",
        ),
        (Some(_), _) => Finding::good("BPF programs are compiled (JIT)"),
        (None, _) => Finding::odd("the kernel does not tell whether BPF programs are compiled"),
    }
}

/// What confines the process later on.
fn confinement() -> Option<Finding> {
    let seccomp = Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
    let modules = read("/sys/kernel/security/lsm");
    let landlock = modules.is_none_or(|modules| modules.split(',').any(|name| name == "landlock"));
    let mut missing = Vec::new();
    if !seccomp {
        missing.push("seccomp");
    }
    if !landlock {
        missing.push("Landlock (Linux 5.13, and among the security modules that are on)");
    }
    (!missing.is_empty()).then(|| {
        Finding::odd(format!(
            "the kernel has not {}: synfin is confined by less",
            missing.join(" nor ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Mark;
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_told_with_the_version_that_has_it() {
        let finding = supported("the BPF ring buffer", "5.8", Ok(false));
        assert_eq!(finding.mark, Mark::Wrong);
        assert!(finding.words.contains("Linux 5.8"), "{}", finding.words);
        let finding = supported("the BPF ring buffer", "5.8", Err("no".into()));
        assert_eq!(finding.mark, Mark::Odd);
    }

    #[test]
    fn an_interpreter_and_blinded_constants_are_told_as_slow() {
        for (enabled, hardened, mark) in [
            (Some("1"), Some("0"), Mark::Good),
            (Some("1"), Some("1"), Mark::Good),
            (Some("1"), None, Mark::Good),
            (Some("1"), Some("2"), Mark::Odd),
            (Some("0"), None, Mark::Odd),
            (None, None, Mark::Odd),
        ] {
            assert_eq!(
                jit(enabled, hardened).mark,
                mark,
                "{enabled:?} {hardened:?}"
            );
        }
    }
}
