//! The kept segments of a connection, packed: most of what a connection takes while it is open.
//!
//! In and out: [`Kept`]. Most fit into [`Packed`]; those that do not, because they are late, large, seen
//! at another interface, wrong or only learnt of, are kept whole in a list beside it, which few
//! connections have.

use synfin_ebpf::event::Direction;
use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;

use crate::timeline::{Check, Proof, Role, State, Step};

/// Room that is made: for a SYN, as few get past it in a flood; for an opening with what comes first;
/// and for a whole life.
const ROOMS: [usize; 3] = [1, 6, 10];

/// A kept segment and where it was seen. Its step's time is absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) step: Step,
    pub(super) interface: u32,
    pub(super) direction: Direction,
    pub(super) checksum: u16,
    pub(super) ident: u16,
}

/// Kept segments in the order of their times.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    /// Used up to `len`.
    room: Box<[Packed]>,
    /// What the packed times are counted from.
    base_ns: u64,
    /// The interface of all that are packed.
    interface: u32,
    len: u16,
}

/// Those that are kept whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Whole(Vec<Kept>);

/// A kept segment in few octets.
#[derive(Clone, Copy, Debug, Default)]
struct Packed {
    /// Time since the base in ns, its 32 low and its 8 high bits.
    time_low: u32,
    time_high: u8,
    flags: Flags,
    /// [`FROM_SERVER`], [`EGRESS`], [`WHOLE`], and above them the proof.
    about: u8,
    /// Both states after it where they changed, the client's in the lower half.
    states: u8,
    /// Its place in the list where it is kept whole.
    seq: u32,
    ack: u32,
    len: u16,
    window: u16,
    checksum: u16,
    ident: u16,
}

const FROM_SERVER: u8 = 1;
const EGRESS: u8 = 1 << 1;
/// It is kept whole elsewhere.
const WHOLE: u8 = 1 << 2;
const PROOF_SHIFT: u8 = 3;
const TIME_BITS: u32 = 40;

const _: () = assert!(size_of::<Packed>() == 24);

/// What a number stands for, less one; 0 stands for none.
const PROOFS: [Proof; 4] = [
    Proof::AcknowledgesSyn,
    Proof::AcknowledgesFin,
    Proof::ResetAcceptable,
    Proof::Retransmission,
];
const STATES: [State; 11] = [
    State::Listen,
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
    State::Closed,
];

impl Steps {
    pub(super) fn new(base_ns: u64, interface: u32) -> Self {
        Self {
            room: Box::default(),
            base_ns,
            interface,
            len: 0,
        }
    }

    /// What times are counted from: that of the first segment taken in, or learnt of by it.
    pub(super) const fn base_ns(&self) -> u64 {
        self.base_ns
    }

    /// The interface of the first segment.
    pub(super) const fn interface(&self) -> u32 {
        self.interface
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    /// Those that are kept, in the order of their times.
    pub(super) fn iter<'a>(
        &'a self,
        whole: &'a Whole,
    ) -> impl DoubleEndedIterator<Item = Kept> + 'a {
        let packed = self.room.get(..self.len()).unwrap_or_default();
        packed
            .iter()
            .filter_map(|packed| self.unpack(packed, whole))
    }

    /// The place of a segment of this time: after those of the same time.
    pub(super) fn place(&self, t_ns: u64, whole: &Whole) -> usize {
        // Two CPUs may report in the wrong order.
        let later = |kept: &Kept| kept.step.t_ns > t_ns;
        self.len() - self.iter(whole).rev().take_while(later).count()
    }

    /// Keeps one at its place in the order of times, after those of the same time.
    pub(super) fn insert<'a>(
        &mut self,
        kept: Kept,
        place: usize,
        whole: impl FnOnce() -> &'a mut Whole,
    ) {
        let packed = self.pack(&kept).unwrap_or_else(|| whole().push(kept));
        if self.len() == self.room.len() {
            self.make_room();
        }
        if let Some(behind) = self.room.get_mut(place..=self.len.into()) {
            behind.rotate_right(1);
            if let Some(first) = behind.first_mut() {
                *first = packed;
            }
            self.len += 1;
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, place: usize) {
        if let Some(behind) = self.room.get_mut(place..self.len.into()) {
            behind.rotate_left(1);
            self.len -= 1;
        }
    }

    fn make_room(&mut self) {
        let room = ROOMS.into_iter().find(|room| *room > self.len());
        let room = room.unwrap_or(2 * self.len());
        let mut more = Vec::with_capacity(room);
        more.extend_from_slice(&self.room);
        more.resize(room, Packed::default());
        self.room = more.into_boxed_slice();
    }

    /// In few octets, where nothing is lost by that.
    fn pack(&self, kept: &Kept) -> Option<Packed> {
        let step = &kept.step;
        let time = step.t_ns.checked_sub(self.base_ns)?;
        let proof = match step.check {
            Some(Check {
                expected: Some(_), ..
            }) => return None,
            Some(Check { proof, .. }) => proof as u8 + 1,
            None => 0,
        };
        let fits = time >> TIME_BITS == 0
            && kept.interface == self.interface
            && step.ack.is_some() == step.flags.ack();
        let state = |state: Option<State>| state.map_or(0, |state| state as u8 + 1);
        fits.then_some(())?;
        let window = step.window?;
        Some(Packed {
            time_low: (time & u64::from(u32::MAX)).try_into().ok()?,
            time_high: (time >> 32).try_into().ok()?,
            flags: step.flags,
            about: (FROM_SERVER * u8::from(step.from == Role::Server))
                | (EGRESS * u8::from(kept.direction == Direction::Egress))
                | (proof << PROOF_SHIFT),
            states: state(step.client_state) | (state(step.server_state) << 4),
            seq: step.seq.0,
            ack: step.ack.map_or(0, |ack| ack.0),
            len: step.len.try_into().ok()?,
            window,
            checksum: kept.checksum,
            ident: kept.ident,
        })
    }

    fn unpack(&self, packed: &Packed, whole: &Whole) -> Option<Kept> {
        if packed.about & WHOLE != 0 {
            return whole.get(packed.seq).cloned();
        }
        let numbered = |number: u8| STATES.get(usize::from(number).checked_sub(1)?).copied();
        let proof = usize::from(packed.about >> PROOF_SHIFT).checked_sub(1);
        let time = u64::from(packed.time_high) << 32 | u64::from(packed.time_low);
        Some(Kept {
            step: Step {
                t_ns: self.base_ns + time,
                from: if packed.about & FROM_SERVER == 0 {
                    Role::Client
                } else {
                    Role::Server
                },
                flags: packed.flags,
                seq: Seq(packed.seq),
                ack: packed.flags.ack().then_some(Seq(packed.ack)),
                len: packed.len.into(),
                window: Some(packed.window),
                check: proof.and_then(|proof| PROOFS.get(proof).copied().map(Check::holds)),
                client_state: numbered(packed.states & 0xf),
                server_state: numbered(packed.states >> 4),
            },
            interface: self.interface,
            direction: if packed.about & EGRESS == 0 {
                Direction::Ingress
            } else {
                Direction::Egress
            },
            checksum: packed.checksum,
            ident: packed.ident,
        })
    }
}

impl Whole {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    fn push(&mut self, kept: Kept) -> Packed {
        let packed = Packed {
            about: WHOLE,
            seq: u32::try_from(self.0.len()).unwrap_or(u32::MAX),
            ..Packed::default()
        };
        self.0.push(kept);
        packed
    }

    fn get(&self, place: u32) -> Option<&Kept> {
        self.0.get(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept() -> impl Strategy<Value = Kept> {
        let time = prop_oneof![Just(1_000), 900..2_000_u64, any::<u64>()];
        let states = (0..12_usize, 0..12_usize);
        let window = prop::option::weighted(0.9, any::<u16>());
        let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), window);
        let check = prop::option::of((0..4_usize, prop::option::of(any::<u32>())));
        let seen = (1..3_u32, any::<bool>(), any::<u16>(), any::<u16>());
        (
            time,
            any::<u8>(),
            any::<bool>(),
            states,
            numbers,
            check,
            seen,
        )
            .prop_map(
                |(t_ns, flags, server, states, (seq, ack, len, window), check, seen)| Kept {
                    step: Step {
                        t_ns,
                        from: if server { Role::Server } else { Role::Client },
                        flags: Flags(flags),
                        seq: Seq(seq),
                        ack: Flags(flags).ack().then_some(Seq(ack)),
                        len: len >> (len % 32),
                        window,
                        check: check.map(|(proof, expected)| Check {
                            proof: PROOFS[proof],
                            expected: expected.map(Seq),
                        }),
                        client_state: STATES.get(states.0).copied(),
                        server_state: STATES.get(states.1).copied(),
                    },
                    interface: seen.0,
                    direction: if seen.1 {
                        Direction::Egress
                    } else {
                        Direction::Ingress
                    },
                    checksum: seen.2,
                    ident: seen.3,
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_goes_in_comes_out(all in prop::collection::vec((kept(), prop::bool::weighted(0.1)), 0..30)) {
            let (mut steps, mut whole) = (Steps::new(1_000, 1), Whole::default());
            let mut plain: Vec<Kept> = Vec::new();
            for (kept, taken_out) in all {
                let place = plain.iter().filter(|other| other.step.t_ns <= kept.step.t_ns).count();
                prop_assert_eq!(steps.place(kept.step.t_ns, &whole), place);
                plain.insert(place, kept.clone());
                steps.insert(kept, place, || &mut whole);
                if taken_out {
                    plain.remove(place);
                    steps.remove(place);
                }
            }
            prop_assert_eq!(steps.iter(&whole).collect::<Vec<_>>(), plain);
        }
    }
}
