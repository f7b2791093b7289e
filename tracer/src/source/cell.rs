//! The cell that tells the programs whether the reader sleeps, in memory that is shared with the kernel.

use std::io;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The first element of an array of words, mapped: writing it takes no system call.
#[derive(Debug)]
pub struct Cell(NonNull<AtomicU32>);

impl Cell {
    const SIZE: std::num::NonZeroUsize =
        std::num::NonZeroUsize::new(size_of::<AtomicU32>()).unwrap();

    /// Maps an array that was made for that.
    ///
    /// # Errors
    /// Where the kernel does not map it.
    pub fn map(array: &MapData) -> io::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let array = array.fd().as_fd();
        // SAFETY: a new mapping at an address that the kernel chooses, which touches no other memory.
        let page = unsafe { mmap(None, Self::SIZE, access, MapFlags::MAP_SHARED, array, 0) };
        Ok(Self(page?.cast()))
    }

    /// Asks the programs to wake the reader up by the next event, or not to.
    pub fn ask_to_be_woken(&mut self, ask: bool) {
        // SAFETY: the mapping is as large as a word, begins at a page, and lives as long as this; the
        // programs write the same word as a whole.
        let cell = unsafe { self.0.as_ref() };
        cell.store(u32::from(ask), Ordering::Relaxed);
        // Whoever looks into the ring after this finds what a program wrote that saw the old word.
        fence(Ordering::SeqCst);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nobody refers to it any more.
        let unmapped = unsafe { munmap(self.0.cast(), Self::SIZE.get()) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
