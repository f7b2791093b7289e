//! What else must be known to read a record right, in plain words.

use super::paint::{Clause, Tone, printable};
use crate::timeline::{Anomaly, Close, Confidence, Connection, OpenOutcome, ResetProof};
use crate::units::{Octets, counted};

/// Limits of the observation first, then what was odd about the connection itself.
pub(super) fn notes(connection: &Connection) -> Vec<Clause> {
    let mut notes = Vec::new();
    // What such a record is says as much.
    let lone = !connection.open.outcome.is_connection();
    let mut note = |text: String| notes.push(Clause::new(Tone::Odd, text));
    if connection.observation_gap {
        note("events were lost while this connection was there: steps may be missing".to_owned());
    }
    if connection.steps_omitted > 0 && !lone {
        let more = counted(connection.steps_omitted, "more segment");
        note(format!("{more} did not fit into the record"));
    }
    if connection.asymmetric && !lone {
        note("only one direction was seen".to_owned());
    }
    if connection.open.confidence == Confidence::Inferred && !lone {
        note("which end is the client is a guess from the ports".to_owned());
    }
    if let Some(wrong) = connection.open.wrong_ack
        && connection.open.outcome != OpenOutcome::Rejected
    {
        note(format!(
            "a SYN-ACK acknowledged {}, expected {}",
            wrong.seen.0, wrong.expected.0
        ));
    }
    reset(&connection.close, &mut note);
    if let Some(gap) = connection.close.gap_bytes.filter(|&gap| gap > 0) {
        note(format!("{} of data were not seen", Octets(gap)));
    }
    for &(anomaly, count) in &connection.anomalies {
        match (anomaly, count) {
            // Told with its numbers already.
            (Anomaly::WrongSynAckAck, 0 | 1) if connection.open.wrong_ack.is_some() => {}
            (Anomaly::RstInWindow, 0 | 1)
                if connection.close.proof == Some(ResetProof::InWindow) => {}
            (Anomaly::ImpossibleFlags, _) if lone => {}
            (_, 0 | 1) => note(words(anomaly).to_owned()),
            _ => note(format!("{} (×{count})", words(anomaly))),
        }
    }
    notes
}

/// What a RST says, and how sure it is that it was taken.
fn reset(close: &Close, note: &mut impl FnMut(String)) {
    if let Some(text) = &close.text {
        note(format!("the RST says “{}”", printable(text)));
    }
    match close.proof {
        Some(ResetProof::InWindow) => note(
            "the RST's number lies in the window and is not the next one: nothing came after it, \
             so it was probably taken"
                .to_owned(),
        ),
        Some(ResetProof::Unchecked) => {
            note("nothing was seen that the RST's number could be held against".to_owned());
        }
        // That the end of the window is not known is a limit of the observation, not of this record.
        Some(ResetProof::Exact | ResetProof::NotBefore) | None => {}
    }
}

const fn words(anomaly: Anomaly) -> &'static str {
    match anomaly {
        Anomaly::ImpossibleFlags => "flags that no TCP sends",
        Anomaly::WrongSynAckAck => "SYN-ACK with a wrong acknowledgment",
        Anomaly::SynAckIsnChanged => "SYN-ACK with another initial number than before",
        Anomaly::SynAckRetransmitted => "SYN-ACK again after its ACK: that was lost further on",
        Anomaly::SynInOpenConnection => "a new SYN inside the open connection",
        Anomaly::FinBeforeSynAck => "FIN before the SYN-ACK",
        Anomaly::FinRetransmitted => "FIN retransmitted",
        Anomaly::FinNumberChanged => "FIN with another number than before",
        Anomaly::FinUnacknowledged => "FIN never acknowledged",
        Anomaly::RstAfterClose => "RST after both FINs",
        Anomaly::RstOutOfWindow => "RST with a number its receiver would not accept",
        Anomaly::TrafficAfterRst => "the sender of the RST went on: it may be forged",
        Anomaly::DataOnSyn => "data on a SYN",
        Anomaly::Duplicate => "the same segment seen twice",
        Anomaly::ChallengeAck => "an ACK that challenges a SYN or RST",
        Anomaly::LateSegment => "a late segment of the incarnation before",
        Anomaly::WindowScaleAbove14 => "a window scale above 14, which counts as 14",
        Anomaly::RstInWindow => "a RST in the window, not exactly the next number",
    }
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::seq::Seq;

    use super::*;
    use crate::sink::fixtures::{
        backscatter, ftp, probe, rejected, reset_in_window, reset_with_text, text,
    };
    use crate::timeline::WrongAck;

    fn said(connection: &Connection) -> String {
        text(&notes(connection))
    }

    #[test]
    fn a_clean_connection_has_no_notes() {
        assert_eq!(said(&ftp()), "");
    }

    #[test]
    fn limits_of_the_observation_come_first() {
        let mut connection = ftp();
        connection.observation_gap = true;
        connection.asymmetric = true;
        connection.steps_omitted = 1;
        connection.open.confidence = Confidence::Inferred;
        connection.anomalies = vec![(Anomaly::FinRetransmitted, 3)];
        assert_eq!(
            said(&connection),
            "events were lost while this connection was there: steps may be missing · \
             1 more segment did not fit into the record · only one direction was seen · \
             which end is the client is a guess from the ports · FIN retransmitted (×3)"
        );
    }

    #[test]
    fn a_reset_is_told_with_what_it_says_and_how_sure_it_is() {
        assert_eq!(
            said(&reset_with_text()),
            "the RST says “too many?connections?[2J”"
        );
        assert_eq!(
            said(&reset_in_window()),
            "the RST's number lies in the window and is not the next one: nothing came after it, \
             so it was probably taken"
        );
        let mut connection = reset_in_window();
        connection.anomalies.clear();
        connection.close.proof = Some(ResetProof::Unchecked);
        assert!(said(&connection).starts_with("nothing was seen that"));
        connection.close.proof = Some(ResetProof::NotBefore);
        assert_eq!(said(&connection), "");
    }

    #[test]
    fn a_lone_segment_needs_no_notes_on_what_it_is() {
        assert_eq!(said(&backscatter()), "");
        assert_eq!(said(&probe()), "");
    }

    #[test]
    fn a_wrong_synack_is_told_once_with_its_numbers() {
        let mut connection = rejected();
        connection.anomalies = vec![(Anomaly::WrongSynAckAck, 1)];
        assert_eq!(said(&connection), "");
        connection.open.outcome = OpenOutcome::Established;
        connection.open.wrong_ack = Some(WrongAck {
            expected: Seq(8),
            seen: Seq(1001),
        });
        assert_eq!(said(&connection), "a SYN-ACK acknowledged 1001, expected 8");
    }
}
