//! What a batch came to in each lane, and all of it in one order.

/// What a batch came to in one lane.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Round {
    /// Records and steps as they are printed.
    pub(super) octets: Vec<u8>,
    /// Of each, when it was handed out, in ns, and where it ends.
    pieces: Vec<(u64, usize)>,
}

impl Round {
    /// Empties it; its memory stays.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.pieces.clear();
    }

    /// Notes that what was rendered at `at_ns` ends here; where nothing was, nothing is noted.
    pub(super) fn note(&mut self, at_ns: u64, end: usize) {
        if self.pieces.last().map_or(0, |(_, last)| *last) < end {
            self.pieces.push((at_ns, end));
        }
    }
}

/// Appends what all lanes gave, in the order of time as far as each lane has kept it; tells how many
/// pieces that are.
pub(super) fn merge(rounds: &[Round], out: &mut Vec<u8>) -> u64 {
    let mut places = vec![(0, 0); rounds.len()];
    let mut merged = 0;
    loop {
        let next = rounds.iter().zip(&places).enumerate();
        let next = next.filter_map(|(lane, (round, (piece, _)))| {
            let (at_ns, end) = round.pieces.get(*piece)?;
            Some((*at_ns, lane, *end))
        });
        let Some((_, lane, end)) = next.min() else {
            return merged;
        };
        if let (Some(round), Some((piece, start))) = (rounds.get(lane), places.get_mut(lane)) {
            out.extend_from_slice(round.octets.get(*start..end).unwrap_or_default());
            (*piece, *start) = (*piece + 1, end);
        }
        merged += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(pieces: &[(u64, &str)]) -> Round {
        let mut round = Round::default();
        for (at_ns, text) in pieces {
            round.octets.extend_from_slice(text.as_bytes());
            round.note(*at_ns, round.octets.len());
        }
        round
    }

    #[test]
    fn pieces_come_in_the_order_of_their_times_and_of_the_lanes() {
        let rounds = [
            round(&[(1, "a"), (5, "bb"), (5, "c")]),
            round(&[]),
            round(&[(1, "d"), (3, ""), (4, "eee")]),
        ];
        let mut out = Vec::new();
        assert_eq!(merge(&rounds, &mut out), 5);
        assert_eq!(String::from_utf8(out).unwrap(), "adeeebbc");
    }

    #[test]
    fn a_lane_that_went_back_in_time_keeps_its_own_order() {
        let rounds = [round(&[(7, "a"), (2, "b")]), round(&[(3, "c")])];
        let mut out = Vec::new();
        assert_eq!(merge(&rounds, &mut out), 3);
        assert_eq!(out, b"cab");
    }
}
