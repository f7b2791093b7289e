//! Read-only globals, set by the loader before the verifier sees the programs, which removes what
//! they switch off.

use synfin_ebpf::flow::filter::{Filter, MAX_TERMS, Network};
use synfin_ebpf::segment::Address;
use synfin_ebpf::wire::Tunnels;

/// For how long a significant segment keeps its connection watched, in jiffies.
#[unsafe(no_mangle)]
static WATCH_JIFFIES: u32 = 8 * 250;

/// Octets in the ring from which on the rest of it is for proved connections.
#[unsafe(no_mangle)]
static RING_WATERMARK: u64 = u64::MAX;

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

/// Octets in the ring from which on the rest of it is for proved connections.
#[inline(always)]
pub(crate) fn ring_watermark() -> u64 {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const RING_WATERMARK) }
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
