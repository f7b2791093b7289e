//! The maps, by the names under which the loader finds and sizes them.

use core::cell::UnsafeCell;
use core::ptr;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, RingBuf};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::{Flow, Key, Ledgers, WATCH_SLOTS};

/// Events to user space.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Connections that are opening or closing; the least recently used makes room.
#[map]
pub(crate) static FLOWS: LruHashMap<Key, Shared> = LruHashMap::with_max_entries(1 << 16, 0);

/// What is counted of each connection, where that was asked for; the least recently used makes room.
#[map]
pub(crate) static ACCOUNTS: LruHashMap<Key, Counted> = LruHashMap::with_max_entries(1, 0);

/// The counts of a connection.
#[repr(transparent)]
pub(crate) struct Counted(pub(crate) Ledgers);

// SAFETY: a side's words are written by one CPU at a time, whole (see `synfin_ebpf::flow::Ledgers`);
// readers find each of them as it was or as it is.
unsafe impl Sync for Counted {}

/// An entry that CPUs share.
#[repr(transparent)]
pub(crate) struct Shared(pub(crate) Flow);

// SAFETY: an entry consists of aligned words that are read and written whole, in an order that its
// marks make safe (see `synfin_ebpf::flow::Flow`).
unsafe impl Sync for Shared {}

/// What each CPU counts for itself.
#[map]
pub(crate) static CPUS: PerCpuArray<Cpu> = PerCpuArray::with_max_entries(1, 0);

/// One cell: not zero while the reader sleeps and wants to be woken by the next event.
#[map]
pub(crate) static READER: Array<u32> = Array::with_max_entries(1, 0);

/// Until when each slot is watched, in jiffies modulo 2³².
pub(crate) static WATCH: Watch = Watch(UnsafeCell::new([0; WATCH_SLOTS]));

/// A word a slot, shared by all CPUs: the last writer wins, and every value is a valid one.
pub(crate) struct Watch(UnsafeCell<[u32; WATCH_SLOTS]>);

// SAFETY: the words are only read and written whole, through volatile accesses.
unsafe impl Sync for Watch {}

impl Watch {
    #[inline(always)]
    pub(crate) fn load(&self, slot: usize) -> u32 {
        // SAFETY: inside the array.
        unsafe { ptr::read_volatile(self.slot(slot)) }
    }

    #[inline(always)]
    pub(crate) fn store(&self, slot: usize, until: u32) {
        // SAFETY: inside the array.
        unsafe { ptr::write_volatile(self.slot(slot), until) };
    }

    #[inline(always)]
    fn slot(&self, slot: usize) -> *mut u32 {
        self.0.get().cast::<u32>().wrapping_add(slot % WATCH_SLOTS)
    }
}

/// One CPU's counts.
#[repr(C)]
pub(crate) struct Cpu {
    pub(crate) counters: [u64; COUNTERS],
    /// Events made, the lost ones included.
    pub(crate) serial: u64,
    /// Where words go and come back without the verifier's knowledge of them.
    pub(crate) forgotten: [u64; 3],
}
