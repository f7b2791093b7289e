//! The table of openings and closings.
//!
//! A connection's entry is found through a bucket of a few slots that fills one cache line, and lies in
//! an array of entries that are given out one after the other: a flood of openings touches one line in
//! no order, and writes the rest side by side. No look-up and no insertion calls a helper.
//!
//! Entries are known by a hash of 64 bits under a secret that is drawn at load; the key itself is not
//! kept. A new connection takes the entry that was given out the longest ago, but never that of a
//! proved connection that is still watched.

use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg, atomic_xadd, atomic_xchg};
use core::ops::Deref;
use core::ptr;

use synfin_ebpf::flow::{Flow, Key};

use crate::globals;
use crate::maps::{BUCKETS, CURSOR, Cpu, FLOWS};

/// Slots of a bucket: with its lock they fill a cache line.
const SLOTS: usize = 7;
/// The bits that the number of a slot takes; the last number is that of none.
const SLOT: usize = 7;
const _: () = assert!(SLOTS <= SLOT);
/// How often a CPU asks for a bucket that another one is changing, which takes that some dozen ns.
const PATIENCE: u32 = 32;
/// By how many units of its time the entry of a proved connection is kept.
const KEPT_TIMES: u32 = 4;
/// Entries that a CPU takes at once to give out.
const CHUNK: u32 = 32;
/// Entries of proved connections that are passed over in search of another one.
const PASSED_OVER: u32 = 8;

/// One cache line of slots. All zero is a bucket without connections.
#[repr(C)]
pub(crate) struct Bucket {
    /// Half of each connection's hash. Two that were the same by chance would hide one of their
    /// connections.
    tags: [u32; SLOTS],
    /// 1 while a CPU gives a slot to a connection.
    lock: u32,
    /// As [`Pointer`].
    pointers: [u32; SLOTS],
    /// The slot that is given away next.
    turn: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

// SAFETY: words are read and written whole; a slot changes hands under the lock, and its tag, which
// makes it known, is written last.
unsafe impl Sync for Bucket {}

/// An entry that CPUs share.
#[repr(transparent)]
pub(crate) struct Shared(Flow);

// SAFETY: an entry consists of aligned words that are read and written whole, in an order that its
// marks make safe (see `synfin_ebpf::flow::Flow`).
unsafe impl Sync for Shared {}

/// Where an entry is, and of what kind: its number in bits 0 to 23, when it was last reported in 24 to
/// 30 (in units of some seconds), and in 31 whether its connection is proved.
#[derive(Clone, Copy)]
struct Pointer(u32);

impl Pointer {
    const NUMBER: u32 = 0xff_ffff;
    const TIME: u32 = 0x7f;
    const TIME_SHIFT: u32 = 24;
    const PROVED_SHIFT: u32 = 31;

    #[inline(always)]
    fn new(number: u32, now: u32, proved: bool) -> Self {
        let time = now >> globals::flow_time_shift() & Self::TIME;
        Self(number | time << Self::TIME_SHIFT | u32::from(proved) << Self::PROVED_SHIFT)
    }

    /// Whether the connection is proved and still watched.
    #[inline(always)]
    fn is_kept(self, now: u32) -> bool {
        let time = now >> globals::flow_time_shift();
        let age = time.wrapping_sub(self.0 >> Self::TIME_SHIFT) & Self::TIME;
        self.0 >> Self::PROVED_SHIFT != 0 && age <= KEPT_TIMES
    }
}

/// A connection's place.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    flow: &'static Flow,
    pointer: *mut u32,
    number: u32,
}

impl Deref for Place {
    type Target = Flow;

    #[inline(always)]
    fn deref(&self) -> &Flow {
        self.flow
    }
}

impl Place {
    /// Notes that the connection was reported.
    #[inline(always)]
    pub(crate) fn touch(&self, now: u32, proved: bool) {
        let pointer = Pointer::new(self.number, now, proved).0;
        self.flow.keeper.set(pointer);
        // SAFETY: a word of a bucket. Another CPU may write it at the same time: either is right.
        unsafe { ptr::write_volatile(self.pointer, pointer) };
    }
}

/// How a key is found: its bucket, and what tells it from others there.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    bucket: *mut Bucket,
    tag: u32,
    identity: u32,
}

impl Way {
    /// `None` never happens: there is such a bucket. The verifier wants it asked.
    #[inline(always)]
    pub(crate) fn to(key: &Key) -> Option<Self> {
        let hash = hash(key);
        let identity = (hash >> 32) as u32;
        Some(Self {
            bucket: BUCKETS.get_ptr_mut(identity & globals::bucket_mask())?,
            tag: (hash & 0xffff_ffff) as u32,
            identity,
        })
    }

    /// The number of the connection's slot, or one beyond all.
    #[inline(always)]
    pub(crate) fn find(&self) -> usize {
        let mut found = SLOT;
        for slot in 0..SLOTS {
            // SAFETY: inside the array.
            let tag = unsafe {
                ptr::read_volatile((&raw const (*self.bucket).tags).cast::<u32>().add(slot))
            };
            if tag == self.tag {
                found = slot;
            }
        }
        found
    }

    /// What the slot of a number leads to, where that is the connection's entry.
    #[inline(always)]
    pub(crate) fn follow(&self, slot: usize) -> Option<Place> {
        if slot >= SLOTS {
            return None;
        }
        let pointer = self.pointer(slot);
        // SAFETY: inside the array.
        let number = unsafe { ptr::read_volatile(pointer) } & Pointer::NUMBER;
        let flow = FLOWS.get(number)?;
        let place = Place {
            flow: &flow.0,
            pointer,
            number,
        };
        // The entry may have been given to another connection meanwhile.
        (place.flow.identity.get() == self.identity).then_some(place)
    }

    /// Gives the connection a slot and an entry; what is given is the slot's number, or one beyond all
    /// where all that there are belong to proved connections.
    ///
    /// `forget` makes the verifier forget which one it is.
    #[inline(always)]
    pub(crate) fn enter(&self, cpu: *mut Cpu, now: u32, forget: impl Fn(usize) -> usize) -> usize {
        if !self.lock() {
            return SLOT;
        }
        // Another CPU may have entered it meanwhile.
        let mut slot = forget(self.find());
        if self.follow(slot).is_none() {
            // A slot that the connection had before is its slot again: another one would be hidden.
            if slot >= SLOTS {
                slot = forget(self.next_slot(now));
            }
            if let Some(number) = give_out(cpu, self.identity, now) {
                self.give_away(slot, number, now);
            }
        }
        // SAFETY: a word of the bucket. What was changed before was made known by an atomic operation.
        unsafe { ptr::write_volatile(&raw mut (*self.bucket).lock, 0) };
        slot
    }

    #[inline(always)]
    fn lock(&self) -> bool {
        for _ in 0..PATIENCE {
            // SAFETY: a word of the bucket.
            let (_, locked) = unsafe {
                atomic_cxchg::<u32, { SeqCst }, { SeqCst }>(&raw mut (*self.bucket).lock, 0, 1)
            };
            if locked {
                return true;
            }
        }
        false
    }

    /// The slot that was given away the longest ago, those of proved connections that are still watched
    /// left out, or one beyond all.
    #[inline(always)]
    fn next_slot(&self, now: u32) -> usize {
        // SAFETY: a word of the bucket.
        let mut slot = unsafe { ptr::read_volatile(&raw const (*self.bucket).turn) } as usize;
        for _ in 0..SLOTS {
            slot &= SLOT;
            if slot >= SLOTS {
                slot = 0;
            }
            // SAFETY: inside the array.
            let pointer = Pointer(unsafe { ptr::read_volatile(self.pointer(slot)) });
            if !pointer.is_kept(now) {
                return slot;
            }
            slot += 1;
        }
        SLOT
    }

    #[inline(always)]
    fn give_away(&self, slot: usize, number: u32, now: u32) {
        if slot >= SLOTS {
            return;
        }
        // SAFETY: words of the bucket, which this CPU has locked.
        unsafe {
            let tag = (&raw mut (*self.bucket).tags).cast::<u32>().add(slot);
            ptr::write_volatile(self.pointer(slot), Pointer::new(number, now, false).0);
            atomic_xchg::<u32, { SeqCst }>(tag, self.tag);
            ptr::write_volatile(&raw mut (*self.bucket).turn, (slot as u64 & 7) as u32 + 1);
        }
    }

    #[inline(always)]
    fn pointer(&self, slot: usize) -> *mut u32 {
        // SAFETY: inside the bucket.
        unsafe { (&raw mut (*self.bucket).pointers).cast::<u32>().add(slot) }
    }
}

/// Gives out the next entry, to the connection with this half of a hash; gives its number.
#[inline(always)]
fn give_out(cpu: *mut Cpu, identity: u32, now: u32) -> Option<u32> {
    for _ in 0..PASSED_OVER {
        let number = next(cpu)?;
        let flow = &FLOWS.get(number)?.0;
        if !Pointer(flow.keeper.get()).is_kept(now) {
            flow.identity.set(identity);
            flow.marks().set(0);
            flow.keeper.set(0);
            return Some(number);
        }
    }
    None
}

/// The number of the next entry, which no other CPU gets before all have had their turn.
#[inline(always)]
fn next(cpu: *mut Cpu) -> Option<u32> {
    let mask = globals::flow_mask();
    let cursor = CURSOR.get_ptr_mut(0)?;
    // SAFETY: the element belongs to this CPU; the cursor is one word that all add to.
    unsafe {
        let next = &raw mut (*cpu).next_flow;
        let taken = ptr::read_volatile(cursor);
        // A CPU that did nothing for half a turn takes new ones.
        if (*next).is_multiple_of(CHUNK) || taken.wrapping_sub(*next) > mask / 2 {
            *next = atomic_xadd::<u32, u32, { SeqCst }>(cursor, CHUNK);
        }
        let number = *next & mask;
        *next = (*next).wrapping_add(1);
        Some(number)
    }
}

/// A hash under the secret: sums of products of its parts (multilinear hashing: nobody who does not
/// know the secret finds connections that share one), and a multiplication that spreads it.
#[inline(always)]
fn hash(key: &Key) -> u64 {
    let secret = globals::hash_secret();
    let mut sum = 0_u64;
    for (index, word) in key.words().into_iter().enumerate() {
        let low = (word & 0xffff_ffff).wrapping_add(secret[2 * index]);
        let high = (word >> 32).wrapping_add(secret[2 * index + 1]);
        sum = sum.wrapping_add(low.wrapping_mul(high));
    }
    let spread = (sum ^ sum >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ spread >> 32
}
