//! What the kernel lends the tracker: per-CPU counters, the watch filter, the flow table, the ring.

use core::cell::Cell;
use core::intrinsics::{AtomicOrdering, atomic_and, atomic_cxchg, atomic_or};
use core::ops::{Deref, DerefMut};
use core::ptr;

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::event::{ABI_VERSION, Event};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::flow::{self, Flow, Host, Key, Ledgers, Mark, Shelves, Unproved};
use synfin_ebpf::wire::{Located, Tunnels};

use crate::globals;
use crate::maps::{
    ACCOUNTS, CPUS, Counted, Cpu, EVENTS, HELD_SEALS, HELD_SYN_ACKS, HELD_SYNS, LATEST_HELD,
    READER, WATCH,
};
use crate::table::{Place, Way};

/// The counts of a new entry: copied from, never written.
static NOTHING_COUNTED: Counted = Counted(Ledgers::new());

/// The kernel, as one run of a program on one CPU sees it.
pub(crate) struct Kernel {
    cpu: *mut Cpu,
}

impl Kernel {
    /// `None` never happens: the array has one element. The verifier wants it asked.
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            cpu: CPUS.get_ptr_mut(0)?,
        })
    }

    /// Leaves the place of a segment for another part of the program.
    #[inline(always)]
    pub(crate) fn hand_on(&self, located: &Located) {
        // SAFETY: the element belongs to this CPU.
        unsafe { ptr::write_volatile(&raw mut (*self.cpu).located, located.pack()) };
    }

    /// The place that was left. The verifier knows nothing of it.
    #[inline(always)]
    pub(crate) fn handed_on(&self) -> Located {
        // SAFETY: as above.
        Located::unpack(unsafe { ptr::read_volatile(&raw const (*self.cpu).located) })
    }

    /// Whether the segment whose place was left may be held back, or what was held of its connection may
    /// still be watched.
    #[inline(always)]
    pub(crate) fn may_hold(&self) -> bool {
        if globals::accounts() {
            return false;
        }
        if self.handed_on().flags.syn() {
            return true;
        }
        LATEST_HELD.get_ptr_mut(0).is_some_and(|latest| {
            // SAFETY: a word that is only read and written whole.
            let latest = unsafe { ptr::read_volatile(latest) };
            jiffies().wrapping_sub(latest) <= globals::watch_jiffies()
        })
    }

    /// How many connections found no place on this CPU.
    #[inline(always)]
    pub(crate) fn refused(&self) -> u64 {
        // SAFETY: a pointer into this CPU's element.
        unsafe { *self.counter(Counter::TableFull.index()) }
    }

    #[inline(always)]
    fn counter(&self, index: usize) -> *mut u64 {
        // SAFETY: the index is kept inside the array; the element belongs to this CPU.
        unsafe {
            (&raw mut (*self.cpu).counters)
                .cast::<u64>()
                .add(index % COUNTERS)
        }
    }
}

impl Host for Kernel {
    type Entry = Place;
    type Ledgers = &'static Ledgers;
    type Aside = &'static Key;
    type Slot<'a>
        = Slot
    where
        Self: 'a;

    #[inline(always)]
    fn count(&self, index: usize) {
        let counter = self.counter(index);
        // SAFETY: a pointer into this CPU's element; programs of a CPU do not interrupt each other.
        unsafe { *counter += 1 };
    }

    #[inline(always)]
    fn is_watched(&self, hash: u32) -> bool {
        let until = watched(hash).map(|until| {
            // SAFETY: a word that is only read and written whole; every value is a valid one.
            unsafe { ptr::read_volatile(until) }
        });
        until.is_some_and(|until| until.wrapping_sub(jiffies()) <= globals::watch_jiffies())
    }

    #[inline(always)]
    fn watch(&self, hash: u32) {
        if let Some(until) = watched(hash) {
            // SAFETY: as above; the last writer wins.
            unsafe { ptr::write_volatile(until, jiffies().wrapping_add(globals::watch_jiffies())) };
        }
    }

    #[inline(always)]
    fn filter(&self) -> &Filter {
        globals::filter()
    }

    #[inline(always)]
    fn tunnels(&self) -> &Tunnels {
        globals::tunnels()
    }

    #[inline(always)]
    fn flow(&self, key: &Key, enter: bool) -> Option<Place> {
        let way = Way::to(key)?;
        // The verifier would follow the rest once for each slot.
        let forget = |slot: usize| (self.forget_word(slot as u64) & 7) as usize;
        let mut slot = forget(way.find());
        if enter && way.follow(slot).is_none() {
            slot = way.enter(self.cpu, jiffies(), forget);
        }
        way.follow(forget(slot))
    }

    #[inline(always)]
    fn keep(&self, entry: &Place, proved: bool) {
        entry.touch(jiffies(), proved);
    }

    #[inline(always)]
    fn accounts(&self) -> bool {
        globals::accounts()
    }

    #[inline(always)]
    fn ledgers(&self, key: &Key) -> Option<&'static Ledgers> {
        if let Some(ledgers) = self.counted(key) {
            return Some(ledgers);
        }
        // Another CPU may have entered it meanwhile: then that entry is the one.
        let _ = ACCOUNTS.insert(key, &NOTHING_COUNTED, BPF_NOEXIST.into());
        self.counted(key)
    }

    #[inline(always)]
    fn settle(&self, key: &Key, ledgers: &Ledgers) -> bool {
        let Some(mut entry) = EVENTS.reserve::<Settled>(0) else {
            return false;
        };
        let settled = entry.as_mut_ptr();
        // SAFETY: the entry is as large as what is written; ledgers begin with accounts. Copied as one
        // piece, since all the words at once would not fit onto the stack.
        unsafe {
            (&raw mut (*settled).key).write(*key);
            (&raw mut (*settled).abi).write(ABI_VERSION.into());
            let accounts = ptr::from_ref(ledgers).cast::<Accounts>();
            ptr::copy_nonoverlapping(accounts, &raw mut (*settled).accounts, 1);
        }
        entry.submit(BPF_RB_NO_WAKEUP.into());
        true
    }

    #[inline(always)]
    fn claim(&self, flow: &Flow, mark: Mark) -> bool {
        let marks = flow.marks().as_ptr();
        // SAFETY: an aligned u32 inside a map value, shared by atomic operations only.
        let before =
            unsafe { atomic_or::<u32, u32, { AtomicOrdering::SeqCst }>(marks, mark.bits()) };
        before & mark.bits() == 0
    }

    #[inline(always)]
    fn clear(&self, flow: &Flow, mark: Mark) {
        let marks = flow.marks().as_ptr();
        // SAFETY: as in `claim`.
        unsafe { atomic_and::<u32, u32, { AtomicOrdering::SeqCst }>(marks, !mark.bits()) };
    }

    #[inline(always)]
    fn forget(&self, words: [u64; 3]) -> [u64; 3] {
        // SAFETY: the element belongs to this CPU.
        unsafe {
            let place = &raw mut (*self.cpu).forgotten;
            ptr::write_volatile(place, words);
            ptr::read_volatile(place)
        }
    }

    #[inline(always)]
    fn forget_word(&self, word: u64) -> u64 {
        // SAFETY: the element belongs to this CPU.
        unsafe {
            let place = (&raw mut (*self.cpu).forgotten).cast::<u64>();
            ptr::write_volatile(place, word);
            ptr::read_volatile(place)
        }
    }

    #[inline(always)]
    fn again(&self, _: &Located) -> Located {
        self.handed_on()
    }

    #[inline(always)]
    fn set_aside(&self, key: Key) -> &'static Key {
        let words = key.words();
        // SAFETY: the element belongs to this CPU, whose programs do not interrupt each other. A key is
        // its words (see `Key::words`); as volatile ones they do not stay on the stack as well.
        unsafe {
            let place = &raw mut (*self.cpu).key;
            for (index, word) in words.into_iter().enumerate() {
                ptr::write_volatile(place.cast::<u64>().add(index), word);
            }
            &*place
        }
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        // SAFETY: takes nothing and only reads a clock.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn admits(&self, kind: Unproved) -> bool {
        let left = self.left(kind);
        // SAFETY: the element belongs to this CPU.
        let before = unsafe { *left };
        // SAFETY: as above.
        unsafe { *left = before.saturating_sub(1) };
        before > 0 && EVENTS.query(BPF_RB_AVAIL_DATA.into()) <= globals::ring_watermark()
    }

    #[inline(always)]
    fn serial(&self) -> (u32, u64) {
        // SAFETY: the element belongs to this CPU.
        let serial = unsafe {
            let serial = (*self.cpu).serial;
            (*self.cpu).serial = serial + 1;
            serial
        };
        // SAFETY: takes nothing and only reads.
        (unsafe { bpf_get_smp_processor_id() } as u32, serial)
    }

    #[inline(always)]
    fn reserve(&self) -> Option<Slot> {
        let mut entry = EVENTS.reserve::<Event>(0)?;
        let words = entry.as_mut_ptr().cast::<u64>();
        const { assert!(size_of::<Event>().is_multiple_of(size_of::<u64>())) };
        for word in 0..size_of::<Event>() / size_of::<u64>() {
            // SAFETY: the entry is as large as an event. Word by word: what the compiler would call
            // instead goes octet by octet.
            unsafe { ptr::write_volatile(words.add(word), 0) };
        }
        Some(Slot(entry))
    }

    #[inline(always)]
    fn submit(&self, event: Slot) {
        event.0.submit(wake_up());
    }
}

impl Shelves for Kernel {
    #[inline(always)]
    fn is_spent(&self, kind: Unproved) -> bool {
        // SAFETY: the element belongs to this CPU.
        unsafe { *self.left(kind) == 0 }
    }

    #[inline(always)]
    fn place(&self, hash: u32) -> Option<flow::Place<'static>> {
        // Nobody who does not know the secret finds connections that share a place, but not the hash.
        let spread = u64::from(hash).wrapping_mul(globals::hash_secret()[0] | 1);
        let number = (spread >> 32 & 0xffff_ffff) as u32 & globals::held_mask();
        Some(flow::Place {
            seal: &HELD_SEALS.get(number)?.0,
            syn: &HELD_SYNS.get(number)?.0,
            syn_ack: &HELD_SYN_ACKS.get(number)?.0,
        })
    }

    #[inline(always)]
    fn holds(&self) {
        if let Some(latest) = LATEST_HELD.get_ptr_mut(0) {
            let now = jiffies();
            // SAFETY: a word that is only read and written whole; what all CPUs share is written once a
            // jiffy.
            unsafe {
                if ptr::read_volatile(latest) != now {
                    ptr::write_volatile(latest, now);
                }
            }
        }
    }

    #[inline(always)]
    fn seize(&self, seal: &Cell<u32>, hash: u32) -> bool {
        // SAFETY: an aligned u32 inside a map value.
        let (_, seized) = unsafe {
            atomic_cxchg::<u32, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(
                seal.as_ptr(),
                hash,
                0,
            )
        };
        seized
    }
}

/// Room in the ring, all zero at first.
pub(crate) struct Slot(RingBufEntry<Event>);

impl Deref for Slot {
    type Target = Event;

    #[inline(always)]
    fn deref(&self) -> &Event {
        // SAFETY: all zero was a valid event.
        unsafe { self.0.assume_init_ref() }
    }
}

impl DerefMut for Slot {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Event {
        // SAFETY: as above.
        unsafe { self.0.assume_init_mut() }
    }
}

impl Kernel {
    /// How many events of a kind this CPU may still give.
    #[inline(always)]
    fn left(&self, kind: Unproved) -> *mut u32 {
        let (now, (a_jiffy, at_once)) = (jiffies(), globals::unproved());
        // SAFETY: a valid element, which belongs to this CPU; the kind is inside the array.
        unsafe {
            let at = &raw mut (*self.cpu).unproved_at;
            let kinds = (&raw mut (*self.cpu).unproved).cast::<u32>();
            let since = now.wrapping_sub(*at);
            if since > 0 {
                *at = now;
                for kind in 0..Unproved::KINDS {
                    let left = kinds.add(kind);
                    let more = u64::from(since) * u64::from(a_jiffy);
                    let filled = (u64::from(*left) + more).min(at_once.into());
                    *left = (filled & 0xffff_ffff) as u32;
                }
            }
            kinds.add(kind as usize % Unproved::KINDS)
        }
    }

    #[inline(always)]
    fn counted(&self, key: &Key) -> Option<&'static Ledgers> {
        // SAFETY: as for a flow; an entry that is reused while it is held miscounts at worst.
        unsafe { ACCOUNTS.get(key) }.map(|shared| &shared.0)
    }
}

/// A reader that is awake drains the ring by its timer; one that sleeps says so and is woken once.
#[inline(always)]
fn wake_up() -> u64 {
    match READER.get_ptr_mut(0) {
        // SAFETY: a valid element; two CPUs that both find it set wake the reader twice at worst.
        Some(asleep) if unsafe { ptr::read_volatile(asleep) } != 0 => {
            // SAFETY: as above.
            unsafe { ptr::write_volatile(asleep, 0) };
            BPF_RB_FORCE_WAKEUP.into()
        }
        _ => BPF_RB_NO_WAKEUP.into(),
    }
}

/// The slot of connections with this hash.
#[inline(always)]
fn watched(hash: u32) -> Option<*mut u32> {
    let line = WATCH.get_ptr_mut(hash >> 4 & globals::watch_mask())?;
    Some(line.cast::<u32>().wrapping_add((hash & 15) as usize))
}

#[inline(always)]
fn jiffies() -> u32 {
    // SAFETY: takes nothing and only reads. The low half is enough for seconds.
    (unsafe { bpf_jiffies64() } & 0xffff_ffff) as u32
}
