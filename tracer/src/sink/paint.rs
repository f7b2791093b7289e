//! Words with a tone, and how they are laid into lines of a given width.
//!
//! Colour only repeats what the words say: without it nothing is lost.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Effects};

/// How text is laid out for a terminal or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use the terminal's colours.
    pub colour: bool,
    /// Columns to fit into, as far as what is said allows.
    pub width: usize,
}

impl Default for Style {
    /// For a file: without colour, 120 columns wide.
    fn default() -> Self {
        Self {
            colour: false,
            width: 120,
        }
    }
}

/// What a piece of text is, and thereby how it is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The text itself.
    Plain,
    /// What a record is about.
    Strong,
    /// What guides the eye.
    Dim,
    /// A proof that held.
    Good,
    /// A failure.
    Bad,
    /// An oddity.
    Odd,
}

impl Tone {
    const fn style(self) -> anstyle::Style {
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Strong => anstyle::Style::new().effects(Effects::BOLD),
            Self::Dim => anstyle::Style::new().effects(Effects::DIMMED),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Odd => AnsiColor::Yellow.on_default(),
        }
    }
}

/// A part of a sentence that stays together where there is room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// What it is.
    pub tone: Tone,
    /// Its words.
    pub text: String,
}

impl Clause {
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }
}

/// Between two clauses of a line.
pub(super) const SEPARATOR: &str = " · ";

/// Appends plain text.
pub(super) fn put(out: &mut Vec<u8>, text: impl Display) {
    // A vector takes what is written to it.
    let _ = write!(out, "{text}");
}

impl Style {
    /// Appends text in a tone.
    pub(super) fn put(self, out: &mut Vec<u8>, tone: Tone, text: impl Display) {
        if self.colour && tone != Tone::Plain {
            let style = tone.style();
            put(out, format_args!("{style}{text}{style:#}"));
        } else {
            put(out, text);
        }
    }

    /// Appends clauses in one line.
    pub(super) fn join(self, out: &mut Vec<u8>, clauses: &[Clause]) {
        for (index, clause) in clauses.iter().enumerate() {
            if index > 0 {
                self.put(out, Tone::Dim, SEPARATOR);
            }
            self.put(out, clause.tone, &clause.text);
        }
    }
}

/// Columns that text takes: what is shown here has characters of one column each.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Columns that clauses take in one line.
pub(super) fn columns_joined(clauses: &[Clause]) -> usize {
    let text: usize = clauses.iter().map(|clause| columns(&clause.text)).sum();
    text + columns(SEPARATOR) * clauses.len().saturating_sub(1)
}

/// Lays clauses into lines of at most `width` columns. A line breaks between clauses; within a
/// clause that is longer than a line after a comma, where there is none between words. A word that
/// is longer than a line stands out.
pub(super) fn wrap(clauses: &[Clause], width: usize) -> Vec<Vec<Clause>> {
    let mut lines: Vec<Vec<Clause>> = Vec::new();
    for clause in clauses {
        let used = lines.last().map(|line| columns_joined(line));
        let room = used.and_then(|used| width.checked_sub(used + columns(SEPARATOR)));
        let mut parts = parts(&clause.text, width).into_iter().peekable();
        if let Some(line) = lines.last_mut()
            && let Some(part) = parts.next_if(|part| room >= Some(columns(part)))
        {
            line.push(Clause::new(clause.tone, part));
        }
        lines.extend(parts.map(|part| vec![Clause::new(clause.tone, part)]));
    }
    lines
}

/// A clause in parts of at most `width` columns.
fn parts(text: &str, width: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |piece: &str| match parts.last_mut() {
        Some(part) if columns(part) + 1 + columns(piece) <= width => {
            part.push(' ');
            part.push_str(piece);
        }
        _ => parts.push(piece.to_owned()),
    };
    if columns(text) <= width {
        add(text);
        return parts;
    }
    for phrase in text.split_inclusive(", ").map(str::trim_end) {
        if columns(phrase) <= width {
            add(phrase);
        } else {
            phrase.split(' ').for_each(&mut add);
        }
    }
    parts
}

/// Whether a terminal or editor acts upon the character instead of showing it: control characters,
/// DEL and C1 among them, line and paragraph separators, and what turns the direction of writing.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// A name from outside, such as an interface's, without anything that a terminal would act upon.
pub(crate) fn printable(name: &str) -> String {
    let shown = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    name.chars()
        .map(|c| if shown(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str], width: usize) -> Vec<String> {
        let clauses: Vec<_> = texts
            .iter()
            .map(|&text| Clause::new(Tone::Plain, text))
            .collect();
        let style = Style::default();
        wrap(&clauses, width)
            .iter()
            .map(|line| {
                let mut out = Vec::new();
                style.join(&mut out, line);
                assert_eq!(
                    columns_joined(line),
                    columns(&String::from_utf8_lossy(&out))
                );
                String::from_utf8(out).unwrap()
            })
            .collect()
    }

    #[test]
    fn lines_break_between_clauses_first_and_then_between_words() {
        assert_eq!(lines(&["one two", "three"], 15), ["one two · three"]);
        assert_eq!(lines(&["one two", "three"], 14), ["one two", "three"]);
        assert_eq!(lines(&["one two", "three"], 5), ["one", "two", "three"]);
        let wrapped = lines(&["one", "a long clause"], 8);
        assert_eq!(wrapped, ["one", "a long", "clause"]);
    }

    #[test]
    fn a_long_clause_breaks_after_a_comma_and_may_begin_behind_another() {
        let clauses = ["Y = 300", "✗ acknowledges 1001, expected X+1 = 2452765131"];
        let [first, second] = [
            "Y = 300 · ✗ acknowledges 1001,",
            "expected X+1 = 2452765131",
        ];
        assert_eq!(lines(&clauses, 41), [first, second]);
        assert_eq!(lines(&clauses, 55), clauses);
    }

    #[test]
    fn a_word_longer_than_the_line_stands_out() {
        assert_eq!(lines(&["extraordinary"], 4), ["extraordinary"]);
        assert_eq!(lines(&["a", "b"], 0), ["a", "b"]);
        assert_eq!(lines(&[], 10), [""; 0]);
    }

    #[test]
    fn colour_is_used_only_when_asked_for() {
        let mut out = Vec::new();
        Style::default().put(&mut out, Tone::Bad, "no");
        assert_eq!(out, b"no");
        out.clear();
        let colour = Style {
            colour: true,
            ..Style::default()
        };
        colour.put(&mut out, Tone::Bad, "no");
        assert_eq!(out, b"\x1b[31mno\x1b[0m");
    }

    #[test]
    fn names_from_outside_cannot_command_the_terminal() {
        assert_eq!(printable("veth0"), "veth0");
        assert_eq!(printable("Büro 2"), "Büro 2");
        assert_eq!(printable("a\x1b[2J\n\u{9b}\u{202e}b"), "a?[2J???b");
    }
}
