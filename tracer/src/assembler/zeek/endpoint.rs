//! One endpoint as Zeek sees it: seven states that follow from flags alone, and the numbers that tell
//! a packet from one like it.

use synfin_ebpf::seq::Seq;

use super::Packet;

/// A number further off than this is not believed on a SYN or a RST.
const FAR: u32 = 1 << 20;

/// Where an endpoint is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was heard of it.
    #[default]
    Inactive,
    /// It sent a SYN.
    SynSent,
    /// It sent a SYN-ACK, and nobody a SYN.
    SynAckSent,
    /// It sent something, and no SYN.
    Partial,
    /// It sent a SYN that was answered, or an answer.
    Established,
    /// It sent a FIN.
    Closed,
    /// It sent a RST.
    Reset,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) state: State,
    /// The state before.
    previous: State,
    sent_fin: bool,
    /// The number of its SYN; where that was not seen, the one before its first or the one before
    /// what the peer acknowledged first.
    pub(super) start: Seq,
    /// The number that follows the highest that it sent.
    last: Seq,
    /// The highest number that the peer acknowledged.
    acked: Seq,
    /// The numbers of its last SYN, FIN and RST, counted from its start.
    pub(super) last_syn: u32,
    pub(super) last_fin: u32,
    pub(super) last_rst: u32,
}

impl Endpoint {
    /// Sets the numbers by its first packet, and anew by a SYN: while it opens, in mid-stream, inside
    /// a connection, and after a RST that came before everything.
    pub(super) fn begin(&mut self, packet: &Packet) {
        let syn = packet.flags.syn();
        match self.state {
            State::Inactive if !syn => {
                let before = packet.seq.add(u32::MAX);
                (self.start, self.acked, self.last) = (before, before, packet.seq);
            }
            State::Inactive => self.begin_by_syn(packet),
            State::SynSent | State::SynAckSent if syn && packet.seq != self.start => {
                self.begin_by_syn(packet);
            }
            State::Partial | State::Established if syn => self.begin_by_syn(packet),
            State::Reset if syn && self.previous == State::Inactive => self.begin_by_syn(packet),
            _ => {}
        }
    }

    fn begin_by_syn(&mut self, packet: &Packet) {
        (self.start, self.acked, self.last) = (packet.seq, packet.seq, packet.end());
    }

    /// Takes an acknowledgment of the peer's. Of an endpoint that was not heard of it gives the
    /// numbers; that of a RST is not believed otherwise.
    pub(super) fn acknowledged(&mut self, packet: &Packet) {
        let ack = packet.ack;
        if self.state == State::Inactive {
            let before = ack.add(u32::MAX);
            (self.start, self.acked, self.last) = (before, before, before);
            return;
        }
        let zeroed = ack == Seq(0) && ack.since(self.acked) > FAR;
        if !packet.flags.rst() && !zeroed && !ack.before(self.start) && self.acked.before(ack) {
            self.acked = ack;
        }
    }

    /// Takes the end of its packet; tells whether that carries payload and goes no further than what
    /// was sent before: Zeek's retransmission, out of order or not.
    pub(super) fn send(&mut self, packet: &Packet) -> bool {
        let end = packet.end();
        let flags = packet.flags;
        self.sent_fin |= flags.fin();
        let ahead = self.last.before(end);
        let distance = if ahead {
            end.since(self.last)
        } else {
            self.last.since(end)
        };
        let incredible = (flags.syn() || flags.rst()) && distance > FAR;
        // More than half the numbers may lie between a SYN and a FIN.
        let leaps = flags.fin() && self.last == self.start.add(1);
        if incredible || (self.state == State::Reset && !leaps) {
            return false;
        }
        if ahead || leaps {
            self.last = end;
            return false;
        }
        packet.len > 0
    }

    /// Notes the number that follows the highest that it sent, where accounts know it.
    pub(super) fn sent_up_to(&mut self, next: Seq) {
        if !matches!(self.state, State::Inactive | State::Reset) && self.last.before(next) {
            self.last = next;
        }
    }

    /// It sent nothing but a SYN and a FIN, as far as it was seen or acknowledged.
    pub(super) const fn is_empty(&self) -> bool {
        let controls = 1 + self.sent_fin as u32;
        self.last.since(self.start) <= controls && self.acked.since(self.start) <= controls
    }

    /// It opened and has sent no RST.
    pub(super) const fn is_clean(&self) -> bool {
        matches!(
            (self.state, self.previous),
            (State::Established, _) | (State::Closed, State::Established)
        )
    }

    /// Its first packet, or one after packets that left it unheard; tells whether the direction turns.
    pub(super) fn awaken(&mut self, peer: &mut Self, packet: &Packet, originator: bool) -> bool {
        let flags = packet.flags;
        let mut turns = false;
        if flags.syn() && originator {
            self.enter(if flags.ack() {
                State::SynAckSent
            } else {
                State::SynSent
            });
        } else if flags.syn() {
            // A SYN that was overtaken by its answer makes its sender the originator.
            turns = !flags.ack() && peer.state == State::SynAckSent;
            if turns || peer.state == State::SynSent {
                peer.enter(State::Established);
            }
            self.enter(State::Established);
        }
        if flags.fin() {
            self.enter(State::Closed);
        }
        if flags.rst() {
            self.enter(State::Reset);
        }
        if self.state != State::Inactive {
            return turns;
        }
        // Some acknowledge a SYN before they answer it: that is not yet a beginning.
        let early = !originator && packet.len == 0 && peer.state == State::SynSent;
        if !early {
            // After a SYN-ACK it is the SYN that was missed.
            let opens = flags.ack() && peer.state == State::Established;
            self.enter(if opens {
                State::Established
            } else {
                State::Partial
            });
        }
        turns
    }

    /// Its packet after its SYN, while that waits for an answer.
    pub(super) fn end_opening(&mut self, packet: &Packet) {
        if packet.flags.fin() {
            self.enter(State::Closed);
        }
        if packet.flags.rst() {
            self.enter(State::Reset);
        }
    }

    /// Its packet in an open connection or in mid-stream.
    pub(super) fn end(&mut self, peer: &mut Self, packet: &Packet) {
        let flags = packet.flags;
        let opens = flags.syn() && !flags.ack();
        if opens && self.state == State::Partial && peer.state == State::Inactive {
            self.enter(State::SynSent);
        }
        if flags.fin() && !flags.rst() {
            self.enter(State::Closed);
            // A RST of the peer after its own FIN was no abort where this FIN still follows.
            if peer.state == State::Reset && peer.previous == State::Closed {
                peer.enter(State::Closed);
            }
        }
        if flags.rst() {
            self.enter(State::Reset);
        }
    }

    /// Its packet after its FIN: a RST counts unless both have sent one.
    pub(super) fn reset_after_fin(&mut self, peer: &Self, packet: &Packet) {
        if packet.flags.rst() && peer.state != State::Closed {
            self.enter(State::Reset);
        }
    }

    fn enter(&mut self, state: State) {
        if state != self.state {
            (self.previous, self.state) = (self.state, state);
        }
    }
}
