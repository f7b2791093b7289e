//! Words to people, on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Says one line, in one piece: a reader that waits for it never sees half of it. Where nobody can be
/// told any more, nothing happens.
pub fn say(words: impl Display) {
    let line = format!("synfin: {words}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
