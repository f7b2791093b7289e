//! How a track takes the segments of a close: FIN and RST.

use synfin_ebpf::event::Event;
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::{Scope, Segment};
use synfin_ebpf::seq::Seq;

use super::rare::Reset;
use super::side::{Fin, Side};
use super::state::Input;
use super::track::Track;
use crate::timeline::{Anomaly, Check, Proof, ResetProof, Role, State, TcpOptions};

impl Track {
    /// Takes a FIN; tells whether it came again.
    pub(super) fn take_fin(&mut self, segment: &Segment, from: Role, t_ns: u64) -> bool {
        let client = self.side(Role::Client);
        // Who acknowledges has a SYN-ACK, seen here or not.
        let answered = client.is(Side::PURE_ACK)
            || client.is(Side::DATA)
            || self.side(Role::Server).is(Side::SPOKE);
        if from == Role::Client && !self.unobserved() && !answered {
            self.note(Anomaly::FinBeforeSynAck);
        }
        let end = segment.end();
        if let Some(fin) = self.fin(from) {
            if fin.end == end {
                self.note(Anomaly::FinRetransmitted);
                return true;
            }
            self.note(Anomaly::FinNumberChanged);
            if fin.acked_ns.is_some() {
                return false;
            }
        }
        *self.fin_mut(from) = Some(Fin {
            end,
            ack: segment.ack,
            t_ns,
            acked_ns: None,
            acked_by_fin: false,
        });
        let peer = self.side(from.peer());
        let peer_fin = self.fin(from.peer());
        if peer.is(Side::ISS) && !peer.syn_acked() {
            // Without the ACK of its SYN the peer does not look at it (RFC 9293 §3.10.7.4).
            self.advance_one(from, Input::SendsFin);
            return false;
        }
        if peer_fin.is_some_and(|fin| fin.acked_ns.is_none()) {
            // It does not acknowledge the peer's FIN: that had not arrived yet when it was sent, and
            // both meet on the way (RFC 9293 §3.6).
            if self.reset().is_none() {
                self.side_mut(from).state = State::Established;
            }
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
    pub(super) fn take_rst(
        &mut self,
        segment: &Segment,
        event: &Event,
        from: Role,
    ) -> Option<Check> {
        if self.finished() {
            self.note(Anomaly::RstAfterClose);
            return None;
        }
        let (proof, expected) = self.judge_rst(segment, event, from);
        if expected.is_some() {
            self.note(Anomaly::RstOutOfWindow);
        } else if self.reset().is_none() && !self.is_of_another(from) {
            if proof == ResetProof::InWindow {
                self.note(Anomaly::RstInWindow);
            }
            let text = event.sender.text().filter(|text| !text.is_empty());
            let states = [self.side(Role::Client).state, self.side(Role::Server).state];
            self.rare_mut().reset = Some(Reset {
                by: from,
                seq: segment.seq,
                t_ns: event.time_ns,
                proof,
                text: text.map(|text| String::from_utf8_lossy(text).into()),
                states,
            });
            // Who aborts says how much had come; the ACKs before may not have been reported.
            let exact = matches!(proof, ResetProof::Exact | ResetProof::NotBefore);
            if segment.flags.ack() && exact && self.established() {
                self.side_mut(from).acknowledges(segment.ack);
            }
            self.advance(from, Input::Reset, Some(Input::Reset));
        }
        Some(Check {
            proof: Proof::ResetAcceptable,
            expected,
        })
    }

    /// Whether a RST ends what the server has of a connection before: in answer to an ACK that does
    /// not fit the client goes on with its own attempt (RFC 9293 §3.5.2).
    const fn is_of_another(&self, from: Role) -> bool {
        let (client, server) = (self.side(Role::Client), self.side(Role::Server));
        let attempt = client.is(Side::ISS) && !client.syn_acked();
        matches!(from, Role::Client)
            && attempt
            && !server.is(Side::ISS)
            && server.is(Side::PURE_ACK)
    }

    /// How a RST's number fits what its receiver expects; with the number that it had to have where
    /// it does not fit.
    fn judge_rst(&self, segment: &Segment, event: &Event, from: Role) -> (ResetProof, Option<Seq>) {
        let (sender, receiver) = (self.side(from), self.side(from.peer()));
        if let Some(iss) = receiver.iss()
            && receiver.is(Side::SENT_SYN)
            && receiver.syn_acked_ns().is_none()
            && sender.syns == 0
        {
            // In SYN-SENT it must acknowledge the SYN.
            let beyond = segment.ack.since(iss.add(1));
            let wrong = !segment.flags.ack() || beyond > receiver.syn_len;
            return (ResetProof::Exact, wrong.then_some(iss.add(1)));
        }
        let acked = event.receiver.acked();
        let Some(next) = acked.map(|(next, _)| next).or(receiver.highest_ack()) else {
            return (ResetProof::Unchecked, None);
        };
        let exact = segment.seq == next
            // What was sent on the way to the receiver may have arrived already.
            || event.sender.next() == Some(segment.seq) && segment.seq.covers(next)
            || self.fin(from).is_some_and(|fin| segment.seq == fin.end);
        if exact {
            return (ResetProof::Exact, None);
        }
        if segment.seq.before(next) {
            return (ResetProof::Unchecked, Some(next));
        }
        match acked {
            // The window's scale was negotiated by SYNs that were seen, or the window may be any.
            Some((_, window)) if !self.unobserved() => {
                let window = u32::from(window) << self.scale(from.peer());
                let sent = event.sender.next().filter(|sent| sent.covers(next));
                let sent = sent.map_or(0, |sent| sent.since(next));
                let beyond = segment.seq.since(next);
                if beyond >= window && beyond > sent {
                    (ResetProof::Unchecked, Some(next))
                } else {
                    (ResetProof::InWindow, None)
                }
            }
            _ => (ResetProof::NotBefore, None),
        }
    }

    /// By how much a side's window is shifted: only where both sides offered to, and never that of
    /// its SYN (RFC 7323 §2.2).
    fn scale(&self, role: Role) -> u8 {
        let side = self.side(role);
        if !side.is(Side::PURE_ACK) && !side.is(Side::DATA) && self.fin(role).is_none() {
            return 0;
        }
        let offered = |role: Role| {
            self.side(role)
                .options()
                .and_then(|options| options.window_scale)
        };
        match (offered(role), offered(role.peer())) {
            (Some(own), Some(_)) => own.min(TcpOptions::MAX_WINDOW_SCALE),
            _ => 0,
        }
    }

    /// Takes a RST back that what follows shows not to have been accepted.
    pub(super) fn doubt_reset(&mut self, segment: &Segment, from: Role, t_ns: u64) {
        let Some(reset) = self.reset().filter(|reset| reset.t_ns < t_ns) else {
            return;
        };
        let (by, proof, reset_ns) = (reset.by, reset.proof, reset.t_ns);
        if segment.flags.syn() {
            // Only a SYN-ACK goes on; a SYN begins anew.
            if !segment.flags.ack() || by != from {
                return;
            }
            if self.last_syn_ns(from.peer()) < reset_ns {
                self.note(Anomaly::TrafficAfterRst);
            }
        } else if by == from {
            // Its sender goes on: the RST was somebody else's, or was not accepted.
            self.note(Anomaly::TrafficAfterRst);
        } else if proof == ResetProof::InWindow {
            // Its receiver goes on: the number has to be exact (RFC 5961 §3.2).
            if segment.len == 0 && !segment.flags.fin() {
                self.note(Anomaly::ChallengeAck);
            }
        } else {
            return;
        }
        self.revive();
    }

    /// Goes on as if there had been no RST.
    pub(super) fn revive(&mut self) {
        if self.reset().is_some()
            && let Some(reset) = self.rare_mut().reset.take()
        {
            let [client, server] = reset.states;
            self.side_mut(Role::Client).state = client;
            self.side_mut(Role::Server).state = server;
        }
    }

    /// Notes the ACK that answers a SYN inside the open connection: it acknowledges nothing new (RFC
    /// 5961 §4.2).
    pub(super) fn note_challenge(&mut self, segment: &Segment, from: Role) {
        let syn = self.pending_syn().filter(|_| self.is(Self::UNCHALLENGED));
        let answers = syn.is_some_and(|syn| {
            let (_, sender) = Key::of(&syn.endpoints(), Scope(syn.scope));
            self.role(sender) != from
        });
        if !answers {
            return;
        }
        self.unmark(Self::UNCHALLENGED);
        let own = self.side(from);
        let nothing_new = own.highest_ack().is_none_or(|ack| ack.covers(segment.ack));
        if segment.len == 0 && !segment.flags.fin() && nothing_new {
            self.note(Anomaly::ChallengeAck);
        }
    }
}
