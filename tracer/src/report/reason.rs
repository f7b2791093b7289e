//! Why a connection failed, or what was odd about it, in plain words.

use crate::sink::Drawing;
use crate::timeline::Connection;

use super::row::Fate;

/// The reason; nothing where nothing was wrong.
pub(super) fn of(connection: &Connection) -> String {
    if Fate::of(connection) == Fate::Well {
        return String::new();
    }
    let verdict = Drawing::from(connection).verdict;
    verdict
        .into_iter()
        .map(|clause| clause.text)
        .next()
        .unwrap_or_default()
}
