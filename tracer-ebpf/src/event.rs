//! What the programs tell user space of one segment: the ring buffer's record.
//!
//! An event is self-contained: beside its own segment it carries what was known of the connection's
//! opening and closing, so that an event lost before it costs no number.

use core::mem::offset_of;

use crate::segment::{Address, Endpoint, Flags, MAX_OPTIONS, Segment};
use crate::seq::Seq;

/// Version of the layout below and of the programs' globals. Both sides must have the same.
pub const ABI_VERSION: u16 = 3;
/// The section of the object that has this version.
pub const ABI_SECTION: &str = "synfin_abi";

/// Why a segment was reported, beside its flags; a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Why(pub u16);

impl Why {
    /// Its ACK is the first to cover the receiver's SYN.
    pub const ACKS_SYN: Self = Self(1);
    /// Its ACK is the first to cover the receiver's FIN.
    pub const ACKS_FIN: Self = Self(1 << 1);
    /// The sender's first segment with payload since the connection is watched.
    pub const FIRST_DATA: Self = Self(1 << 2);
    /// The sender's first ACK without payload since the connection is watched.
    pub const FIRST_ACK: Self = Self(1 << 3);
    /// Flags that no TCP sends.
    pub const ANOMALY: Self = Self(1 << 4);
    /// The first segment of a connection that is accounted for and that began before.
    pub const FIRST_SEEN: Self = Self(1 << 5);
    /// The sender's payload goes no further than what it sent before: it comes again, out of order, or
    /// as a probe; told for the 1st, 10th, 100th … time.
    pub const BEHIND: Self = Self(1 << 6);
    /// The sender closes its window; told for the 1st, 10th, 100th … time.
    pub const ZERO_WINDOW: Self = Self(1 << 7);
    /// The sender acknowledges payload that was not seen; told for the 1st, 10th, 100th … time.
    pub const GAP: Self = Self(1 << 8);

    /// Both sets together.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any reason of `mask` is among them.
    #[inline(always)]
    #[must_use]
    pub const fn any(self, mask: Self) -> bool {
        self.0 & mask.0 != 0
    }

    /// No reason.
    #[inline(always)]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Which way a frame crossed the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Into the host.
    Ingress = 0,
    /// Out of the host.
    Egress = 1,
}

/// What was known of one side of the connection when the event was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Side {
    /// When its first SYN or SYN-ACK was seen, in ns of the monotonic clock.
    pub opened_ns: u64,
    /// Its initial sequence number.
    pub iss: u32,
    /// The number that acknowledges its FIN: FIN.SEQ + 1.
    pub fin_end: u32,
    /// The options of its SYN or SYN-ACK.
    pub options: [u8; MAX_OPTIONS],
    /// The number that follows the highest payload that it was seen to send.
    pub next: u32,
    /// The highest number that it acknowledged.
    pub acked: u32,
    /// Octets of `options` in use.
    pub options_len: u8,
    /// Which of the numbers were seen: [`Side::SYN`], [`Side::FIN`], …
    pub known: u8,
    /// SYNs and SYN-ACKs with this number, the retransmitted ones included, those seen at another place
    /// than the first not; 31 stands for more.
    pub syns: u8,
    /// Zero.
    pub padding: u8,
    /// Its last window as on the wire.
    pub window: u16,
    /// Zero.
    pub padding_2: u16,
}

impl Side {
    /// Its SYN was seen: `iss`, `opened_ns` and `options` hold.
    pub const SYN: u8 = 1;
    /// Its FIN was seen: `fin_end` holds.
    pub const FIN: u8 = 2;
    /// `options` holds the beginning of the payload of its RST instead.
    pub const TEXT: u8 = 4;
    /// It is accounted for: `next` holds.
    pub const NEXT: u8 = 8;
    /// It is accounted for: `acked` and `window` hold.
    pub const ACKED: u8 = 16;
    /// Its SYN was a SYN-ACK: it did the passive open.
    pub const SYN_ACK: u8 = 32;
}

/// One reported segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// The CPU's count of events before this one: a gap is a loss of known size.
    pub serial: u64,
    /// When the segment was seen, in ns of the monotonic clock.
    pub time_ns: u64,
    /// Sender's address.
    pub source: [u8; 16],
    /// Receiver's address.
    pub destination: [u8; 16],
    /// The tunnel's end on the sender's side; zero outside of tunnels.
    pub outer_source: [u8; 16],
    /// The tunnel's end on the receiver's side; zero outside of tunnels.
    pub outer_destination: [u8; 16],
    /// VLAN tags and tunnel, as [`crate::segment::Scope`].
    pub scope: u64,
    /// Sender's port.
    pub source_port: u16,
    /// Receiver's port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// Payload in octets.
    pub len: u32,
    /// Index of the interface.
    pub interface: u32,
    /// The CPU that saw the segment.
    pub cpu: u32,
    /// SEG.WND as on the wire.
    pub window: u16,
    /// [`ABI_VERSION`].
    pub abi: u16,
    /// Reasons, as [`Why`].
    pub why: u16,
    /// Control bits.
    pub flags: u8,
    /// As [`Direction`].
    pub direction: u8,
    /// Checksum as on the wire.
    pub checksum: u16,
    /// Identification of an IPv4 packet.
    pub ident: u16,
    /// Zero.
    pub padding: u32,
    /// The sender's side, this segment included.
    pub sender: Side,
    /// The receiver's side.
    pub receiver: Side,
}

/// A side of which nothing is known.
pub const NO_SIDE: Side = Side {
    opened_ns: 0,
    iss: 0,
    fin_end: 0,
    options: [0; MAX_OPTIONS],
    next: 0,
    acked: 0,
    options_len: 0,
    known: 0,
    syns: 0,
    padding: 0,
    window: 0,
    padding_2: 0,
};

/// An event in which nothing is filled in yet: all zero.
pub const NO_EVENT: Event = Event {
    serial: 0,
    time_ns: 0,
    source: [0; 16],
    destination: [0; 16],
    outer_source: [0; 16],
    outer_destination: [0; 16],
    scope: 0,
    source_port: 0,
    destination_port: 0,
    seq: 0,
    ack: 0,
    len: 0,
    interface: 0,
    cpu: 0,
    window: 0,
    abi: 0,
    why: 0,
    flags: 0,
    direction: 0,
    checksum: 0,
    ident: 0,
    padding: 0,
    sender: NO_SIDE,
    receiver: NO_SIDE,
};

const _: () = assert!(size_of::<Side>() == 72);
const _: () = assert!(size_of::<Event>() == 272);
const _: () = assert!(offset_of!(Event, sender) == 128);

/// A record that is no event of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEvent {
    /// Its length is not that of an event.
    Length(usize),
    /// It was written by another version.
    Abi(u16),
    /// Its direction is neither ingress nor egress.
    Direction(u8),
}

impl core::fmt::Display for BadEvent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length(len) => write!(
                f,
                "a record of {len} octets where an event has {}",
                size_of::<Event>()
            ),
            Self::Abi(abi) => write!(
                f,
                "an event of version {abi}, this program reads version {ABI_VERSION}"
            ),
            Self::Direction(direction) => write!(f, "an event with direction {direction}"),
        }
    }
}

impl core::error::Error for BadEvent {}

impl Event {
    /// Reads an event from the octets of a ring record.
    ///
    /// # Errors
    /// Where the record's length, version or direction is not an event's.
    pub fn decode(record: &[u8]) -> Result<Self, BadEvent> {
        let record: &[u8; size_of::<Self>()] = record
            .try_into()
            .map_err(|_| BadEvent::Length(record.len()))?;
        macro_rules! field {
            ($name:ident) => {
                take(record, offset_of!(Self, $name))
            };
        }
        let event = Self {
            serial: u64::from_ne_bytes(field!(serial)),
            time_ns: u64::from_ne_bytes(field!(time_ns)),
            source: field!(source),
            destination: field!(destination),
            outer_source: field!(outer_source),
            outer_destination: field!(outer_destination),
            scope: u64::from_ne_bytes(field!(scope)),
            source_port: u16::from_ne_bytes(field!(source_port)),
            destination_port: u16::from_ne_bytes(field!(destination_port)),
            seq: u32::from_ne_bytes(field!(seq)),
            ack: u32::from_ne_bytes(field!(ack)),
            len: u32::from_ne_bytes(field!(len)),
            interface: u32::from_ne_bytes(field!(interface)),
            cpu: u32::from_ne_bytes(field!(cpu)),
            window: u16::from_ne_bytes(field!(window)),
            abi: u16::from_ne_bytes(field!(abi)),
            why: u16::from_ne_bytes(field!(why)),
            flags: u8::from_ne_bytes(field!(flags)),
            direction: u8::from_ne_bytes(field!(direction)),
            checksum: u16::from_ne_bytes(field!(checksum)),
            ident: u16::from_ne_bytes(field!(ident)),
            padding: 0,
            sender: Side::decode(&field!(sender)),
            receiver: Side::decode(&field!(receiver)),
        };
        if event.abi != ABI_VERSION {
            return Err(BadEvent::Abi(event.abi));
        }
        if event.direction > Direction::Egress as u8 {
            return Err(BadEvent::Direction(event.direction));
        }
        Ok(event)
    }

    /// The segment that was seen; the options of a SYN are in [`Event::sender`].
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment {
            seq: Seq(self.seq),
            ack: Seq(self.ack),
            flags: Flags(self.flags),
            window: self.window,
            len: self.len,
            checksum: self.checksum,
            ident: self.ident,
        }
    }

    /// Sender and receiver.
    #[must_use]
    pub fn endpoints(&self) -> [Endpoint; 2] {
        [
            Endpoint {
                address: Address::v6(self.source),
                port: self.source_port,
            },
            Endpoint {
                address: Address::v6(self.destination),
                port: self.destination_port,
            },
        ]
    }

    /// Which way the frame crossed the interface.
    #[must_use]
    pub fn direction(&self) -> Direction {
        if self.direction == Direction::Egress as u8 {
            Direction::Egress
        } else {
            Direction::Ingress
        }
    }
}

impl Side {
    fn decode(record: &[u8; size_of::<Self>()]) -> Self {
        let [options_len, known, syns] = take(record, offset_of!(Self, options_len));
        Self {
            opened_ns: u64::from_ne_bytes(take(record, offset_of!(Self, opened_ns))),
            iss: u32::from_ne_bytes(take(record, offset_of!(Self, iss))),
            fin_end: u32::from_ne_bytes(take(record, offset_of!(Self, fin_end))),
            options: take(record, offset_of!(Self, options)),
            next: u32::from_ne_bytes(take(record, offset_of!(Self, next))),
            acked: u32::from_ne_bytes(take(record, offset_of!(Self, acked))),
            options_len,
            known,
            syns,
            padding: 0,
            window: u16::from_ne_bytes(take(record, offset_of!(Self, window))),
            padding_2: 0,
        }
    }

    /// Its initial sequence number, where its SYN was seen.
    #[must_use]
    pub fn iss(&self) -> Option<Seq> {
        (self.known & Self::SYN != 0).then_some(Seq(self.iss))
    }

    /// Whether it sent a SYN-ACK, and no SYN by itself.
    #[must_use]
    pub const fn is_passive(&self) -> bool {
        self.known & Self::SYN_ACK != 0
    }

    /// The number that acknowledges its FIN, where that was seen.
    #[must_use]
    pub fn fin_end(&self) -> Option<Seq> {
        (self.known & Self::FIN != 0).then_some(Seq(self.fin_end))
    }

    /// The number that follows the highest payload that it was seen to send.
    #[must_use]
    pub fn next(&self) -> Option<Seq> {
        (self.known & Self::NEXT != 0).then_some(Seq(self.next))
    }

    /// The highest number that it acknowledged, and its last window as on the wire.
    #[must_use]
    pub fn acked(&self) -> Option<(Seq, u16)> {
        (self.known & Self::ACKED != 0).then_some((Seq(self.acked), self.window))
    }

    /// The options of its SYN.
    #[must_use]
    pub fn options(&self) -> &[u8] {
        if self.known & Self::TEXT == 0 {
            self.used()
        } else {
            &[]
        }
    }

    /// The beginning of the payload of its RST.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        (self.known & Self::TEXT != 0).then(|| self.used())
    }

    fn used(&self) -> &[u8] {
        let used = self.options.get(..usize::from(self.options_len));
        used.unwrap_or(&self.options)
    }
}

/// The `N` octets at a field's offset; the layout assertions above keep every field inside.
fn take<const N: usize, const LEN: usize>(record: &[u8; LEN], offset: usize) -> [u8; N] {
    let mut octets = [0; N];
    let field = record.get(offset..offset + N).unwrap_or(&[0; N]);
    octets.copy_from_slice(field);
    octets
}
