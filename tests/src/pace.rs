//! Less of the same where a machine is emulated, a dozen times slower: what a test says does not depend
//! on how often it is shown, but some have to be over before a connection is watched no longer.

use std::env;

/// Set where that is.
const VARIABLE: &str = "SYNFIN_EMULATED";

const DIVISOR: u32 = 4;

/// Whether this machine is emulated.
#[must_use]
pub fn is_emulated() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// So many, or a quarter of them.
#[must_use]
pub fn paced(count: u32) -> u32 {
    if is_emulated() {
        count / DIVISOR
    } else {
        count
    }
}
