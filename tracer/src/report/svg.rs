//! A ladder as SVG, for those who read the page without its script, which draws the others in the very
//! same way (see `page.js`; a test holds the two against each other).

use std::fmt::Write as _;

use super::ladder::class;
use super::markup::Text;
use crate::sink::{Clause, Drawing, Rung, Segment};
use crate::timeline::Role;

/// Where the columns are: times and the client's states end there, the others begin there.
const TIME: usize = 72;
const DELTA: usize = 146;
const CLIENT: usize = 262;
const LEFT: usize = 274;
const RIGHT: usize = 634;
const SERVER: usize = 646;
const PROOF: usize = 752;
/// From one rung to the next, and above the first one.
const STEP: usize = 28;
const TOP: usize = 26;
/// The least width.
const WIDTH: usize = 900;
/// Characters that flags take where they take less.
const FLAGS: usize = 8;

/// Appends the ladder.
pub(super) fn ladder(drawing: &Drawing, out: &mut String) {
    let widest = drawing.rungs.iter().map(|rung| match rung {
        Rung::Segment(segment) => PROOF + wide(joined(&segment.proof)) + 8,
        Rung::Unshown(_) => 0,
    });
    let width = widest.fold(WIDTH, usize::max);
    let height = TOP + drawing.rungs.len() * STEP + 8;
    put(
        out,
        format_args!(
            "<svg class=\"ladder\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"group\" aria-label=\"Ladder of {}\">",
            Text(&drawing.route)
        ),
    );
    for (name, x, words) in [
        ("dim end", TIME, "ms"),
        ("dim end", DELTA, "Δ"),
        ("dim end", CLIENT, "client"),
        ("dim", SERVER, "server"),
    ] {
        text(name, x, 16, words, out);
    }
    for (place, rung) in drawing.rungs.iter().enumerate() {
        let top = TOP + place * STEP;
        match rung {
            Rung::Segment(segment) => self::segment(segment, top, out),
            Rung::Unshown(words) => {
                lines("life gap", top, out);
                text("dim mid", LEFT.midpoint(RIGHT), top + 18, words, out);
            }
        }
    }
    out.push_str("</svg>");
}

fn segment(segment: &Segment, top: usize, out: &mut String) {
    let (y, line) = (top + 18, top + 22);
    let bad = if segment.reset { " bad" } else { "" };
    text("dim end", TIME, y, &segment.time(), out);
    text("dim end", DELTA, y, &segment.delta(), out);
    text("end", CLIENT, y, segment.client_state, out);
    lines("life", top, out);
    let (tail, head, back) = match segment.from {
        Role::Client => (LEFT, RIGHT, RIGHT - 8),
        Role::Server => (RIGHT, LEFT, LEFT + 8),
    };
    put(
        out,
        format_args!(
            "<path class=\"arrow{bad}\" d=\"M{tail} {line}H{head}M{back} {}L{head} {line}L{back} {}\"></path>",
            line - 4,
            line + 4
        ),
    );
    let flags = LEFT + 14;
    text(&format!("flags{bad}"), flags, y, &segment.flags, out);
    let taken = segment.flags.chars().count() + 1;
    text("", flags + wide(taken.max(FLAGS)), y, &segment.label, out);
    text("", SERVER, y, segment.server_state, out);
    if !segment.proof.is_empty() {
        put(out, format_args!("<text x=\"{PROOF}\" y=\"{y}\">"));
        clauses(&segment.proof, "tspan", out);
        out.push_str("</text>");
    }
}

/// The two lines beside a rung.
fn lines(class: &str, top: usize, out: &mut String) {
    for x in [LEFT, RIGHT] {
        let end = top + STEP;
        put(
            out,
            format_args!("<path class=\"{class}\" d=\"M{x} {top}V{end}\"></path>"),
        );
    }
}

/// A text; nothing where there is none.
fn text(class: &str, x: usize, y: usize, words: &str, out: &mut String) {
    if words.is_empty() {
        return;
    }
    out.push_str("<text");
    if !class.is_empty() {
        put(out, format_args!(" class=\"{class}\""));
    }
    put(
        out,
        format_args!(" x=\"{x}\" y=\"{y}\">{}</text>", Text(words)),
    );
}

/// Clauses in elements of this name, apart by dots.
pub(super) fn clauses(clauses: &[Clause], element: &str, out: &mut String) {
    for (index, clause) in clauses.iter().enumerate() {
        if index > 0 {
            out.push_str(" · ");
        }
        match class(clause.tone) {
            "" => put(out, Text(&clause.text)),
            class => put(
                out,
                format_args!(
                    "<{element} class=\"{class}\">{}</{element}>",
                    Text(&clause.text)
                ),
            ),
        }
    }
}

/// Characters of clauses in one line.
fn joined(clauses: &[Clause]) -> usize {
    let characters: usize = clauses
        .iter()
        .map(|clause| clause.text.chars().count() + 3)
        .sum();
    characters.saturating_sub(3)
}

/// The width of so many characters, which are as wide as each other.
const fn wide(characters: usize) -> usize {
    characters * 29 / 4
}

fn put(out: &mut String, text: impl std::fmt::Display) {
    // A string takes what is written to it.
    let _ = write!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures;

    #[test]
    fn every_ladder_has_all_its_words() {
        for (name, connection) in fixtures::all() {
            let drawing = Drawing::from(&connection);
            let mut svg = String::new();
            ladder(&drawing, &mut svg);
            assert_eq!(svg.matches("<svg").count(), 1, "{name}");
            for rung in &drawing.rungs {
                let words = match rung {
                    Rung::Unshown(words) => words.clone(),
                    Rung::Segment(segment) => segment.label.clone(),
                };
                assert!(svg.contains(&Text(words).to_string()), "{name}");
            }
            let arrows = svg.matches("class=\"arrow").count();
            let segments = |rung: &&Rung| matches!(rung, Rung::Segment(_));
            assert_eq!(
                arrows,
                drawing.rungs.iter().filter(segments).count(),
                "{name}"
            );
        }
    }
}
