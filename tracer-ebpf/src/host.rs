//! What the kernel lends the tracker: per-CPU counters, the watch filter, the flow table, the ring.

use core::intrinsics::{AtomicOrdering, atomic_and, atomic_or};
use core::ops::{Deref, DerefMut};
use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::event::{ABI_VERSION, Event};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::flow::{Flow, Host, Key, Ledgers, Mark};
use synfin_ebpf::wire::Tunnels;

use crate::globals;
use crate::maps::{ACCOUNTS, CPUS, Counted, Cpu, EVENTS, FLOWS, READER, Shared, WATCH};

/// The value of a new entry: copied from, never written.
static NOTHING: Shared = Shared(Flow::new());

/// The counts of a new entry: copied from, never written.
static NOTHING_COUNTED: Counted = Counted(Ledgers::new());

/// EEXIST has this number on every architecture.
const EEXIST: i32 = 17;

/// The kernel, as one run of a program on one CPU sees it.
pub(crate) struct Kernel<'c, C> {
    ctx: &'c C,
    cpu: *mut Cpu,
}

impl<'c, C: EbpfContext> Kernel<'c, C> {
    /// `None` never happens: the array has one element. The verifier wants it asked.
    #[inline(always)]
    pub(crate) fn new(ctx: &'c C) -> Option<Self> {
        Some(Self {
            ctx,
            cpu: CPUS.get_ptr_mut(0)?,
        })
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

impl<C: EbpfContext> Host for Kernel<'_, C> {
    type Entry = &'static Flow;
    type Ledgers = &'static Ledgers;
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
    fn is_watched(&self, slot: usize) -> bool {
        WATCH.load(slot).wrapping_sub(jiffies()) <= globals::watch_jiffies()
    }

    #[inline(always)]
    fn watch(&self, slot: usize) {
        WATCH.store(slot, jiffies().wrapping_add(globals::watch_jiffies()));
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
    fn flow(&self, key: &Key) -> Option<&'static Flow> {
        // SAFETY: the value is made of atomics; an entry that is reused while it is held mixes up
        // two connections' numbers at worst, which user space checks.
        unsafe { FLOWS.get(key) }.map(|shared| &shared.0)
    }

    #[inline(always)]
    fn enter(&self, key: &Key) -> Option<&'static Flow> {
        if let Some(flow) = self.flow(key) {
            return Some(flow);
        }
        // Another CPU may have entered it meanwhile: then that entry is the one.
        if let Err(error) = FLOWS.insert(key, &NOTHING, BPF_NOEXIST.into())
            && error != -EEXIST
            && self.is_first(Counter::TableFull)
        {
            aya_log_ebpf::warn!(self.ctx, "the flow table refuses an entry: error {}", error);
        }
        self.flow(key)
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
        // SAFETY: an aligned u64 inside a map value, shared by atomic operations only.
        let before =
            unsafe { atomic_or::<u64, u64, { AtomicOrdering::SeqCst }>(marks, mark.bits()) };
        before & mark.bits() == 0
    }

    #[inline(always)]
    fn clear(&self, flow: &Flow, mark: Mark) {
        let marks = flow.marks().as_ptr();
        // SAFETY: as in `claim`.
        unsafe { atomic_and::<u64, u64, { AtomicOrdering::SeqCst }>(marks, !mark.bits()) };
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
    fn now_ns(&self) -> u64 {
        // SAFETY: takes nothing and only reads a clock.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn is_crowded(&self) -> bool {
        EVENTS.query(BPF_RB_AVAIL_DATA.into()) > globals::ring_watermark()
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
        // SAFETY: the entry is as large as an event.
        unsafe { entry.as_mut_ptr().write_bytes(0, 1) };
        Some(Slot(entry))
    }

    #[inline(always)]
    fn submit(&self, event: Slot) {
        event.0.submit(wake_up());
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

impl<C: EbpfContext> Kernel<'_, C> {
    #[inline(always)]
    fn counted(&self, key: &Key) -> Option<&'static Ledgers> {
        // SAFETY: as for a flow; an entry that is reused while it is held miscounts at worst.
        unsafe { ACCOUNTS.get(key) }.map(|shared| &shared.0)
    }

    #[inline(always)]
    fn is_first(&self, counter: Counter) -> bool {
        // SAFETY: a pointer into this CPU's element.
        unsafe { *self.counter(counter.index()) == 0 }
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

#[inline(always)]
fn jiffies() -> u32 {
    // SAFETY: takes nothing and only reads. The low half is enough for seconds.
    (unsafe { bpf_jiffies64() } & 0xffff_ffff) as u32
}
