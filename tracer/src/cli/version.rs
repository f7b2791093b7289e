//! What `--version` says.

use synfin_ebpf::event::ABI_VERSION;

/// Of which commit it was built, as far as that is known.
const COMMIT: &str = match option_env!("SYNFIN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// The version, the commit, and the version of the records that the programs in the kernel give.
pub(super) fn version() -> String {
    format!(
        "{} (commit {COMMIT}, kernel ABI {ABI_VERSION})",
        env!("CARGO_PKG_VERSION")
    )
}
