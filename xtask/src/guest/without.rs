//! What a guest is without, and why: tests that need it report themselves as not run. Everything else
//! that they need is a failure where it is missing, as on this machine.

use anyhow::Result;

use super::kernel::Kernel;

/// What is not taken along.
const LEFT_OUT: [(&str, &str); 3] = [
    (
        "tshark",
        "its libraries take 120 MiB, and it takes half a minute to start under emulation",
    ),
    (
        "tmux",
        "it needs descriptions of terminals and a locale, and what it shows asks nothing of the kernel",
    ),
    (
        "man",
        "it needs a typesetter, and asks nothing of the kernel",
    ),
];

/// What came with a later kernel, and when.
const CAME_LATER: [(&str, (u32, u32), &str); 1] = [(
    "tcx",
    (6, 6),
    "TCX, links for TC programs, came with Linux 6.6",
)];

/// The names of what a guest with this kernel is without, as the tests' requirements have them.
pub(super) fn here(kernel: &Kernel) -> Result<Vec<&'static str>> {
    Ok(reasons(kernel)?.into_iter().map(|(what, _)| what).collect())
}

/// The same with the reasons.
pub(super) fn reasons(kernel: &Kernel) -> Result<Vec<(&'static str, &'static str)>> {
    let version = kernel.version()?;
    let later = CAME_LATER.iter().filter(|(_, since, _)| version < *since);
    let later = later.map(|(what, _, why)| (*what, *why));
    Ok(LEFT_OUT.into_iter().chain(later).collect())
}
