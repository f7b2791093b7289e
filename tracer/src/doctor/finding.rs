//! One thing that was looked at.

use std::fmt::Write as _;

/// How good it is for tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Tracing works, and this should be known.
    Odd,
    /// It is in the way.
    Wrong,
    /// What follows from all of it.
    Outcome,
}

impl Mark {
    const fn sign(self) -> char {
        match self {
            Self::Good => '✓',
            Self::Odd => '!',
            Self::Wrong => '✗',
            Self::Outcome => '⇒',
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    pub(super) words: String,
}

impl Finding {
    pub(super) fn good(words: impl Into<String>) -> Self {
        Self::new(Mark::Good, words)
    }

    pub(super) fn odd(words: impl Into<String>) -> Self {
        Self::new(Mark::Odd, words)
    }

    pub(super) fn wrong(words: impl Into<String>) -> Self {
        Self::new(Mark::Wrong, words)
    }

    pub(super) fn outcome(words: impl Into<String>) -> Self {
        Self::new(Mark::Outcome, words)
    }

    fn new(mark: Mark, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { mark, words }
    }
}

/// Appends a part of the report: a title, and a line for each finding.
pub(super) fn write(title: &str, findings: &[Finding], text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
    // A string takes what is written to it.
    let _ = writeln!(text, "{title}");
    for Finding { mark, words } in findings {
        let _ = writeln!(text, "  {} {words}", mark.sign());
    }
}
