//! What was told beside what was done.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Result, ensure};

use super::clients::{Outcome, Talk};
use super::reading::Told;
use super::times::Times;

/// The clock may be read a little later than the SYN was sent, and it may be set.
const APART_NS: i128 = 50_000_000;
/// Wrong records that are shown.
const SHOWN: usize = 5;

/// The outcome.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    talks: usize,
    served: usize,
    refused: usize,
    whole: usize,
    marked: usize,
    /// Marked, though nobody stood still and the interface was up.
    marked_in_peace: usize,
    /// Without a record, while the daemon stood still.
    lost: usize,
    /// Without a record otherwise: it was dropped.
    dropped: usize,
    /// Of these, while everything was read as far as this machine goes.
    dropped_in_peace: usize,
    /// Neither whole nor marked, and what the client knows.
    wrong: Vec<String>,
}

impl Judgement {
    pub(super) fn of(talks: &[Talk], told: &[Told], times: &Times) -> Self {
        let mut judgement = Self {
            talks: talks.len(),
            ..Self::default()
        };
        let mut by_port: HashMap<u16, Vec<(&Talk, Vec<&Told>)>> = HashMap::new();
        for talk in talks {
            by_port
                .entry(talk.port)
                .or_default()
                .push((talk, Vec::new()));
        }
        for told in told {
            let talks = by_port.entry(told.port).or_default();
            // What is told of a talk begins with it; what is left of it may be told apart, later.
            let of = talks
                .iter_mut()
                .filter(|(talk, _)| talk.span.0 - APART_NS <= told.start_ns);
            match of.min_by_key(|(talk, _)| (told.start_ns - talk.span.0).abs()) {
                Some((_, records)) => records.push(told),
                None => judgement
                    .wrong
                    .push(format!("nobody did this: {}", told.line)),
            }
        }
        for (talk, records) in by_port.values().flatten() {
            judgement.judge(talk, records, times);
        }
        judgement
    }

    fn judge(&mut self, talk: &Talk, records: &[&Told], times: &Times) {
        self.served += usize::from(matches!(talk.outcome, Outcome::Served(_)));
        self.refused += usize::from(talk.outcome == Outcome::Refused);
        let was_down = Times::was_down(talk.span, &times.down);
        let was_stopped = times.was_stopped(talk.span);
        for told in records {
            if told.is_marked {
                self.marked += 1;
                self.marked_in_peace += usize::from(!was_down && !times.may_mark(talk.span));
            } else if is_whole(talk, told, was_down) {
                self.whole += 1;
            } else {
                self.wrong
                    .push(format!("{talk:?} was told as {}", told.line));
            }
        }
        if records.is_empty() && talk.outcome != Outcome::Failed {
            self.lost += usize::from(was_stopped);
            self.dropped += usize::from(!was_stopped);
            let in_peace = !was_stopped && !times.was_unread(talk.span);
            self.dropped_in_peace += usize::from(in_peace);
        }
        let more = records.iter().filter(|told| !told.is_marked).count() > 1;
        if more && talk.outcome != Outcome::Failed {
            self.wrong
                .push(format!("{talk:?} was told {} times", records.len()));
        }
    }

    /// That no record is wrong, that not everything is marked, and that no more lack a record than the
    /// daemon dropped.
    pub(super) fn hold(&self, dropped: u64) -> Result<()> {
        let shown: Vec<_> = self.wrong.iter().take(SHOWN).map(String::as_str).collect();
        ensure!(
            self.wrong.is_empty(),
            "{} are neither whole nor marked:\n{}",
            self.wrong.len(),
            shown.join("\n")
        );
        ensure!(
            self.whole > self.marked,
            "more is marked than whole: {self}"
        );
        ensure!(
            u64::try_from(self.dropped)? <= dropped,
            "more lack a record than the {dropped} that were dropped: {self}"
        );
        // A busy machine reads later than is reckoned with.
        ensure!(
            (self.marked_in_peace + self.dropped_in_peace) * 20 <= self.whole,
            "what lacks nothing is marked, or not told: {self}"
        );
        Ok(())
    }
}

/// Whether a record without a mark says what its client knows.
fn is_whole(talk: &Talk, told: &Told, was_down: bool) -> bool {
    match talk.outcome {
        Outcome::Served(closer) => {
            told.outcome == "established"
                && told.isns.iter().all(Option::is_some)
                && told.octets == [Some(8); 2]
                && ["four_way", "three_way", "simultaneous"].contains(&told.close.as_str())
                && (was_down || told.closer.as_deref() == Some(closer))
        }
        Outcome::Refused => told.outcome == "refused",
        // What came of it on the wire its client does not know.
        Outcome::Failed => true,
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections ({} served, {} refused): {} records whole, {} marked ({} in peace); without a \
             record {} while the daemon stood still, and {} that were dropped ({} in peace); {} wrong",
            self.talks,
            self.served,
            self.refused,
            self.whole,
            self.marked,
            self.marked_in_peace,
            self.lost,
            self.dropped,
            self.dropped_in_peace,
            self.wrong.len(),
        )
    }
}
