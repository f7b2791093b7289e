//! What else must be known to read a record right, in plain words.

use super::paint::{Clause, Tone};
use crate::timeline::{Anomaly, Confidence, Connection, OpenOutcome};

/// Limits of the observation first, then what was odd about the connection itself.
pub(super) fn notes(connection: &Connection) -> Vec<Clause> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(Clause::new(Tone::Odd, text));
    if connection.observation_gap {
        note("events were lost while this connection was there: steps may be missing".to_owned());
    }
    if connection.steps_omitted > 0 {
        let (count, segments) = counted(connection.steps_omitted, "segment");
        note(format!(
            "{count} more {segments} did not fit into the record"
        ));
    }
    if connection.asymmetric {
        note("only one direction was seen".to_owned());
    }
    if connection.open.confidence == Confidence::Inferred {
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
    for &(anomaly, count) in &connection.anomalies {
        match (anomaly, count) {
            // Told with its numbers already.
            (Anomaly::WrongSynAckAck, 0 | 1) if connection.open.wrong_ack.is_some() => {}
            (_, 0 | 1) => note(words(anomaly).to_owned()),
            _ => note(format!("{} (×{count})", words(anomaly))),
        }
    }
    notes
}

/// A count with its noun.
fn counted(count: u64, noun: &str) -> (u64, String) {
    let plural = if count == 1 { "" } else { "s" };
    (count, format!("{noun}{plural}"))
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
    use crate::sink::fixtures::{ftp, rejected, text};
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
