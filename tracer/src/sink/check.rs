//! What a segment's numbers prove or contradict, in words.

use std::borrow::Cow;

use super::numbers::{Numbers, symbol};
use super::paint::{Clause, Tone};
use crate::timeline::{Check, Proof, Role, Step};
use crate::units::Lasting;

/// The check of a step; `after_ns` is how long after the first one a retransmission came.
pub(super) fn check(step: &Step, numbers: &Numbers, after_ns: Option<u64>) -> Option<Clause> {
    if step.is_learnt() {
        return Some(Clause::new(Tone::Odd, "learnt from a later event"));
    }
    let check = step.check?;
    if !check.ok() {
        let text = contradiction(step, check, numbers);
        return Some(Clause::new(Tone::Bad, text));
    }
    let peer = step.from.peer();
    Some(match (check.proof, after_ns) {
        (Proof::Retransmission, Some(ns)) => {
            let text = format!("again, {} after the first", Lasting(ns));
            Clause::new(Tone::Odd, text)
        }
        (Proof::Retransmission, None) => Clause::new(Tone::Odd, "again"),
        (Proof::AcknowledgesSyn, _) => {
            let syn = syn_of(peer, numbers);
            Clause::new(Tone::Good, format!("✓ acknowledges {syn}"))
        }
        (Proof::AcknowledgesFin, _) => {
            let text = format!("✓ acknowledges the {}'s FIN", peer.name());
            Clause::new(Tone::Good, text)
        }
        (Proof::ResetAcceptable, _) => {
            let text = format!("✓ acceptable to the {}", peer.name());
            Clause::new(Tone::Good, text)
        }
    })
}

/// `X`, or where that is not known what it stands for.
fn syn_of(role: Role, numbers: &Numbers) -> Cow<'static, str> {
    match numbers.initial(role) {
        Some(_) => symbol(role).to_string().into(),
        None => format!("the {}'s SYN", role.name()).into(),
    }
}

fn contradiction(step: &Step, check: Check, numbers: &Numbers) -> String {
    // What is acknowledged is a number of the peer's, what is sent one of its sender's.
    let (space, claim) = match check.proof {
        Proof::AcknowledgesSyn | Proof::AcknowledgesFin => {
            let claim = match numbers.ack(step) {
                Some(ack) => format!("acknowledges {ack}"),
                None => "acknowledges nothing".to_owned(),
            };
            (step.from.peer(), claim)
        }
        Proof::ResetAcceptable => {
            // In SYN-SENT a RST is taken by what it acknowledges, later by its own number.
            let syn = numbers.initial(step.from.peer()).map(|iss| iss.add(1));
            let answers_syn = step.ack.is_some() && check.expected == syn;
            let space = if answers_syn {
                step.from.peer()
            } else {
                step.from
            };
            (space, "not acceptable".to_owned())
        }
        Proof::Retransmission => (step.from, "not what was sent before".to_owned()),
    };
    let expected = check
        .expected
        .map(|expected| match numbers.number(space, expected) {
            absolute @ super::numbers::Number::Absolute(_) => format!(", expected {absolute}"),
            offset => format!(", expected {offset} = {}", expected.0),
        })
        .unwrap_or_default();
    format!("✗ {claim}{expected}")
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::segment::Flags;
    use synfin_ebpf::seq::Seq;

    use super::*;
    use crate::sink::fixtures::{X, Y, ftp, step, unobserved};
    use crate::timeline::{Connection, OpenOutcome};

    fn said(connection: &Connection, step: &Step) -> String {
        check(step, &Numbers::from(connection), Some(1_020_000_000))
            .map(|clause| clause.text)
            .unwrap_or_default()
    }

    fn checked(proof: Proof, expected: Option<Seq>) -> Step {
        let step = step(Role::Server, Flags::ACK, Y.add(95)).ack(X.add(27));
        let check = Some(Check { proof, expected });
        Step { check, ..step }
    }

    #[test]
    fn what_holds_is_told_with_whose_number_it_is() {
        for (proof, words) in [
            (Proof::AcknowledgesSyn, "✓ acknowledges X"),
            (Proof::AcknowledgesFin, "✓ acknowledges the client's FIN"),
            (Proof::ResetAcceptable, "✓ acceptable to the client"),
            (Proof::Retransmission, "again, 1.02 s after the first"),
        ] {
            assert_eq!(said(&ftp(), &checked(proof, None)), words);
        }
        let step = checked(Proof::AcknowledgesSyn, None);
        assert_eq!(
            said(&unobserved(), &step),
            "✓ acknowledges the client's SYN"
        );
    }

    #[test]
    fn what_does_not_hold_is_told_with_the_number_that_was_expected() {
        for (proof, expected, words) in [
            (
                Proof::AcknowledgesFin,
                X.add(28),
                "✗ acknowledges X+27, expected X+28 = 2452765158",
            ),
            (
                Proof::ResetAcceptable,
                X.add(1),
                "✗ not acceptable, expected X+1 = 2452765131",
            ),
            (
                Proof::ResetAcceptable,
                Y.add(95),
                "✗ not acceptable, expected Y+95 = 1996069507",
            ),
        ] {
            assert_eq!(said(&ftp(), &checked(proof, Some(expected))), words);
        }
        let mut rejected = ftp();
        rejected.open.outcome = OpenOutcome::Rejected;
        let step = Step {
            ack: Some(Seq(1001)),
            ..checked(Proof::AcknowledgesSyn, Some(X.add(1)))
        };
        assert_eq!(
            said(&rejected, &step),
            "✗ acknowledges 1001, expected X+1 = 2452765131"
        );
    }

    #[test]
    fn a_step_without_a_check_says_nothing() {
        assert_eq!(said(&ftp(), &step(Role::Client, Flags::SYN, X)), "");
    }
}
