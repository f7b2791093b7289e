//! Read-only globals, set by the loader before the verifier sees the programs, which removes what
//! they switch off.

use synfin_ebpf::flow::filter::{Filter, MAX_TERMS, Network};
use synfin_ebpf::segment::Address;
use synfin_ebpf::wire::Tunnels;

/// For how long a significant segment keeps its connection watched, in jiffies.
#[unsafe(no_mangle)]
static WATCH_JIFFIES: u32 = 8 * 250;

/// Lines of the watch filter, less one: a power of two less one.
#[unsafe(no_mangle)]
static WATCH_MASK: u32 = 0;

/// Octets in the ring from which on the rest of it is for proved connections.
#[unsafe(no_mangle)]
static RING_WATERMARK: u64 = u64::MAX;

/// Entries of the table of openings and closings, less one: a power of two less one.
#[unsafe(no_mangle)]
static FLOW_MASK: u32 = 0;

/// Its buckets, less one.
#[unsafe(no_mangle)]
static BUCKET_MASK: u32 = 0;

/// Places for openings that are held back, less one: a power of two less one.
#[unsafe(no_mangle)]
static HELD_MASK: u32 = 0;

/// An entry's time is that in jiffies, shifted down by so much.
#[unsafe(no_mangle)]
static FLOW_TIME_SHIFT: u32 = 9;

/// What nobody outside knows of the hash of connections.
#[unsafe(no_mangle)]
static HASH_SECRET: [u64; 12] = [0; 12];

/// How many events a jiffy each CPU may give of connections that are not proved.
#[unsafe(no_mangle)]
static UNPROVED_PER_JIFFY: u32 = u32::MAX;

/// How many of them at once, after as much silence.
#[unsafe(no_mangle)]
static UNPROVED_AT_ONCE: u32 = u32::MAX;

/// Not 0 where every segment is counted for its connection.
#[unsafe(no_mangle)]
static COUNT_SEGMENTS: u32 = 0;

/// Which connections are followed.
#[unsafe(no_mangle)]
static FILTER: Filter = Filter {
    hosts: [Network {
        address: Address([0; 2]),
        mask: Address([0; 2]),
    }; MAX_TERMS],
    ports: [0; MAX_TERMS],
    port_count: 0,
    host_count: 0,
};

/// Which tunnels are looked into.
#[unsafe(no_mangle)]
static TUNNELS: Tunnels = Tunnels::OFF;

/// For how long a significant segment keeps its connection watched, in jiffies.
#[inline(always)]
pub(crate) fn watch_jiffies() -> u32 {
    // SAFETY: the static is initialised and never written; the read is volatile because the loader
    // sets another value than the compiler sees.
    unsafe { core::ptr::read_volatile(&raw const WATCH_JIFFIES) }
}

/// Lines of the watch filter, less one.
#[inline(always)]
pub(crate) fn watch_mask() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const WATCH_MASK) }
}

/// Octets in the ring from which on the rest of it is for proved connections.
#[inline(always)]
pub(crate) fn ring_watermark() -> u64 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const RING_WATERMARK) }
}

/// Entries of the table of openings and closings, less one.
#[inline(always)]
pub(crate) fn flow_mask() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const FLOW_MASK) }
}

/// Its buckets, less one.
#[inline(always)]
pub(crate) fn bucket_mask() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const BUCKET_MASK) }
}

/// Places for openings that are held back, less one.
#[inline(always)]
pub(crate) fn held_mask() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const HELD_MASK) }
}

/// By how much an entry's time is that in jiffies, shifted down.
#[inline(always)]
pub(crate) fn flow_time_shift() -> u32 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const FLOW_TIME_SHIFT) & 31 }
}

/// What nobody outside knows of the hash of connections.
#[inline(always)]
pub(crate) fn hash_secret() -> &'static [u64; 12] {
    core::hint::black_box(&HASH_SECRET)
}

/// How many events of connections that are not proved each CPU may give, a jiffy and at once.
#[inline(always)]
pub(crate) fn unproved() -> (u32, u32) {
    // SAFETY: as above.
    unsafe {
        (
            core::ptr::read_volatile(&raw const UNPROVED_PER_JIFFY),
            core::ptr::read_volatile(&raw const UNPROVED_AT_ONCE),
        )
    }
}

/// Whether every segment is counted for its connection.
#[inline(always)]
pub(crate) fn accounts() -> bool {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const COUNT_SEGMENTS) != 0 }
}

/// Which connections are followed.
#[inline(always)]
pub(crate) fn filter() -> &'static Filter {
    // The loader sets another value than the compiler sees.
    core::hint::black_box(&FILTER)
}

/// Which tunnels are looked into.
#[inline(always)]
pub(crate) fn tunnels() -> &'static Tunnels {
    // As above.
    core::hint::black_box(&TUNNELS)
}
