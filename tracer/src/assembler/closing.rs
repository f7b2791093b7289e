//! How a track takes the segments of a close: FIN and RST.

use synfin_ebpf::segment::Segment;

use super::side::Fin;
use super::state::Input;
use super::track::{Reset, Track};
use crate::timeline::{Anomaly, Check, Proof, Role, State};

impl Track {
    /// Takes a FIN; tells whether it came again.
    pub(super) fn take_fin(&mut self, segment: &Segment, from: Role, t_ns: u64) -> bool {
        if from == Role::Client && !self.unobserved() && self.side(Role::Server).segments == 0 {
            self.note(Anomaly::FinBeforeSynAck);
        }
        let end = segment.end();
        if let Some(fin) = self.side(from).fin {
            if fin.end == end {
                self.note(Anomaly::FinRetransmitted);
                return true;
            }
            self.note(Anomaly::FinNumberChanged);
            if fin.acked_ns.is_some() {
                return false;
            }
        }
        self.side_mut(from).fin = Some(Fin {
            end,
            ack: segment.ack,
            t_ns,
            acked_ns: None,
            acked_by_fin: false,
        });
        let peer_fin = self.side(from.peer()).fin;
        if peer_fin.is_some_and(|fin| fin.acked_ns.is_none()) {
            // It does not acknowledge the peer's FIN: that had not arrived yet when it was sent, and
            // both meet on the way (RFC 9293 §3.6).
            self.side_mut(from).state = State::Established;
            self.advance(from, Input::SendsFin, Some(Input::FinArrives));
            self.advance_one(from, Input::FinArrives);
            return false;
        }
        let arrives = if peer_fin.is_some_and(|fin| fin.acked_ns == Some(t_ns)) {
            Input::FinArrivesAckingFin
        } else {
            Input::FinArrives
        };
        self.advance(from, Input::SendsFin, Some(arrives));
        false
    }

    /// Takes a RST where its receiver would (RFC 9293 §3.10.7, RFC 5961 §3).
    pub(super) fn take_rst(&mut self, segment: &Segment, from: Role, t_ns: u64) -> Option<Check> {
        if self.finished() {
            self.note(Anomaly::RstAfterClose);
            return None;
        }
        let receiver = self.side(from.peer());
        let expected = match (receiver.iss, receiver.highest_ack) {
            // In SYN-SENT it must acknowledge the SYN.
            (Some(iss), _) if receiver.sent_syn && self.side(from).syns == 0 => {
                let beyond = segment.ack.since(iss.add(1));
                (!segment.flags.ack() || beyond > receiver.syn_len).then_some(iss.add(1))
            }
            // Afterwards it must not lie before what the receiver has acknowledged already.
            (_, Some(next)) => segment.seq.before(next).then_some(next),
            _ => None,
        };
        if expected.is_some() {
            self.note(Anomaly::RstOutOfWindow);
        } else if self.reset.is_none() {
            self.reset = Some(Reset {
                by: from,
                seq: segment.seq,
                t_ns,
            });
            self.advance(from, Input::Reset, Some(Input::Reset));
        }
        Some(Check {
            proof: Proof::ResetAcceptable,
            expected,
        })
    }
}
