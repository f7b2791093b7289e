//! Sequence numbers as the classic figure writes them: `X` and `Y` are the initial numbers of client
//! and server, every other number is told by its distance from them.

use std::fmt::{Display, Formatter, Result};

use synfin_ebpf::seq::Seq;

use super::LiveStep;
use crate::timeline::{Connection, OpenOutcome, Proof, Role, Step};

/// Before data can have flowed, a number this far from the initial one is no offset.
const REACH_BEFORE_DATA: u32 = u16::MAX as u32;
/// While it is not known what comes of the connection. A number drawn at random is mostly beyond it.
const REACH_LIVE: u32 = 1 << 30;

/// The initial numbers of a connection, and how far from them its other numbers can be.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    client: Option<Seq>,
    server: Option<Seq>,
    reach: u32,
}

/// A number, relative to an initial one where it belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// So many octets past the initial number of this end.
    Offset(Role, u32),
    /// As on the wire.
    Absolute(Seq),
}

impl From<&Connection> for Numbers {
    fn from(connection: &Connection) -> Self {
        let reach = match connection.open.outcome {
            OpenOutcome::Established | OpenOutcome::Unobserved => u32::MAX,
            _ => REACH_BEFORE_DATA,
        };
        Self {
            client: connection.client.isn,
            server: connection.server.isn,
            reach,
        }
    }
}

impl From<&LiveStep<'_>> for Numbers {
    fn from(live: &LiveStep<'_>) -> Self {
        Self {
            client: live.client.isn,
            server: live.server.isn,
            reach: REACH_LIVE,
        }
    }
}

impl Numbers {
    /// The initial number of an end.
    pub(super) const fn initial(&self, role: Role) -> Option<Seq> {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    /// A number of the space in which `role` counts what it sends.
    pub(super) fn number(&self, role: Role, seq: Seq) -> Number {
        match self.initial(role).map(|initial| seq.since(initial)) {
            Some(offset) if offset <= self.reach => Number::Offset(role, offset),
            _ => Number::Absolute(seq),
        }
    }

    /// SEG.SEQ of a step.
    pub(super) fn seq(&self, step: &Step) -> Number {
        // A SYN's number is an initial one by itself, and one that its receiver would not accept
        // has nothing to do with the initial one.
        let foreign = step.flags.syn() && self.initial(step.from) != Some(step.seq)
            // Nor has that of a RST in answer to a SYN.
            || step.flags.rst() && step.seq.0 == 0;
        if foreign || failed(step) == Some(Proof::ResetAcceptable) {
            return Number::Absolute(step.seq);
        }
        self.number(step.from, step.seq)
    }

    /// SEG.ACK of a step.
    pub(super) fn ack(&self, step: &Step) -> Option<Number> {
        let ack = step.ack?;
        Some(match failed(step) {
            Some(Proof::AcknowledgesSyn) => Number::Absolute(ack),
            _ => self.number(step.from.peer(), ack),
        })
    }

    /// The numbers of a step that say something, as `seq=Y ack=X+1`.
    pub(super) fn label(&self, step: &Step) -> Label {
        // The sequence number of a pure ACK is the one that everybody expects.
        // So is the acknowledgment of data, unless it proves something.
        let plain = step.ack.is_some() && !step.flags.significant();
        let (pure_ack, data) = (plain && step.len == 0, plain && step.len > 0);
        Label {
            seq: (!pure_ack).then(|| self.seq(step)),
            ack: self.ack(step).filter(|_| !data || step.check.is_some()),
            len: step.len,
        }
    }
}

/// The check of a step that did not hold.
fn failed(step: &Step) -> Option<Proof> {
    step.check
        .filter(|check| !check.ok())
        .map(|check| check.proof)
}

/// The name of an end's initial number.
pub(super) const fn symbol(role: Role) -> char {
    match role {
        Role::Client => 'X',
        Role::Server => 'Y',
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Self::Offset(role, 0) => write!(f, "{}", symbol(role)),
            Self::Offset(role, offset) => write!(f, "{}+{offset}", symbol(role)),
            Self::Absolute(Seq(number)) => write!(f, "{number}"),
        }
    }
}

/// What the arrow of a segment carries beside its flags.
pub(super) struct Label {
    seq: Option<Number>,
    ack: Option<Number>,
    len: u32,
}

impl Label {
    /// Whether the initial number of this end is needed to read it.
    pub(super) fn names(&self, role: Role) -> bool {
        [self.seq, self.ack]
            .into_iter()
            .flatten()
            .any(|number| matches!(number, Number::Offset(of, _) if of == role))
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut space = "";
        if let Some(seq) = self.seq {
            write!(f, "seq={seq}")?;
            space = " ";
        }
        if let Some(ack) = self.ack {
            write!(f, "{space}ack={ack}")?;
            space = " ";
        }
        if self.len > 0 {
            write!(f, "{space}len={}", self.len)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::segment::Flags;

    use super::*;
    use crate::sink::fixtures::{X, Y, ftp, step};
    use crate::timeline::Check;

    fn label(step: &Step) -> String {
        Numbers::from(&ftp()).label(step).to_string()
    }

    #[test]
    fn numbers_are_told_by_their_distance_from_x_and_y() {
        let fin = step(Role::Server, Flags::FIN.with(Flags::ACK), Y.add(95)).ack(X.add(27));
        assert_eq!(label(&fin), "seq=Y+95 ack=X+27");
    }

    #[test]
    fn a_pure_ack_shows_no_sequence_number() {
        let ack = step(Role::Client, Flags::ACK, X.add(1)).ack(Y.add(1));
        assert_eq!(label(&ack), "ack=Y+1");
    }

    #[test]
    fn data_shows_its_length_and_what_it_proves() {
        let data = step(Role::Client, Flags::PSH.with(Flags::ACK), X.add(1)).ack(Y.add(1));
        let data = data.len(14);
        assert_eq!(label(&data), "seq=X+1 len=14");
        let proving = data.holds(Proof::AcknowledgesSyn);
        assert_eq!(label(&proving), "seq=X+1 ack=Y+1 len=14");
    }

    #[test]
    fn the_distance_wraps_with_the_number() {
        let numbers = Numbers {
            client: Some(Seq(u32::MAX)),
            server: None,
            reach: REACH_BEFORE_DATA,
        };
        let number = numbers.number(Role::Client, Seq(4));
        assert_eq!(number, Number::Offset(Role::Client, 5));
    }

    #[test]
    fn a_wrong_or_foreign_number_is_shown_as_on_the_wire() {
        let check = Check {
            proof: Proof::AcknowledgesSyn,
            expected: Some(X.add(1)),
        };
        let wrong = step(Role::Server, Flags::SYN.with(Flags::ACK), Y).ack(Seq(1001));
        let wrong = Step {
            check: Some(check),
            ..wrong
        };
        assert_eq!(label(&wrong), "seq=Y ack=1001");
        assert_eq!(label(&step(Role::Client, Flags::SYN, Seq(7))), "seq=7");
    }

    #[test]
    fn before_data_a_far_number_is_no_offset() {
        let mut connection = ftp();
        connection.open.outcome = OpenOutcome::Rejected;
        let numbers = Numbers::from(&connection);
        assert_eq!(
            numbers.number(Role::Client, Seq(1001)),
            Number::Absolute(Seq(1001))
        );
    }
}
