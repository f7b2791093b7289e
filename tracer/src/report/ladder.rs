//! What a ladder says, as arrays of few octets: the page draws it when it is asked for.

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

use crate::sink::{Clause, Drawing, Rung, Segment, Tone};
use crate::timeline::Role;

/// A ladder in JSON: `[route, verdict, reasons, circumstances, rungs, notes]`.
pub(super) fn encoded(drawing: &Drawing) -> Vec<u8> {
    let mut before_us = 0;
    let rungs: Vec<_> = drawing
        .rungs
        .iter()
        .map(|rung| Row::of(rung, &mut before_us))
        .collect();
    let words =
        [&drawing.verdict, &drawing.reasons, &drawing.circumstances].map(|clauses| Words(clauses));
    let [verdict, reasons, circumstances] = words;
    let all = (
        &drawing.route,
        verdict,
        reasons,
        circumstances,
        rungs,
        Words(&drawing.notes),
    );
    // Strings and numbers can always be written to memory.
    serde_json::to_vec(&all).unwrap_or_default()
}

/// The class of a tone in the page.
pub(super) const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Strong => "strong",
        Tone::Dim => "dim",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Odd => "odd",
    }
}

/// Clauses: those without a tone as texts, the others with the class of theirs.
struct Words<'a>(&'a [Clause]);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut words = serializer.serialize_seq(Some(self.0.len()))?;
        for clause in self.0 {
            match class(clause.tone) {
                "" => words.serialize_element(&clause.text)?,
                class => words.serialize_element(&(class, &clause.text))?,
            }
        }
        words.end()
    }
}

/// A text, or `[µs since the segment before, delta, from, flags, label, client state, server state, proof]`.
#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Unshown(&'a str),
    Segment(
        u64,
        Option<u64>,
        u8,
        &'a str,
        &'a str,
        &'a str,
        &'a str,
        Words<'a>,
    ),
}

impl<'a> Row<'a> {
    fn of(rung: &'a Rung, before_us: &mut u64) -> Self {
        let segment = match rung {
            Rung::Unshown(text) => return Self::Unshown(text),
            Rung::Segment(segment) => segment,
        };
        let t_us = micros(segment.t_ns);
        let passed_us = t_us.saturating_sub(std::mem::replace(before_us, t_us));
        // Mostly the delta is the difference of the two times that are shown; 0 stands for that. Small numbers are
        // short, and times make up most of a page.
        let delta = segment.since_ns.map(|ns| match micros(ns) {
            us if us == passed_us => 0,
            us => us.saturating_add(1),
        });
        Self::Segment(
            passed_us,
            delta,
            from(segment),
            &segment.flags,
            &segment.label,
            segment.client_state,
            segment.server_state,
            Words(&segment.proof),
        )
    }
}

/// As times are rounded where they are shown.
const fn micros(ns: u64) -> u64 {
    ns / 1_000 + (ns % 1_000 >= 500) as u64
}

/// The sender: 0 for the client, 1 for the server; 2 more for a RST.
fn from(segment: &Segment) -> u8 {
    u8::from(segment.from == Role::Server) + 2 * u8::from(segment.reset)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sink::fixtures::{ftp, refused};

    fn decoded(drawing: &Drawing) -> Value {
        serde_json::from_slice(&encoded(drawing)).unwrap()
    }

    #[test]
    fn a_ladder_has_its_route_words_rungs_and_notes() {
        let drawing = Drawing::from(&refused());
        let ladder = decoded(&drawing);
        assert_eq!(ladder[0], drawing.route);
        assert_eq!(ladder[1][0], json!(["bad", drawing.verdict[0].text]));
        assert_eq!(ladder[4].as_array().unwrap().len(), drawing.rungs.len());
        let last = ladder[4].as_array().unwrap().last().unwrap();
        assert_eq!((&last[2], &last[3]), (&json!(3), &json!("RST,ACK")));
    }

    #[test]
    fn times_and_deltas_come_out_as_they_are_shown() {
        let drawing = Drawing::from(&ftp());
        let ladder = decoded(&drawing);
        let mut us = 0;
        for (rung, row) in drawing.rungs.iter().zip(ladder[4].as_array().unwrap()) {
            let Rung::Segment(segment) = rung else {
                assert!(row.is_string());
                continue;
            };
            let passed = row[0].as_u64().unwrap();
            us += passed;
            let shown = |us: u64| format!("{}.{:03}", us / 1_000, us % 1_000);
            assert_eq!(shown(us), segment.time());
            let delta = match row[1].as_u64() {
                None => String::new(),
                Some(0) => format!("+{}", shown(passed)),
                Some(more) => format!("+{}", shown(more - 1)),
            };
            assert_eq!(delta, segment.delta());
        }
    }
}
