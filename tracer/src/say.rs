//! Words to people, on standard error; and kept back while a screen is shown there.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines that are kept back at most; of more the oldest are dropped, and counted.
const KEPT: usize = 1_000;

/// What was said while a screen is shown.
static HELD: Mutex<Option<Held>> = Mutex::new(None);
/// Whether there is such a screen, for a signal handler, which must not wait.
static HOLDS: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<String>,
    /// How many of the last ones nobody was told of yet.
    news: usize,
    dropped: u64,
}

/// Says one line, in one piece: a reader that waits for it never sees half of it. Where nobody can be
/// told any more, nothing happens.
pub fn say(words: impl Display) {
    match &mut *held() {
        Some(held) => held.take(words.to_string()),
        None => write(&words),
    }
}

/// Whether what is said is kept back now.
#[must_use]
pub fn holds() -> bool {
    HOLDS.load(Ordering::Relaxed)
}

/// What was said since this was asked last, where it is kept back.
#[must_use]
pub fn news() -> Vec<String> {
    let mut held = held();
    let Some(held) = &mut *held else {
        return Vec::new();
    };
    let old = held
        .lines
        .len()
        .saturating_sub(std::mem::take(&mut held.news));
    held.lines.iter().skip(old).cloned().collect()
}

/// Keeps what is said back, from its making to its end; then it is said.
#[derive(Debug)]
pub struct Hold(());

impl Hold {
    /// From now on.
    #[must_use]
    pub fn new() -> Self {
        held().get_or_insert_default();
        HOLDS.store(true, Ordering::Relaxed);
        Self(())
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        release();
    }
}

/// Says what was kept back, and keeps nothing back any more.
pub fn release() {
    HOLDS.store(false, Ordering::Relaxed);
    let Some(Held { lines, dropped, .. }) = held().take() else {
        return;
    };
    if dropped > 0 {
        write(&format_args!("{dropped} earlier lines were not kept"));
    }
    lines.iter().for_each(write);
}

impl Held {
    fn take(&mut self, line: String) {
        if self.lines.len() >= KEPT {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
        self.news = (self.news + 1).min(KEPT);
    }
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(words: &impl Display) {
    let line = format!("synfin: {words}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_lines_than_are_kept_the_oldest_are_dropped_and_counted() {
        let mut held = Held::default();
        (0..KEPT + 2).for_each(|line| held.take(line.to_string()));
        assert_eq!((held.lines.len(), held.dropped), (KEPT, 2));
        assert_eq!(held.lines.front().map(String::as_str), Some("2"));
        assert_eq!(held.news, KEPT);
    }
}
