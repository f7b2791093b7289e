//! How a track takes the segments of an opening: SYN, SYN-ACK, and what acknowledges them.

use std::mem;

use synfin_ebpf::event::{self, Event};
use synfin_ebpf::flow::{Half, Key};
use synfin_ebpf::segment::{Flags, Segment};
use synfin_ebpf::seq::Seq;

use super::side::Side;
use super::state::Input;
use super::track::Track;
use crate::timeline::{Anomaly, Check, Confidence, Proof, Role, TcpOptions, WrongAck};

/// SYNs of a connection that is not known to be one yet. Linux sends no more than seven.
const MAX_PENDING_SYNS: usize = 8;

impl Track {
    /// Takes a SYN or SYN-ACK; tells whether it came again.
    pub(super) fn take_syn(&mut self, segment: &Segment, event: &Event, from: Role) -> bool {
        let t_ns = event.time_ns;
        let with_ack = segment.flags.ack();
        let established = self.established();
        let options = syn_options(&event.sender, segment.flags);
        let since_last = t_ns.saturating_sub(self.last_syn_ns(from));
        let own = self.side_mut(from);
        let again = own.syns > 0 && own.iss() == Some(segment.seq) && !own.is(Side::HEALED);
        let changed = own.iss().is_some_and(|iss| iss != segment.seq);
        let acknowledged = own.syn_acked_ns().is_some();
        if changed && (acknowledged || !with_ack) {
            // The number that was acknowledged stays; a SYN may yet turn out to open another
            // connection in place of this one.
            self.note(if with_ack {
                Anomaly::SynAckIsnChanged
            } else {
                Anomaly::SynInOpenConnection
            });
            if !with_ack {
                self.keep_pending_syn(event);
                self.mark(Self::UNCHALLENGED, true);
            }
            return false;
        }
        own.mark(Side::SENT_SYN, !with_ack);
        // A simultaneous open repeats the SYN's number in its SYN-ACK: that is no retransmission.
        let new_form = with_ack && !own.is(Side::SENT_SYN_ACK) && own.is(Side::SENT_SYN);
        own.mark(Side::SENT_SYN_ACK, with_ack);
        if again {
            own.syns = own.syns.saturating_add(u32::from(!new_form));
            self.set_last_syn_ns(from, Some(t_ns));
            if !with_ack {
                self.rare_mut().backoff_ns.push(since_last);
            } else if new_form {
                self.advance(from, Input::SendsSynAck, Some(Input::SynArrives));
            } else if established {
                self.note(Anomaly::SynAckRetransmitted);
            }
            return !new_form;
        }
        own.set_iss(segment.seq);
        own.set_opened_ns(t_ns);
        own.syns = own.syns.max(1);
        own.syn_len = segment.len;
        own.set_options(&options);
        self.set_last_syn_ns(from, None);
        if changed {
            self.note(Anomaly::SynAckIsnChanged);
        }
        // What answers a Fast Open may carry data without an option of its own (RFC 7413 §4.2.2).
        let asked = |options: Option<TcpOptions>| options.is_some_and(|options| options.fast_open);
        if segment.len > 0 && !options.fast_open && !asked(self.side(from.peer()).options()) {
            self.note(Anomaly::DataOnSyn);
        }
        if options
            .window_scale
            .is_some_and(|scale| scale > TcpOptions::MAX_WINDOW_SCALE)
        {
            self.note(Anomaly::WindowScaleAbove14);
        }
        let acknowledged = with_ack && self.was_acknowledged(segment.seq, from);
        if acknowledged {
            // Its ACK was seen before it: whatever the times say, they are not those of the legs.
            self.side_mut(from).acknowledge_syn(t_ns, false);
            self.mark(Self::REORDERED, true);
        }
        if !with_ack && self.side(from).syn_acked_ns().is_some() {
            self.mark(Self::REORDERED, true);
        }
        let (sends, arrives) = if with_ack {
            (Input::SendsSynAck, None)
        } else {
            (Input::SendsSyn, Some(Input::SynArrives))
        };
        self.advance(from, sends, arrives);
        if acknowledged {
            self.advance(
                from.peer(),
                Input::SendsAckOfSyn,
                Some(Input::AckOfSynArrives),
            );
        }
        false
    }

    fn keep_pending_syn(&mut self, event: &Event) {
        let pending = &mut self.rare_mut().pending_syns;
        // Another number is another attempt.
        pending.retain(|syn| syn.seq == event.seq);
        if pending.len() < MAX_PENDING_SYNS {
            pending.push(*event);
        }
    }

    /// A SYN inside the open connection that nobody has answered yet.
    pub(super) fn pending_syn(&self) -> Option<&Event> {
        self.rare()?.pending_syns.first()
    }

    /// The SYNs inside the open connection that this acknowledges.
    pub(super) fn take_pending_syns(&mut self, ack: Seq) -> Vec<Event> {
        let answers = |syn: &Event| Seq(syn.seq).add(1) == ack;
        if self.pending_syn().is_some_and(answers) {
            mem::take(&mut self.rare_mut().pending_syns)
        } else {
            Vec::new()
        }
    }

    /// The SYNs inside the open connection that this segment of their sender goes on from. It had an
    /// answer that was not seen.
    pub(super) fn take_pending_syns_before(&mut self, event: &Event) -> Vec<Event> {
        let flags = Flags(event.flags);
        let goes_on = |syn: &Event| {
            let sender = |event: &Event| (event.source, event.source_port);
            Seq(syn.seq).add(1) == Seq(event.seq) && sender(syn) == sender(event)
        };
        let opens = self.pending_syn().is_some_and(goes_on);
        if opens && flags.ack() && !flags.any(Flags::SYN.with(Flags::RST)) {
            mem::take(&mut self.rare_mut().pending_syns)
        } else {
            Vec::new()
        }
    }

    /// The acknowledgment of a SYN-ACK: ISS+1, or as much more as the SYN carried (RFC 7413 §3).
    pub(super) fn take_syn_ack_ack(
        &mut self,
        segment: &Segment,
        from: Role,
        t_ns: u64,
    ) -> Option<Check> {
        let refused = self.reset().is_some_and(|reset| reset.by != from);
        let peer = self.side_mut(from.peer());
        let Some(iss) = peer.iss() else {
            if refused {
                // Who refused has no number.
                return None;
            }
            // Nobody saw the SYN; its answer names the number.
            peer.set_iss(segment.ack.add(u32::MAX));
            peer.acknowledge_syn(t_ns, false);
            return None;
        };
        let expected = iss.add(1);
        let beyond = segment.ack.since(expected);
        if beyond > peer.syn_len {
            self.note(Anomaly::WrongSynAckAck);
            self.rare_mut().wrong_ack.get_or_insert(WrongAck {
                expected,
                seen: segment.ack,
            });
            return Some(Check {
                proof: Proof::AcknowledgesSyn,
                expected: Some(expected),
            });
        }
        let news = peer.acknowledge_syn(t_ns, true);
        let asked = peer.options().is_some_and(|options| options.fast_open);
        self.mark(Self::FAST_OPEN, beyond > 0 && asked);
        if news {
            self.advance_one(from.peer(), Input::AckOfSynArrives);
        }
        news.then_some(Check::holds(Proof::AcknowledgesSyn))
    }

    /// The acknowledgment of any other segment, while the peer's SYN waits for one.
    pub(super) fn take_syn_ack(
        &mut self,
        segment: &Segment,
        from: Role,
        t_ns: u64,
    ) -> Option<Check> {
        let bare = !self.side(from).is(Side::SENT_SYN) && !self.side(from).is(Side::SENT_SYN_ACK);
        let peer = self.side(from.peer());
        let iss = peer.iss()?;
        if peer.syn_acked_ns().is_some() {
            return None;
        }
        // A server that has not sent a SYN acknowledges exactly, or speaks of another connection.
        let exact = from == Role::Server && bare;
        let right = if exact {
            segment.ack == iss.add(1)
        } else {
            peer.syn_covered(segment.ack)
        };
        if !right {
            if let Some(answered) = self.syn_ack_answered_by(segment.ack, from.peer()) {
                self.side_mut(from.peer()).set_iss(answered);
            } else {
                if exact && segment.len == 0 && !segment.flags.fin() {
                    self.note(Anomaly::ChallengeAck);
                }
                return Some(Check {
                    proof: Proof::AcknowledgesSyn,
                    expected: Some(iss.add(1)),
                });
            }
        }
        // A server's bare ACK is no SYN-ACK, but for one that sent a SYN of its own; and an ACK of more
        // may be a later one.
        let as_leg = from == Role::Client || self.side(from).is(Side::SENT_SYN);
        let peer = self.side_mut(from.peer());
        let as_leg = as_leg
            && peer
                .iss()
                .is_some_and(|iss| segment.ack.since(iss.add(1)) <= peer.syn_len);
        peer.acknowledge_syn(t_ns, as_leg);
        let (healed, opened_ns) = (peer.is(Side::HEALED), peer.opened_ns());
        let own = self.side_mut(from);
        if healed && own.iss().is_some() {
            // It would not have acknowledged a SYN-ACK that did not acknowledge it.
            own.acknowledge_syn(opened_ns.unwrap_or(t_ns), true);
        }
        if from == Role::Client {
            self.unmark(Self::ACK_VIA_DATA);
            self.mark(Self::ACK_VIA_DATA, segment.len > 0);
        }
        // Who was not acknowledged itself has only seen the peer's SYN (RFC 9293 §3.5).
        let own = self.side(from);
        let sends = if own.is(Side::SENT_SYN) && own.syn_acked_ns().is_none() {
            Input::SynArrives
        } else {
            Input::SendsAckOfSyn
        };
        self.advance(from, sends, Some(Input::AckOfSynArrives));
        Some(Check::holds(Proof::AcknowledgesSyn))
    }

    /// Whether the peer has acknowledged a SYN-ACK of this number before it was seen.
    fn was_acknowledged(&self, seq: Seq, by: Role) -> bool {
        self.kept().map(|kept| kept.step).any(|step| {
            step.from == by.peer()
                && !step.flags.syn()
                && !step.flags.rst()
                && step.ack == Some(seq.add(1))
        })
    }

    /// The number of an earlier SYN-ACK that this acknowledgment fits, where several were sent.
    fn syn_ack_answered_by(&self, ack: Seq, by: Role) -> Option<Seq> {
        let mut steps = self.kept().map(|kept| kept.step);
        let found = steps.find(|step| {
            step.from == by && step.flags.syn() && step.flags.ack() && step.seq.add(1) == ack
        });
        found.map(|step| step.seq)
    }
}

/// Which half is the client, and how sure that is.
pub(super) fn roles(event: &Event, key: &Key, sender: Half) -> (Half, Confidence) {
    let flags = Flags(event.flags);
    match (flags.syn(), flags.ack()) {
        (true, false) => return (sender, Confidence::Observed),
        (true, true) => return (sender.peer(), Confidence::Observed),
        _ => {}
    }
    // Who sent a SYN-ACK did the passive open, whether its peer's SYN was seen or not.
    if event.sender.is_passive() {
        return (sender.peer(), Confidence::Observed);
    }
    if event.receiver.is_passive() {
        return (sender, Confidence::Observed);
    }
    // Of two SYNs that the programs remember, the first was the client's.
    match (event.sender.iss(), event.receiver.iss()) {
        (Some(_), Some(_)) if event.receiver.opened_ns < event.sender.opened_ns => {
            (sender.peer(), Confidence::Observed)
        }
        (Some(_), _) => (sender, Confidence::Observed),
        (None, Some(_)) => (sender.peer(), Confidence::Observed),
        // Servers listen on low ports, clients are given high ones.
        (None, None) if key.lo_port < key.hi_port => (Half::Hi, Confidence::Inferred),
        (None, None) => (Half::Lo, Confidence::Inferred),
    }
}

/// The options of a SYN or SYN-ACK, ECN's flags among them (RFC 3168 §6.1.1).
fn syn_options(sender: &event::Side, flags: Flags) -> TcpOptions {
    let ecn = if flags.ack() {
        flags.any(Flags::ECE) && !flags.any(Flags::CWR)
    } else {
        flags.any(Flags::ECE) && flags.any(Flags::CWR)
    };
    TcpOptions {
        ecn,
        ..TcpOptions::parse(sender.options())
    }
}
