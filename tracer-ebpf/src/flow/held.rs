//! Openings that are held back: what a SYN and its SYN-ACK say, until a later segment of the same
//! connection asks for it.
//!
//! In a flood nothing else is done for a SYN than to note it here. There is one place for all
//! connections with the same hash, more or less, and the latest takes it: what nobody goes on with
//! makes room by itself. Whose it is, is told by a seal apart, of which many share a cache line: what
//! lies in no order is written and not read, so that nobody waits for it. CPUs share places without a
//! lock. A place that two of them write at once holds numbers of both; whoever recalls an opening is
//! told by its numbers whether it is that of his connection.

use core::cell::Cell;
use core::sync::atomic::{Ordering, compiler_fence};

use super::entry::SynCount;
use super::{Host, Key, Unproved, Vantage};
use crate::counters::Counter;
use crate::octets::Octets;
use crate::segment::{Flags, OPTION_WORDS};
use crate::seq::Seq;
use crate::wire::{Located, Reject};

/// How far a segment that goes on from a held opening is behind its beginning at most: some windows
/// without scale.
const NEAR: u32 = 1 << 18;

/// The place of an opening.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The hash of the connection whose it is; 0 where it is empty.
    pub seal: &'a Cell<u32>,
    /// The SYN.
    pub syn: &'a Held,
    /// Its SYN-ACK.
    pub syn_ack: &'a Held,
}

/// What a SYN or SYN-ACK says: a cache line.
#[derive(Debug)]
#[repr(C)]
pub struct Held {
    pub(super) time_ns: Cell<u64>,
    /// Its sender's and its receiver's, as they lie in memory.
    ports: Cell<u32>,
    /// SEG.SEQ.
    pub(super) seq: Cell<u32>,
    /// SEG.ACK.
    ack: Cell<u32>,
    /// What is counted of it, and whether its SYN-ACK is held as well.
    rest: Cell<u32>,
    pub(super) options: [Cell<u64>; OPTION_WORDS],
}

const _: () = assert!(size_of::<Held>() == 64);

impl Held {
    const ANSWERED: u32 = 1 << 16;

    /// What is counted of it: that it came once.
    #[inline(always)]
    pub(super) const fn count(&self) -> SynCount {
        SynCount((self.rest.get() & 0xffff) as u16)
    }

    /// Whether this SYN is answered by a SYN-ACK with these ports and this number: SYN occupies one
    /// sequence number (RFC 9293 §3.4).
    #[inline(always)]
    fn is_answered_by(&self, ports: u32, ack: Seq) -> bool {
        self.ports.get() == ports.rotate_left(16) && Seq(self.seq.get()).add(1) == ack
    }

    #[inline(always)]
    fn take<F: Octets + ?Sized>(
        &self,
        frame: &F,
        located: &Located,
        segment: &Numbers,
        time_ns: u64,
        place: u32,
    ) {
        self.ports.set(segment.ports);
        self.seq.set(segment.seq.0);
        self.ack.set(segment.ack.0);
        self.time_ns.set(time_ns);
        let len = located.copy_options(frame, |index, octets| {
            if let Some(word) = self.options.get(index) {
                word.set(octets);
            }
        });
        self.rest.set(SynCount::first(len, place).0.into());
    }

    /// Whether the sender of this segment is who sent this SYN, where it goes on from it.
    #[inline(always)]
    fn is_continued_by(&self, segment: &Numbers, flags: Flags) -> Option<bool> {
        let (ports, begins) = (self.ports.get(), Seq(self.seq.get()));
        if ports == segment.ports {
            return (segment.seq.since(begins) < NEAR).then_some(true);
        }
        let acked = segment.ack.since(begins);
        let answers = ports == segment.ports.rotate_left(16) && flags.ack();
        (answers && acked > 0 && acked < NEAR).then_some(false)
    }
}

impl<'a> Place<'a> {
    /// The SYN-ACK, where it is held, too.
    #[inline(always)]
    pub(super) fn answer(&self) -> Option<&'a Held> {
        let (syn, syn_ack) = (self.syn, self.syn_ack);
        let answered = syn.rest.get() & Held::ANSWERED != 0
            && syn.is_answered_by(syn_ack.ports.get(), Seq(syn_ack.ack.get()));
        answered.then_some(syn_ack)
    }
}

/// What tells one opening from another.
struct Numbers {
    hash: u32,
    ports: u32,
    seq: Seq,
    ack: Seq,
}

impl Numbers {
    #[inline(always)]
    fn of<F: Octets + ?Sized>(frame: &F, located: &Located) -> Result<Self, Reject> {
        let (seq, ack) = located.numbers(frame)?;
        Ok(Self {
            hash: located.hash(frame)?,
            ports: located.ports(frame)?,
            seq,
            ack,
        })
    }
}

/// What a host has that holds openings back.
pub trait Shelves: Host {
    /// Whether as many events of that kind were given as may be.
    fn is_spent(&self, kind: Unproved) -> bool;

    /// The place for openings with this hash.
    fn place(&self, hash: u32) -> Option<Place<'_>>;

    /// Notes that something is held from now on.
    fn holds(&self);

    /// Takes the seal with this hash away; only one CPU gets it.
    fn seize(&self, seal: &Cell<u32>, hash: u32) -> bool;
}

/// Holds back a SYN or SYN-ACK where that is to be done, and tells whether it did; else takes up what
/// was held of its connection's opening.
#[inline(always)]
pub fn hold_or_recall<F: Octets + ?Sized, H: Shelves>(
    frame: &F,
    located: &Located,
    vantage: impl Fn() -> Vantage,
    host: &H,
) -> bool {
    let flags = located.flags;
    if flags.anomalous() || host.accounts() {
        return false;
    }
    if flags.syn() && hold(frame, located, vantage, host) {
        return true;
    }
    // What cannot be read is rejected when it is examined.
    let _ = recall(frame, located, host);
    false
}

/// Holds back a SYN or SYN-ACK of which more come than are reported, and counts it; tells whether it
/// did. It is not possible where something is held of the same connection that it does not simply
/// follow: such a segment is examined.
#[inline(always)]
fn hold<F: Octets + ?Sized, H: Shelves>(
    frame: &F,
    located: &Located,
    vantage: impl Fn() -> Vantage,
    host: &H,
) -> bool {
    let kind = Unproved::of(located.flags);
    if !host.filter().is_open() || !host.is_spent(kind) {
        return false;
    }
    if !matches!(put_away(frame, located, vantage, host), Ok(true)) {
        return false;
    }
    host.holds();
    if !located.flags.ack() {
        host.count(Counter::Syns.index());
    }
    for counter in [Counter::Segments, Counter::Examined, kind.counter()] {
        host.count(counter.index());
    }
    true
}

#[inline(always)]
fn put_away<F: Octets + ?Sized, H: Shelves>(
    frame: &F,
    located: &Located,
    vantage: impl Fn() -> Vantage,
    host: &H,
) -> Result<bool, Reject> {
    let segment = Numbers::of(frame, located)?;
    let (hash, ports) = (segment.hash, segment.ports);
    // Asked for first: the clock waits for what is still on its way from memory.
    let now_ns = host.now_ns();
    let Some(place) = host.place(hash) else {
        return Ok(false);
    };
    let Place { seal, syn, syn_ack } = place;
    if located.flags.ack() {
        let follows = seal.get() == hash && syn.is_answered_by(ports, segment.ack);
        if !follows || syn.rest.get() & Held::ANSWERED != 0 {
            return Ok(false);
        }
        syn_ack.take(frame, located, &segment, now_ns, vantage().place(host));
        compiler_fence(Ordering::SeqCst);
        syn.rest.set(syn.rest.get() | Held::ANSWERED);
    } else {
        // Where the ports are the same they do not tell who is who.
        if seal.get() == hash || hash == 0 || ports == ports.rotate_left(16) {
            return Ok(false);
        }
        seal.set(0);
        compiler_fence(Ordering::SeqCst);
        syn.take(frame, located, &segment, now_ns, vantage().place(host));
        compiler_fence(Ordering::SeqCst);
        seal.set(hash);
    }
    host.watch(hash);
    Ok(true)
}

/// Takes the opening of this segment's connection into the table, where it was held.
#[inline(always)]
fn recall<F: Octets + ?Sized, H: Shelves>(
    frame: &F,
    located: &Located,
    host: &H,
) -> Result<(), Reject> {
    let segment = Numbers::of(frame, located)?;
    let Some(place) = host.place(segment.hash) else {
        return Ok(());
    };
    if place.seal.get() != segment.hash {
        return Ok(());
    }
    let Some(opens) = place.syn.is_continued_by(&segment, located.flags) else {
        return Ok(());
    };
    if !host.seize(place.seal, segment.hash) {
        return Ok(());
    }
    let (key, half) = Key::of(&located.endpoints(frame)?, located.scope);
    let key = host.set_aside(key);
    if let Some(flow) = host.flow(&key, true) {
        let opener = if opens { half } else { half.peer() };
        flow.recall(&place, opener, host);
    }
    Ok(())
}
