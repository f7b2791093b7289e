//! Where the rows of a ladder go: columns as wide as they must be, and the arrows between the two
//! lines as long as there is room for.

use super::rungs::{Rung, Segment};
use crate::sink::paint::{Clause, Style, Tone, columns, columns_joined, put, wrap};
use crate::timeline::Role;

/// The widest name of a state, so that the two lines stand in the same place in every ladder.
const STATE: usize = "SYN-RECEIVED".len();
const TIME: usize = "1931.210".len();
const DELTA: usize = "+0.208".len();
const FLAGS: usize = "SYN,ACK".len();
/// Between the columns of times, and before the proof.
const SPACE: usize = 2;
/// What an arrow has before its flags, `── ` or `◄─ `, and the least behind its numbers, ` ──►`.
const ENDS: usize = 3 + 4;
/// The length of an arrow where there is room for it.
const ARROW: usize = 38;
/// The least room for a proof; a narrower terminal breaks the lines itself.
const PROOF: usize = 16;

/// Appends the rows.
pub(super) fn draw(rungs: &[Rung], style: Style, out: &mut Vec<u8>) {
    let layout = Layout::of(rungs, style);
    layout.head(out);
    for rung in rungs {
        match rung {
            Rung::Segment(segment) => layout.segment(segment, out),
            Rung::Unshown(text) => layout.unshown(text, out),
        }
    }
}

struct Layout {
    style: Style,
    time: usize,
    delta: usize,
    flags: usize,
    arrow: usize,
    proof: usize,
}

impl Layout {
    fn of(rungs: &[Rung], style: Style) -> Self {
        let segments = || {
            rungs.iter().filter_map(|rung| match rung {
                Rung::Segment(segment) => Some(segment),
                Rung::Unshown(_) => None,
            })
        };
        let widest = |of: fn(&Segment) -> usize, least| segments().map(of).fold(least, usize::max);
        let time = widest(|segment| columns(&segment.time()), TIME);
        let delta = widest(|segment| columns(&segment.delta()), DELTA);
        let flags = widest(|segment| columns(&segment.flags), FLAGS);
        let label = widest(|segment| columns(&segment.label), 0);
        let proof = widest(|segment| columns_joined(&segment.proof), PROOF);
        let unshown = rungs.iter().map(|rung| match rung {
            Rung::Segment(_) => 0,
            Rung::Unshown(text) => columns(text) + 2,
        });
        let shortest = unshown.fold(ENDS + flags + SPACE + label, usize::max);
        // The two lines and the spaces beside them are four columns.
        let fixed = time + SPACE + delta + SPACE + STATE + 4 + STATE + SPACE;
        let room = style.width.saturating_sub(fixed);
        let arrow = room.saturating_sub(proof).min(ARROW).max(shortest);
        Self {
            style,
            time,
            delta,
            flags,
            arrow,
            proof: room.saturating_sub(arrow).max(PROOF),
        }
    }

    fn head(&self, out: &mut Vec<u8>) {
        self.margin("ms", "Δ", out);
        let Self { style, arrow, .. } = *self;
        let names = format_args!("{:>1$}{2:arrow$}server", "client", STATE + 2, "");
        style.put(out, Tone::Dim, names);
        out.push(b'\n');
    }

    fn segment(&self, segment: &Segment, out: &mut Vec<u8>) {
        let mut proofs = wrap(&segment.proof, self.proof).into_iter();
        self.margin(&segment.time(), &segment.delta(), out);
        put(out, format_args!("{:>STATE$} ", segment.client_state));
        self.arrow(segment, out);
        put(out, format_args!(" {:STATE$}", segment.server_state));
        self.proof(&proofs.next().unwrap_or_default(), out);
        for proof in proofs {
            self.margin("", "", out);
            put(out, format_args!("{:STATE$} ", ""));
            self.lines('│', "", out);
            put(out, format_args!(" {:STATE$}", ""));
            self.proof(&proof, out);
        }
    }

    fn unshown(&self, text: &str, out: &mut Vec<u8>) {
        self.margin("", "", out);
        put(out, format_args!("{:STATE$} ", ""));
        self.lines('┆', text, out);
        self.proof(&[], out);
    }

    fn margin(&self, time: &str, delta: &str, out: &mut Vec<u8>) {
        let (time_width, delta_width) = (self.time, self.delta + SPACE);
        let margin = format_args!("{time:>time_width$}{delta:>delta_width$}{:SPACE$}", "");
        self.style.put(out, Tone::Dim, margin);
    }

    fn arrow(&self, segment: &Segment, out: &mut Vec<u8>) {
        let (left, head, tail, right) = match segment.from {
            Role::Client => ("├", "── ", "►", "│"),
            Role::Server => ("│", "◄─ ", "─", "┤"),
        };
        let Self { style, flags, .. } = *self;
        let tone = if segment.reset {
            Tone::Bad
        } else {
            Tone::Plain
        };
        let mut used = ENDS + columns(&segment.flags);
        style.put(out, Tone::Dim, left);
        put(out, head);
        style.put(out, tone, &segment.flags);
        if !segment.label.is_empty() {
            let pad = flags.saturating_sub(columns(&segment.flags)) + SPACE;
            put(out, format_args!("{:pad$}{}", "", segment.label));
            used += pad + columns(&segment.label);
        }
        let rest = self.arrow.saturating_sub(used) + 2;
        put(out, format_args!(" {:─<rest$}{tail}", ""));
        style.put(out, Tone::Dim, right);
    }

    /// The two lines with something between them that is no segment.
    fn lines(&self, line: char, text: &str, out: &mut Vec<u8>) {
        let Self { style, arrow, .. } = *self;
        style.put(out, Tone::Dim, format_args!("{line}{text:^arrow$}{line}"));
    }

    /// The last column; nothing stays behind the last word of a line.
    fn proof(&self, proof: &[Clause], out: &mut Vec<u8>) {
        if proof.is_empty() {
            out.truncate(out.trim_ascii_end().len());
        } else {
            put(out, format_args!("{:SPACE$}", ""));
            self.style.join(out, proof);
        }
        out.push(b'\n');
    }
}
