//! The maps, by the names under which the loader finds and sizes them.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, RingBuf};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::{Key, Ledgers, Unproved};

use crate::table::{Bucket, Shared};

/// Events to user space.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Entries of connections that are opening or closing. What can be mapped into memory begins at a
/// page, and so each entry at a cache line.
#[map]
pub(crate) static FLOWS: Array<Shared> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// How entries are found.
#[map]
pub(crate) static BUCKETS: Array<Bucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One cell: entries that were given out to CPUs, modulo 2³².
#[map]
pub(crate) static CURSOR: Array<u32> = Array::with_max_entries(1, 0);

/// What is counted of each connection, where that was asked for; the least recently used makes room.
#[map]
pub(crate) static ACCOUNTS: LruHashMap<Key, Counted> = LruHashMap::with_max_entries(1, 0);

/// The counts of a connection.
#[repr(transparent)]
pub(crate) struct Counted(pub(crate) Ledgers);

// SAFETY: a side's words are written by one CPU at a time, whole (see `synfin_ebpf::flow::Ledgers`);
// readers find each of them as it was or as it is.
unsafe impl Sync for Counted {}

/// What each CPU counts for itself.
#[map]
pub(crate) static CPUS: PerCpuArray<Cpu> = PerCpuArray::with_max_entries(1, 0);

/// One cell: not zero while the reader sleeps and wants to be woken by the next event.
#[map]
pub(crate) static READER: Array<u32> = Array::with_max_entries(1, 0);

/// Until when each slot is watched, in jiffies modulo 2³²; a cache line of slots each.
#[map]
pub(crate) static WATCH: Array<WatchLine> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Slots that share a cache line.
pub(crate) type WatchLine = [u32; 16];

/// One CPU's counts.
#[repr(C)]
pub(crate) struct Cpu {
    pub(crate) counters: [u64; COUNTERS],
    /// Events made, the lost ones included.
    pub(crate) serial: u64,
    /// How many events of connections that are not proved may be given, by kind.
    pub(crate) unproved: [u32; Unproved::KINDS],
    /// As of when that is, in jiffies.
    pub(crate) unproved_at: u32,
    /// The entry that is given out next; a multiple of a chunk where there is none.
    pub(crate) next_flow: u32,
    /// The key of the connection at hand.
    pub(crate) key: Key,
    /// The place of the segment at hand.
    pub(crate) located: [u64; 3],
    /// Where words go and come back without the verifier's knowledge of them.
    pub(crate) forgotten: [u64; 3],
}
