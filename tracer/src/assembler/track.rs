//! One connection while it is followed: what each segment changes, and what it proves.
//!
//! In: segments with what the event knew beside them. Out: the check of each segment's numbers, kept
//! with it. Verdicts are derived from the track when it ends (see `verdict`).

use synfin_ebpf::account::Accounts;
use synfin_ebpf::event::Event;
use synfin_ebpf::flow::{Half, Key};
use synfin_ebpf::segment::{Address, Flags, Segment};
use synfin_ebpf::seq::Seq;

use super::deadlines::Wait;
use super::healing::begun_ns;
use super::opening::roles;
use super::rare::{Before, Rare, Reset};
use super::side::{Fin, Side};
use super::state::{self, Input};
use super::steps::{Kept, Steps, Whole};
use super::zeek::Words;
use super::{LAST_ACK_NS, Settings};
use crate::timeline::{Anomaly, Check, Confidence, Proof, Role, State, Step};

/// Numbers that a late segment may lie before the end of its connection.
const LATE_NUMBERS: u32 = 1 << 24;

/// Interfaces that are kept of a connection, beside its first. Few paths have as many.
const MAX_MORE_INTERFACES: usize = 15;

/// A connection that is followed. There may be a million of them: truths are bits, and what few
/// connections have lies elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) steps: Steps,
    /// When it will be looked at; the latest of all times where nothing is waited for.
    pub(super) look_ns: u64,
    /// Wall-clock time less the events' clock, in ns.
    wall_offset_ns: i64,
    pub(super) last_ns: u64,
    sides: [Side; 2],
    fins: Option<Box<[Option<Fin>; 2]>>,
    pub(super) rare: Option<Box<Rare>>,
    /// How often events had been lost before it began.
    pub(super) losses_before: u32,
    marks: u16,
}

const _: () = assert!(size_of::<Track>() <= 160);

/// What is in a track's list of whole steps where there is none.
static NO_WHOLE: Whole = Whole::new();

impl Track {
    /// The client is the higher half of the key.
    const CLIENT_IS_HI: u16 = 1;
    /// Who the client is was not seen.
    const INFERRED: u16 = 1 << 1;
    /// What came with the SYN was acknowledged with it.
    pub(super) const FAST_OPEN: u16 = 1 << 2;
    /// The ACK that completed the handshake carried data.
    pub(super) const ACK_VIA_DATA: u16 = 1 << 3;
    /// A segment with ACK and without SYN and payload was seen.
    pub(super) const PURE_ACK: u16 = 1 << 4;
    /// A RST was seen.
    pub(super) const RST: u16 = 1 << 5;
    /// Something of it was learnt only from a later event.
    pub(super) const HEALED: u16 = 1 << 6;
    /// Nobody has answered a SYN inside the open connection yet.
    pub(super) const UNCHALLENGED: u16 = 1 << 7;
    /// Segments of the opening were seen in another order than they were sent.
    pub(super) const REORDERED: u16 = 1 << 8;
    /// It is a connection: not only resets and impossible flags were seen of it.
    const NO_STRAY: u16 = 1 << 9;
    /// Every segment of it is looked at.
    pub(super) const ACCOUNTED: u16 = 1 << 10;
    /// It waits for late segments only, and is known to.
    pub(super) const LINGERS: u16 = 1 << 11;

    /// Begins with the first event of a connection, which is not taken in yet.
    pub(super) fn new(
        event: &Event,
        (key, half): (&Key, Half),
        wall_offset_ns: i64,
        before: Option<Before>,
    ) -> Self {
        let flags = Flags(event.flags);
        let (client, confidence) = roles(event, key, half);
        let opening = flags.syn() || event.sender.iss().is_some() || event.receiver.iss().is_some();
        // In the middle of a stream both sides are taken to be synchronised.
        let state = if opening {
            State::Closed
        } else {
            State::Established
        };
        let mut track = Self {
            steps: Steps::new(begun_ns(event), event.interface),
            look_ns: u64::MAX,
            wall_offset_ns,
            last_ns: event.time_ns,
            sides: [Side::new(state), Side::new(state)],
            fins: None,
            rare: None,
            losses_before: 0,
            marks: 0,
        };
        track.mark(Self::CLIENT_IS_HI, client == Half::Hi);
        track.mark(Self::INFERRED, confidence == Confidence::Inferred);
        track.mark(Self::ACCOUNTED, Words::accounted(event));
        let outer = [event.outer_source, event.outer_destination].map(Address::v6);
        if outer != [Address::default(); 2] {
            let [sender, receiver] = outer;
            track.rare_mut().tunnel = Some(if half == client {
                [sender, receiver]
            } else {
                [receiver, sender]
            });
        }
        if before.is_some() {
            track.rare_mut().before = before;
        }
        track
    }

    /// Whether this is so.
    pub(super) const fn is(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// Notes that something is so, if it is.
    pub(super) const fn mark(&mut self, mark: u16, so: bool) {
        if so {
            self.marks |= mark;
        }
    }

    /// Notes that something is so no more.
    pub(super) const fn unmark(&mut self, mark: u16) {
        self.marks &= !mark;
    }

    /// Which half of the key the client is.
    pub(super) const fn client(&self) -> Half {
        if self.is(Self::CLIENT_IS_HI) {
            Half::Hi
        } else {
            Half::Lo
        }
    }

    pub(super) const fn confidence(&self) -> Confidence {
        if self.is(Self::INFERRED) {
            Confidence::Inferred
        } else {
            Confidence::Observed
        }
    }

    /// What few connections have.
    pub(super) fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Wall-clock time of its first event, in ns since the Unix epoch.
    pub(super) fn started_unix_ns(&self) -> i128 {
        i128::from(self.steps.base_ns()) + i128::from(self.wall_offset_ns)
    }

    /// When its first segment was seen.
    pub(super) fn first_ns(&self) -> u64 {
        let before = self.rare().and_then(|rare| rare.first_ns);
        before.unwrap_or(self.steps.base_ns())
    }

    /// The interface of its first segment.
    pub(super) const fn interface(&self) -> u32 {
        self.steps.interface()
    }

    /// The interfaces that its segments were seen on, in the order of first sight.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = u32> {
        let more = self.rare().map_or(&[][..], |rare| &rare.seen_on);
        [self.interface()].into_iter().chain(more.iter().copied())
    }

    /// The interfaces that its segments were seen on beside its first, those of counted copies among
    /// them, in the order of first sight.
    pub(super) fn seen_also_on(&self, accounts: Option<&Accounts>) -> Vec<u32> {
        let mut all: Vec<u32> = Vec::new();
        let copies = accounts.into_iter().flat_map(|accounts| {
            // What the client sends comes first.
            let sides = match self.client() {
                Half::Lo => [accounts.lo, accounts.hi],
                Half::Hi => [accounts.hi, accounts.lo],
            };
            sides.into_iter().flat_map(|side| side.copied_on())
        });
        for index in copies.chain(self.interfaces()) {
            if index != self.interface() && !all.contains(&index) {
                all.push(index);
            }
        }
        all
    }

    /// Notes that a segment was seen on an interface.
    fn see(&mut self, interface: u32) {
        if interface != self.interface() {
            let seen_on = &mut self.rare_mut().seen_on;
            if seen_on.len() < MAX_MORE_INTERFACES && !seen_on.contains(&interface) {
                seen_on.push(interface);
            }
        }
    }

    /// Its kept segments in the order of their times.
    pub(super) fn kept(&self) -> impl DoubleEndedIterator<Item = Kept> {
        self.steps.iter(self.whole())
    }

    /// How many they are.
    pub(super) fn kept_len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn whole(&self) -> &Whole {
        self.rare().map_or(&NO_WHOLE, |rare| &rare.whole)
    }

    /// The FIN of a side.
    pub(super) fn fin(&self, role: Role) -> Option<Fin> {
        let [client, server] = **self.fins.as_ref()?;
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }

    pub(super) fn fin_mut(&mut self, role: Role) -> &mut Option<Fin> {
        let [client, server] = &mut **self.fins.get_or_insert_default();
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }

    /// The RST that ended it.
    pub(super) fn reset(&self) -> Option<&Reset> {
        self.rare()?.reset.as_ref()
    }

    /// When a side's last SYN or SYN-ACK was seen; 0 where none was.
    pub(super) fn last_syn_ns(&self, role: Role) -> u64 {
        let [client, server] = self.rare().map_or([None; 2], |rare| rare.last_syn_ns);
        let last_ns = match role {
            Role::Client => client,
            Role::Server => server,
        };
        last_ns.or(self.side(role).opened_ns()).unwrap_or(0)
    }

    /// Notes when a side's last SYN or SYN-ACK was seen, where that was not the first.
    pub(super) fn set_last_syn_ns(&mut self, role: Role, last_ns: Option<u64>) {
        if last_ns.is_some() || self.rare.is_some() {
            let [client, server] = &mut self.rare_mut().last_syn_ns;
            *match role {
                Role::Client => client,
                Role::Server => server,
            } = last_ns;
        }
    }

    /// Until when it waits in the state that it is in; for ever while it is open.
    pub(super) fn deadline(&self, settings: &Settings) -> Option<(u64, Wait)> {
        let (wait_ns, wait) = if self.is_over() || self.is_stray() {
            (settings.linger_ns, Wait::Linger)
        } else if self.finished() {
            (LAST_ACK_NS, Wait::LastAck)
        } else if !self.established() && !self.unobserved() {
            (settings.handshake_timeout_ns, Wait::Handshake)
        } else {
            return None;
        };
        Some((self.last_ns.saturating_add(wait_ns), wait))
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
        if half == self.client() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// The half of the key that has this role.
    pub(super) const fn half(&self, role: Role) -> Half {
        match role {
            Role::Client => self.client(),
            Role::Server => self.client().peer(),
        }
    }

    /// Both SYNs were acknowledged.
    pub(super) const fn established(&self) -> bool {
        self.sides[0].syn_acked() && self.sides[1].syn_acked()
    }

    /// Neither side's SYN was seen.
    pub(super) const fn unobserved(&self) -> bool {
        !self.sides[0].is(Side::ISS) && !self.sides[1].is(Side::ISS)
    }

    /// Both sides sent a FIN.
    pub(super) fn finished(&self) -> bool {
        let fins = self.fins.as_ref();
        fins.is_some_and(|fins| fins.iter().all(Option::is_some))
    }

    /// Nothing more is expected of it: both FINs were acknowledged, or a RST ended it.
    pub(super) fn is_over(&self) -> bool {
        let acked = |fin: &Option<Fin>| fin.is_some_and(|fin| fin.acked_ns.is_some());
        let fins = self.fins.as_ref();
        self.reset().is_some() || fins.is_some_and(|fins| fins.iter().all(acked))
    }

    /// Whether it is no connection: nothing but resets and impossible flags was seen.
    pub(super) const fn is_stray(&self) -> bool {
        !self.is(Self::NO_STRAY)
    }

    /// The number that follows the last one of the key's lower and higher endpoint.
    pub(super) fn numbers(&self) -> [Option<Seq>; 2] {
        [Half::Lo, Half::Hi].map(|half| {
            let role = self.role(half);
            let fin = self.fin(role).map(|fin| fin.end);
            fin.or(self.side(role.peer()).highest_ack())
        })
    }

    /// Whether a segment belongs to the connection before this one, by its numbers: they come before
    /// this one's first, and not after the last of the one before.
    fn is_late(&self, segment: &Segment, half: Half) -> bool {
        let before = self.rare().and_then(|rare| rare.before.as_ref());
        let (Some(before), Some(iss)) = (before, self.side(self.role(half)).iss()) else {
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
        let same = own.iss() == Some(segment.seq);
        if self.is_over() || self.finished() {
            // A refused client may try again with the number that it had.
            return !(same && !self.established() && !self.unobserved());
        }
        match own.iss() {
            Some(_) if same => false,
            // Another number before anything came back: a new attempt.
            Some(_) => from == Role::Client && peer.iss().is_none() && !peer.is(Side::SPOKE),
            // The peer's SYN is there: this is the answer to it.
            None => peer.iss().is_none(),
        }
    }

    /// Takes an event in; `None` where it is a copy of one that was seen at another place, or there is
    /// no room for its step.
    pub(super) fn observe(&mut self, event: &Event, half: Half, max_steps: usize) -> Option<Step> {
        let from = self.role(half);
        let segment = event.segment();
        let before = self.seen_before(event, &segment, from);
        self.see(event.interface);
        if let Some(interface) = before {
            // That it passes another interface as well is not odd.
            if interface == event.interface {
                self.note(Anomaly::Duplicate);
            }
            return None;
        }
        if self.is_late(&segment, half) {
            self.note(Anomaly::LateSegment);
            return None;
        }
        let flags = segment.flags;
        self.mark(Self::NO_STRAY, !flags.rst() && !flags.anomalous());
        self.mark(
            Self::PURE_ACK,
            flags.ack() && !flags.syn() && segment.len == 0,
        );
        self.mark(Self::RST, flags.rst());
        if !self.steps_tell(event, from) {
            self.words_mut(event, half).observe(event, half);
        }
        self.heal(event, from, max_steps);
        self.side_mut(from).mark(Side::SPOKE, true);
        if event.time_ns < self.first_ns() {
            self.rare_mut().first_ns = Some(event.time_ns);
        }
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
            window: Some(segment.window),
            check,
            client_state: changed(0),
            server_state: changed(1),
        };
        self.keep(step, event, half, max_steps)
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
        let foreign = flags.syn() && self.side(from).iss() != Some(segment.seq);
        let proof = if flags.ack() && !foreign {
            self.take_ack(segment, from, t_ns)
        } else {
            None
        };
        let again_fin = flags.fin() && self.take_fin(segment, from, t_ns);
        let own = self.side_mut(from);
        if !flags.syn() {
            own.mark(Side::DATA, segment.len > 0);
            own.mark(Side::PURE_ACK, flags.ack() && segment.len == 0);
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
        let first_fin = is_fin && self.fin(from).is_none();
        if self.fins.is_some()
            && let Some(fin) = self.fin_mut(from.peer())
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

    pub(super) fn note(&mut self, anomaly: Anomaly) {
        let anomalies = &mut self.rare_mut().anomalies;
        match anomalies.iter_mut().find(|(known, _)| *known == anomaly) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => anomalies.push((anomaly, 1)),
        }
    }

    pub(super) fn advance(&mut self, sender: Role, sends: Input, arrives: Option<Input>) {
        self.advance_one(sender, sends);
        if let Some(arrives) = arrives {
            self.advance_one(sender.peer(), arrives);
        }
    }

    pub(super) fn advance_one(&mut self, role: Role, input: Input) {
        if self.reset().is_some() && input != Input::Reset {
            // What was on its way opens and closes nothing any more.
            return;
        }
        let side = self.side_mut(role);
        side.state = state::next(side.state, input);
    }
}
