//! A connection in the words of Zeek's conn.log: its `history` and its `conn_state`.
//!
//! In: every event of a track, in order. Out: a [`Zeek`]. The rules are Zeek's own, re-stated from
//! what it does with each packet: they differ from the track's on purpose, since a SYN-ACK counts
//! here whatever it acknowledges and a RST whatever its number is. Where a record is several
//! connections to Zeek, which takes most SYNs with another number for a new one and forgets an attempt
//! after five seconds, its words are those of all their packets together.
//!
//! A letter is written only where a reported segment proves it. `T`, `W` and `G` need every data
//! segment, so that they are written where the connection is accounted for and left out elsewhere;
//! `D` and `A` then stand for the first such segments that were reported. `C`, a wrong checksum, is
//! never written: what leaves a host is seen before its checksum is filled in.

mod endpoint;
mod letters;
mod ports;

#[cfg(test)]
mod tests;

use synfin_ebpf::event::{Event, Side, Why};
use synfin_ebpf::flow::Half;
use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use crate::timeline::{ConnState, Role, Step, Zeek};
use endpoint::{Endpoint, State};
use letters::{Kind, Letters, Scaled};

/// What Zeek would know of a connection.
#[derive(Clone, Debug)]
pub(super) struct Words {
    /// Who is taken for the originator; it may turn.
    originator: Half,
    lo: Endpoint,
    hi: Endpoint,
    letters: Letters,
    /// Every segment is looked at, and what those that are not reported have in common is told.
    accounted: bool,
}

/// A segment as Zeek looks at it.
#[derive(Clone, Copy, Debug)]
struct Packet {
    flags: Flags,
    seq: Seq,
    ack: Seq,
    len: u32,
    window: u16,
    why: Why,
}

impl Packet {
    /// SYN and FIN occupy a number each; the payload of a RST is not part of the stream.
    const fn end(&self) -> Seq {
        let payload = if self.flags.rst() { 0 } else { self.len };
        let controls = self.flags.syn() as u32 + self.flags.fin() as u32;
        self.seq.add(payload).add(controls)
    }
}

impl Words {
    /// Begins with the first event, which is not taken in yet; with the ports of the lower and the
    /// higher endpoint.
    ///
    /// Its sender is the originator. Where it is not a SYN, ports decide that are known as servers':
    /// the direction is turned where the sender has one and the receiver has not; where both have
    /// one, only if this is no SYN-ACK, which may answer a scan, and the sender's is the lower.
    pub(super) fn new(flags: Flags, [lo, hi]: [u16; 2], sender: Half) -> Self {
        let opens = flags.syn() && !flags.ack();
        let (source, destination) = match sender {
            Half::Lo => (lo, hi),
            Half::Hi => (hi, lo),
        };
        let turned = !opens
            && ports::is_likely_server(source)
            && (!ports::is_likely_server(destination) || (!flags.syn() && source < destination));
        let mut words = Self {
            originator: sender,
            lo: Endpoint::default(),
            hi: Endpoint::default(),
            letters: Letters::default(),
            accounted: false,
        };
        if turned {
            words.turn();
        }
        words
    }

    /// Whether an event says more to Zeek than its step does.
    pub(super) fn needs(event: &Event) -> bool {
        let more = Why::BEHIND.with(Why::ZERO_WINDOW).with(Why::GAP);
        let known_next = Flags(event.flags).rst() && event.sender.next().is_some();
        Why(event.why).any(more) || known_next
    }

    /// Whether every segment of an event's connection is looked at.
    pub(super) fn accounted(event: &Event) -> bool {
        let known = event.sender.known | event.receiver.known;
        Why(event.why).any(Why::FIRST_SEEN) || known & (Side::NEXT | Side::ACKED) != 0
    }

    /// Takes a step in that says all that its event did.
    pub(super) fn observe_step(&mut self, step: &Step, sender: Half, accounted: bool) {
        self.accounted = accounted;
        let packet = Packet {
            flags: step.flags,
            seq: step.seq,
            ack: step.ack.unwrap_or(Seq(0)),
            len: step.len,
            window: step.window.unwrap_or(u16::MAX),
            why: Why::default(),
        };
        self.take(&packet, sender);
    }

    /// Takes an event in that is no copy of another one.
    pub(super) fn observe(&mut self, event: &Event, sender: Half) {
        self.heal(event, sender);
        let packet = Packet {
            flags: Flags(event.flags),
            seq: Seq(event.seq),
            ack: Seq(event.ack),
            len: event.len,
            window: event.window,
            why: Why(event.why),
        };
        self.accounted |= Self::accounted(event);
        if packet.flags.rst() {
            // What its payload is held against: the numbers before, reported or not.
            if let Some(next) = event.sender.next() {
                self.endpoint_mut(sender).sent_up_to(next);
            }
        }
        self.take(&packet, sender);
    }

    /// What is said of the connection as it is now.
    pub(super) fn sum_up(&self, client: Half) -> Zeek {
        Zeek {
            originator: if self.is_originator(client) {
                Role::Client
            } else {
                Role::Server
            },
            conn_state: self.conn_state(),
            history: self.letters.text(),
        }
    }

    /// The rules of Zeek's `conn_state`, in its order.
    fn conn_state(&self) -> ConnState {
        let originator = self.endpoint(self.originator);
        let responder = self.endpoint(self.originator.peer());
        // In mid-stream an endpoint counts as one that was not heard of.
        let unheard = |state: State| matches!(state, State::Inactive | State::Partial);
        match (originator.state, responder.state) {
            (State::SynSent | State::SynAckSent, State::Reset) => ConnState::Rej,
            // Both reset it before anything was said.
            (State::Reset, State::Reset) if originator.is_empty() && responder.is_empty() => {
                ConnState::Rej
            }
            (state, State::Reset) if unheard(state) => ConnState::Rstrh,
            (_, State::Reset) => ConnState::Rstr,
            (State::Reset, state) if unheard(state) => {
                if self.letters.are_syn_then_rst() {
                    ConnState::Rstos0
                } else {
                    ConnState::Oth
                }
            }
            (State::Reset, _) => ConnState::Rsto,
            (State::Closed, State::Closed) => ConnState::SF,
            (State::Closed, state) if unheard(state) => ConnState::Sh,
            (State::Closed, _) => ConnState::S2,
            (state, State::Closed) if unheard(state) => ConnState::Shr,
            (_, State::Closed) => ConnState::S3,
            (State::SynSent, State::Inactive) => ConnState::S0,
            (State::Established, State::Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }

    /// One packet: numbers, letters, states, in Zeek's order.
    fn take(&mut self, packet: &Packet, sender: Half) {
        let flags = packet.flags;
        // Who the originator was when the packet came in: Zeek does not look again after a turn.
        let from_originator = self.is_originator(sender);
        self.endpoint_mut(sender).begin(packet);
        self.write_kind(packet, sender);
        self.write_zero_window(packet, sender);
        if flags.ack() {
            self.endpoint_mut(sender.peer()).acknowledged(packet);
        }
        let own = self.endpoint_mut(sender);
        let told = packet.why.any(Why::BEHIND) && own.state != State::Reset;
        let is_behind = own.send(packet);
        // SYNs are always reported, so that one with payload proves by itself what Zeek says of it; so
        // does a RST, whose payload is not accounted for.
        let proved = is_behind && (flags.syn() || (flags.rst() && self.accounted));
        if told || proved {
            let originator = self.is_originator(sender);
            self.letters.scale(originator, Scaled::Retransmission, told);
        }
        self.advance(packet, sender, from_originator);
        if packet.why.any(Why::GAP) && self.lo.is_clean() && self.hi.is_clean() {
            // The letter is that of the side whose payload is missing. In other states numbers jump
            // for reasons of their own.
            let originator = self.is_originator(sender.peer());
            self.letters.scale(originator, Scaled::Gap, true);
        }
    }

    /// The letter of what a packet is. SYN, FIN and RST by themselves are told again where their
    /// number is another one than before; all others once.
    fn write_kind(&mut self, packet: &Packet, sender: Half) {
        let flags = packet.flags;
        let endpoint = self.endpoint_mut(sender);
        let number = packet.seq.since(endpoint.start);
        let (kind, again) = match (flags.syn(), flags.fin(), flags.rst()) {
            (_, true, true) => (Kind::FinRst, false),
            (true, true, false) | (true, false, true) => (Kind::SynAndMore, false),
            (true, false, false) => {
                let kind = if flags.ack() { Kind::SynAck } else { Kind::Syn };
                (
                    kind,
                    number != std::mem::replace(&mut endpoint.last_syn, number),
                )
            }
            (false, true, false) => {
                let number = number.wrapping_add(packet.len);
                let last = std::mem::replace(&mut endpoint.last_fin, number);
                (Kind::Fin, number != last)
            }
            (false, false, true) => {
                let last = std::mem::replace(&mut endpoint.last_rst, number);
                (Kind::Rst, number != last)
            }
            (false, false, false) if packet.len > 0 => (Kind::Data, false),
            (false, false, false) if flags.ack() => (Kind::Ack, false),
            (false, false, false) => return,
        };
        if matches!(kind, Kind::Data | Kind::Ack) && self.letters.are_one_syn_ack() {
            // It began with a SYN-ACK. Had that answered a scan, a RST would have come: what comes
            // instead makes its sender the responder, and the SYN one that was missed.
            self.turn();
            self.letters.restart_turned();
        }
        self.letters.write(self.is_originator(sender), kind, again);
    }

    /// A closed window is worth a letter unless a RST is about, or the peer said that it sends no more.
    fn write_zero_window(&mut self, packet: &Packet, sender: Half) {
        let told = packet.why.any(Why::ZERO_WINDOW);
        let proved = packet.window == 0 && self.accounted;
        let of_interest = !packet.flags.rst()
            && self.endpoint(sender.peer()).state != State::Closed
            && self.endpoint(sender).state != State::Reset;
        if (told || proved) && of_interest {
            let originator = self.is_originator(sender);
            self.letters.scale(originator, Scaled::ZeroWindow, told);
        }
    }

    /// Moves the sender's state, and the peer's where the packet answers it.
    fn advance(&mut self, packet: &Packet, sender: Half, from_originator: bool) {
        let (own, peer) = match sender {
            Half::Lo => (&mut self.lo, &mut self.hi),
            Half::Hi => (&mut self.hi, &mut self.lo),
        };
        let turns = match own.state {
            State::Inactive => own.awaken(peer, packet, from_originator),
            State::SynSent | State::SynAckSent => {
                own.end_opening(packet);
                false
            }
            State::Partial | State::Established => {
                own.end(peer, packet);
                false
            }
            State::Closed => {
                own.reset_after_fin(peer, packet);
                false
            }
            State::Reset => false,
        };
        if turns {
            self.turn();
        }
    }

    /// Turns the direction round.
    fn turn(&mut self) {
        self.originator = self.originator.peer();
        self.letters.write_turn();
    }

    /// Takes in the SYNs whose events were lost, where later ones tell of them in their order.
    fn heal(&mut self, event: &Event, sender: Half) {
        let (own, peer) = (event.sender, event.receiver);
        let receiver = sender.peer();
        if Flags(event.flags).syn() {
            // What a SYN-ACK acknowledges came before it.
            let answered = peer.iss().filter(|iss| Seq(event.ack) == iss.add(1));
            if let Some(iss) = answered.filter(|_| Flags(event.flags).ack()) {
                self.take_lost(Flags::SYN, iss, receiver);
            }
        } else if let (Some(iss), Some(peer_iss)) = (own.iss(), peer.iss()) {
            // Of one SYN alone it would not be known whether it answered another one.
            let mut syns = [
                (own.opened_ns, iss, sender),
                (peer.opened_ns, peer_iss, receiver),
            ];
            syns.sort_by_key(|(opened_ns, ..)| *opened_ns);
            let [(_, first, client), (_, second, server)] = syns;
            self.take_lost(Flags::SYN, first, client);
            self.take_lost(Flags::SYN.with(Flags::ACK), second, server);
        }
    }

    fn take_lost(&mut self, flags: Flags, seq: Seq, sender: Half) {
        let peer = self.endpoint(sender.peer());
        if self.endpoint(sender).state != State::Inactive {
            return;
        }
        let packet = Packet {
            flags,
            seq,
            ack: if flags.ack() {
                peer.start.add(1)
            } else {
                Seq(0)
            },
            len: 0,
            window: u16::MAX,
            why: Why::default(),
        };
        self.take(&packet, sender);
    }

    fn is_originator(&self, half: Half) -> bool {
        half == self.originator
    }

    const fn endpoint(&self, half: Half) -> &Endpoint {
        match half {
            Half::Lo => &self.lo,
            Half::Hi => &self.hi,
        }
    }

    const fn endpoint_mut(&mut self, half: Half) -> &mut Endpoint {
        match half {
            Half::Lo => &mut self.lo,
            Half::Hi => &mut self.hi,
        }
    }
}
