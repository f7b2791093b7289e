//! One connection while it is followed: what each segment changes, and what it proves.
//!
//! In: segments with what the event knew beside them. Out: the check of each segment's numbers, kept
//! with it. Verdicts are derived from the track when it ends (see `verdict`).

use synfin_ebpf::account::Accounts;
use synfin_ebpf::event::{self, Direction, Event};
use synfin_ebpf::flow::{COPY_NS, Half, Key};
use synfin_ebpf::segment::{Address, Flags, Segment};
use synfin_ebpf::seq::Seq;

use super::opening::roles;
use super::side::Side;
use super::state::{self, Input};
use super::zeek::Words;
use crate::timeline::{
    Anomaly, Check, Confidence, Previous, Proof, ResetProof, Role, State, Step, WrongAck,
};

/// Steps of a connection that opens, carries data and closes.
const USUAL_STEPS: usize = 10;
/// Of eight steps that a track keeps, those that segments may take which prove nothing.
const REPEATED_EIGHTHS: usize = 5;
/// Numbers that a late segment may lie before the end of its connection.
const LATE_NUMBERS: u32 = 1 << 24;

/// A connection that is followed.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) key: Key,
    /// Which half of the key the client is.
    pub(super) client: Half,
    pub(super) confidence: Confidence,
    pub(super) started_unix_ns: i128,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    pub(super) interface: u32,
    sides: [Side; 2],
    pub(super) wrong_ack: Option<WrongAck>,
    pub(super) reset: Option<Reset>,
    pub(super) fast_open: bool,
    /// The ACK that completed the handshake carried data.
    pub(super) ack_via_data: bool,
    pub(super) backoff_ns: Vec<u64>,
    pub(super) kept: Vec<Kept>,
    pub(super) omitted: u64,
    max_steps: usize,
    /// A segment with ACK and without SYN and payload was seen.
    pub(super) pure_ack: bool,
    /// A RST was seen.
    pub(super) rst: bool,
    pub(super) anomalies: Vec<(Anomaly, u32)>,
    /// Something of it was learnt only from a later event.
    pub(super) healed: bool,
    /// A SYN inside the open connection as often as it came, in case it is answered.
    pub(super) pending_syns: Vec<Event>,
    /// Nobody has answered that SYN yet.
    pub(super) unchallenged: bool,
    /// Segments of the opening were seen in another order than they were sent.
    pub(super) reordered: bool,
    /// What the tunnel's ends were, the client's first; zero outside of tunnels.
    pub(super) tunnel: [Address; 2],
    /// The connection whose place it took.
    pub(super) before: Option<Box<Before>>,
    /// What was counted of it before a SYN that seemed to begin another one.
    pub(super) settled: Option<Box<Accounts>>,
    /// Only resets and impossible flags were seen of it.
    stray: bool,
    /// The same in Zeek's words.
    pub(super) zeek: Words,
}

/// What is remembered of a connection that another one takes the place of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) told: Previous,
    /// The number that follows the last one of the key's lower and higher endpoint.
    pub(super) numbers: [Option<Seq>; 2],
}

/// A kept segment and where it was seen. Its step's time is absolute.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) step: Step,
    interface: u32,
    direction: Direction,
    checksum: u16,
    ident: u16,
}

/// A RST that its receiver would accept.
#[derive(Clone, Debug)]
pub(super) struct Reset {
    pub(super) proof: ResetProof,
    /// The beginning of its payload.
    pub(super) text: Option<Box<str>>,
    pub(super) by: Role,
    pub(super) seq: Seq,
    pub(super) t_ns: u64,
    /// The client's and the server's state before it.
    pub(super) states: [State; 2],
}

impl Track {
    /// Begins with the first event of a connection, which is not taken in yet.
    pub(super) fn new(
        event: &Event,
        key: Key,
        half: Half,
        started_unix_ns: i128,
        before: Option<Before>,
        max_steps: usize,
    ) -> Self {
        let flags = Flags(event.flags);
        let (client, confidence) = roles(event, &key, half);
        let opening = flags.syn() || event.sender.iss().is_some() || event.receiver.iss().is_some();
        // In the middle of a stream both sides are taken to be synchronised.
        let state = if opening {
            State::Closed
        } else {
            State::Established
        };
        Self {
            key,
            client,
            confidence,
            started_unix_ns,
            first_ns: event.time_ns,
            last_ns: event.time_ns,
            interface: event.interface,
            sides: [Side::new(state), Side::new(state)],
            wrong_ack: None,
            reset: None,
            fast_open: false,
            ack_via_data: false,
            backoff_ns: Vec::new(),
            kept: Vec::with_capacity(1),
            omitted: 0,
            max_steps,
            pure_ack: false,
            rst: false,
            anomalies: Vec::new(),
            healed: false,
            pending_syns: Vec::new(),
            unchallenged: false,
            tunnel: if half == client {
                [event.outer_source, event.outer_destination].map(Address::v6)
            } else {
                [event.outer_destination, event.outer_source].map(Address::v6)
            },
            before: before.map(Box::new),
            settled: None,
            reordered: false,
            stray: true,
            zeek: Words::new(event, half),
        }
    }

    /// The side with this role.
    pub(super) const fn side(&self, role: Role) -> &Side {
        match role {
            Role::Client => &self.sides[0],
            Role::Server => &self.sides[1],
        }
    }

    pub(super) const fn side_mut(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.sides[0],
            Role::Server => &mut self.sides[1],
        }
    }

    /// The role of a half of the key.
    pub(super) fn role(&self, half: Half) -> Role {
        if half == self.client {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// Both SYNs were acknowledged.
    pub(super) const fn established(&self) -> bool {
        self.sides[0].syn_acked_ns.is_some() && self.sides[1].syn_acked_ns.is_some()
    }

    /// Neither side's SYN was seen.
    pub(super) const fn unobserved(&self) -> bool {
        self.sides[0].iss.is_none() && self.sides[1].iss.is_none()
    }

    /// Both sides sent a FIN.
    pub(super) const fn finished(&self) -> bool {
        self.sides[0].fin.is_some() && self.sides[1].fin.is_some()
    }

    /// Nothing more is expected of it: both FINs were acknowledged, or a RST ended it.
    pub(super) fn is_over(&self) -> bool {
        let acked = |side: &Side| side.fin.is_some_and(|fin| fin.acked_ns.is_some());
        self.reset.is_some() || self.sides.iter().all(acked)
    }

    /// Whether it is no connection: nothing but resets and impossible flags was seen.
    pub(super) const fn is_stray(&self) -> bool {
        self.stray
    }

    /// The number that follows the last one of the key's lower and higher endpoint.
    pub(super) fn numbers(&self) -> [Option<Seq>; 2] {
        [Half::Lo, Half::Hi].map(|half| {
            let role = self.role(half);
            let fin = self.side(role).fin.map(|fin| fin.end);
            fin.or(self.side(role.peer()).highest_ack)
        })
    }

    /// Whether a segment belongs to the connection before this one, by its numbers: they come before
    /// this one's first, and not after the last of the one before.
    fn is_late(&self, segment: &Segment, half: Half) -> bool {
        let (Some(before), Some(iss)) = (&self.before, self.side(self.role(half)).iss) else {
            return false;
        };
        let [lo, hi] = before.numbers;
        let last = if half == Half::Lo { lo } else { hi };
        !segment.flags.syn()
            && segment.seq.before(iss)
            && last.is_some_and(|last| {
                last.covers(segment.end()) && last.since(segment.seq) < LATE_NUMBERS
            })
    }

    /// Whether a SYN from this role begins another incarnation.
    pub(super) fn is_superseded_by(&self, segment: &Segment, from: Role) -> bool {
        let (own, peer) = (self.side(from), self.side(from.peer()));
        let same = own.iss == Some(segment.seq);
        if self.is_over() || self.finished() {
            // A refused client may try again with the number that it had.
            return !(same && !self.established() && !self.unobserved());
        }
        match own.iss {
            Some(_) if same => false,
            // Another number before anything came back: a new attempt.
            Some(_) => from == Role::Client && peer.iss.is_none() && peer.segments == 0,
            // The peer's SYN is there: this is the answer to it.
            None => peer.iss.is_none(),
        }
    }

    /// Takes an event in; `None` where it is a copy of one that was seen at another place.
    pub(super) fn observe(&mut self, event: &Event, half: Half) -> Option<&Kept> {
        let from = self.role(half);
        let segment = event.segment();
        if self.is_copy(event, &segment, from) {
            self.note(Anomaly::Duplicate);
            return None;
        }
        if self.is_late(&segment, half) {
            self.note(Anomaly::LateSegment);
            return None;
        }
        self.stray &= segment.flags.rst() || segment.flags.anomalous();
        let flags = segment.flags;
        self.pure_ack |= flags.ack() && !flags.syn() && segment.len == 0;
        self.rst |= flags.rst();
        self.zeek.observe(event, half);
        self.heal(event, from);
        self.side_mut(from).segments += 1;
        self.first_ns = self.first_ns.min(event.time_ns);
        self.last_ns = self.last_ns.max(event.time_ns);
        let before = [self.sides[0].state, self.sides[1].state];
        if !segment.flags.rst() && !segment.flags.anomalous() {
            self.doubt_reset(&segment, from, event.time_ns);
        }
        let check = if segment.flags.anomalous() {
            self.note(Anomaly::ImpossibleFlags);
            None
        } else if segment.flags.rst() {
            self.take_rst(&segment, event, from)
        } else {
            self.take(&segment, event, from)
        };
        let changed = |index: usize| {
            let state = self.sides[index].state;
            (state != before[index]).then_some(state)
        };
        let step = Step {
            t_ns: event.time_ns,
            from,
            flags: segment.flags,
            seq: segment.seq,
            ack: segment.flags.ack().then_some(segment.ack),
            len: segment.len,
            window: segment.window,
            check,
            client_state: changed(0),
            server_state: changed(1),
        };
        self.keep(step, event)
    }

    /// A segment without RST: what its SYN, its ACK and its FIN say, in this order.
    fn take(&mut self, segment: &Segment, event: &Event, from: Role) -> Option<Check> {
        let flags = segment.flags;
        let t_ns = event.time_ns;
        let again_syn = flags.syn() && self.take_syn(segment, event, from);
        if flags.ack() && !flags.syn() {
            self.note_challenge(segment, from);
        }
        // A SYN-ACK with another number than its sender's proves nothing of this connection.
        let foreign = flags.syn() && self.side(from).iss != Some(segment.seq);
        let proof = if flags.ack() && !foreign {
            self.take_ack(segment, from, t_ns)
        } else {
            None
        };
        let again_fin = flags.fin() && self.take_fin(segment, from, t_ns);
        let own = self.side_mut(from);
        if !flags.syn() {
            own.data |= segment.len > 0;
            own.pure_ack |= flags.ack() && segment.len == 0;
        }
        proof.or_else(|| (again_syn || again_fin).then_some(Check::holds(Proof::Retransmission)))
    }

    /// Holds an acknowledgment against the peer's SYN and FIN.
    fn take_ack(&mut self, segment: &Segment, from: Role, t_ns: u64) -> Option<Check> {
        let syn_ack = segment.flags.syn();
        let check = if syn_ack {
            self.take_syn_ack_ack(segment, from, t_ns)
        } else {
            self.take_syn_ack(segment, from, t_ns)
        };
        // A wrong number of a SYN-ACK is the one that the client's RST has to have.
        let opening = syn_ack && !self.established();
        if check.is_none_or(|check| check.ok()) || opening {
            self.side_mut(from).acknowledges(segment.ack);
        }
        if syn_ack {
            // What has a FIN to acknowledge is synchronised, and sends no SYN (RFC 9293 §3.10.7.4).
            return check;
        }
        let is_fin = segment.flags.fin();
        let first_fin = is_fin && self.side(from).fin.is_none();
        let peer = self.side_mut(from.peer());
        if let Some(fin) = &mut peer.fin
            && fin.acked_ns.is_none()
            && segment.ack.covers(fin.end)
        {
            fin.acked_ns = Some(t_ns);
            fin.acked_by_fin = first_fin;
            if !first_fin {
                self.advance_one(from.peer(), Input::AckOfFinArrives);
            }
            return Some(Check::holds(Proof::AcknowledgesFin));
        }
        check
    }

    fn heal(&mut self, event: &Event, from: Role) {
        if !Flags(event.flags).syn() {
            self.healed |= self.side_mut(from).heal(&event.sender);
        }
        self.healed |= self.side_mut(from.peer()).heal(&event.receiver);
    }

    /// Whether it was seen before: at another place, or at the same one, where checksum and
    /// identification of a copy are the same as well.
    fn is_copy(&self, event: &Event, segment: &Segment, from: Role) -> bool {
        // Where segments are counted, copies were found out before.
        let counted = event.sender.known & event::Side::ACKED != 0;
        let recent = |kept: &&Kept| event.time_ns.abs_diff(kept.step.t_ns) < COPY_NS;
        !counted
            && self.kept.iter().rev().take_while(recent).any(|kept| {
                let step = &kept.step;
                step.from == from
                    && (step.flags, step.seq, step.len) == (segment.flags, segment.seq, segment.len)
                    && step.ack.is_none_or(|ack| ack == segment.ack)
                    && ((kept.interface, kept.direction) != (event.interface, event.direction())
                        || (kept.checksum, kept.ident) == (event.checksum, event.ident)
                            && event.ident != 0)
            })
    }

    fn keep(&mut self, step: Step, event: &Event) -> Option<&Kept> {
        let proves = step
            .check
            .is_some_and(|check| check.proof != Proof::Retransmission);
        let room = if proves || step.flags.fin() {
            self.max_steps
        } else {
            self.max_steps * REPEATED_EIGHTHS / 8
        };
        if self.kept.len() >= room {
            self.omitted += 1;
            return None;
        }
        // Two CPUs may report in the wrong order.
        let later = |kept: &&Kept| kept.step.t_ns > step.t_ns;
        let place = self.kept.len() - self.kept.iter().rev().take_while(later).count();
        // Few get past their first segment in a flood; most others have the ten of a whole life.
        if self.kept.len() == 1 {
            self.kept.reserve_exact(USUAL_STEPS.min(self.max_steps) - 1);
        }
        let kept = Kept {
            step,
            interface: event.interface,
            direction: event.direction(),
            checksum: event.checksum,
            ident: event.ident,
        };
        self.kept.insert(place, kept);
        self.kept.get(place)
    }

    pub(super) fn note(&mut self, anomaly: Anomaly) {
        match self
            .anomalies
            .iter_mut()
            .find(|(known, _)| *known == anomaly)
        {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.anomalies.push((anomaly, 1)),
        }
    }

    pub(super) fn advance(&mut self, sender: Role, sends: Input, arrives: Option<Input>) {
        self.advance_one(sender, sends);
        if let Some(arrives) = arrives {
            self.advance_one(sender.peer(), arrives);
        }
    }

    pub(super) fn advance_one(&mut self, role: Role, input: Input) {
        if self.reset.is_some() && input != Input::Reset {
            // What was on its way opens and closes nothing any more.
            return;
        }
        let side = self.side_mut(role);
        side.state = state::next(side.state, input);
    }
}
