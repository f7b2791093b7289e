//! What a connection came to, as far as the page sorts by it.

use crate::timeline::Connection;

/// Whether a connection failed; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// It opened, or is none.
    Well,
    /// It was reset after it had opened.
    Reset,
    /// It did not come to be.
    Failed,
}

impl Fate {
    pub(super) fn of(connection: &Connection) -> Self {
        if connection.open.outcome.is_failure() {
            Self::Failed
        } else if connection.was_reset() {
            Self::Reset
        } else {
            Self::Well
        }
    }
}
