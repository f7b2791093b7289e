//! Counts what is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static OCTETS: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted. The counts are exact as long as one thread allocates.
pub(super) struct Counted;

/// Octets that are allocated, without what the allocator needs itself.
pub(super) fn octets() -> u64 {
    OCTETS.load(Relaxed)
}

/// Allocations so far, those of another size among them.
pub(super) fn calls() -> u64 {
    CALLS.load(Relaxed)
}

fn count(more: usize, less: usize, calls: u64) {
    // A load and a store cost less than an addition that others see at once.
    let octets = OCTETS.load(Relaxed);
    let octets = octets.wrapping_add(more as u64).wrapping_sub(less as u64);
    OCTETS.store(octets, Relaxed);
    CALLS.store(CALLS.load(Relaxed) + calls, Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0, 1);
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, layout.size(), 0);
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size(), 1);
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.realloc(place, layout, size) }
    }
}
