//! What a test saw, told only where it fails.

use std::cell::RefCell;

thread_local! {
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

const MOST_OCTETS: usize = 4_000;

/// Keeps a note for the case that the test of this thread fails.
pub fn note(what: &str, text: &str) {
    let mut end = text.len().min(MOST_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (told, rest) = text.split_at(end);
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!("\n… and {} octets more", rest.len())
    };
    NOTES.with_borrow_mut(|notes| notes.push(format!("--- {what}\n{}{more}", told.trim_end())));
}

/// Takes the notes of this thread.
#[must_use]
pub fn take() -> String {
    NOTES.take().join("\n")
}
