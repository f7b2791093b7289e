//! Bounds-checked reads from one frame.
//!
//! In: the octets of a frame, wherever they lie (a slice, an XDP or TC context).
//! Out: fixed-size arrays, or `None` past the end. No interpretation happens here.
//!
//! The parser reads whole numbers and takes them apart by shifts: one bounds check and one load each,
//! where an array taken apart octet by octet costs the BPF programs a trip through their stack.

use core::cell::Cell;

/// Read access to the octets of one frame.
pub trait Octets {
    /// Whether frames of this kind can lack their ends, as those of captures do.
    const MAY_BE_CUT: bool = false;

    /// The `N` octets at `offset`, or `None` where the frame ends before them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// The big-endian number of two octets at `offset`.
    #[inline(always)]
    fn be16(&self, offset: usize) -> Option<u16> {
        self.read(offset).map(u16::from_be_bytes)
    }

    /// The big-endian number of four octets at `offset`.
    #[inline(always)]
    fn be32(&self, offset: usize) -> Option<u32> {
        self.read(offset).map(u32::from_be_bytes)
    }

    /// The big-endian number of eight octets at `offset`.
    #[inline(always)]
    fn be64(&self, offset: usize) -> Option<u64> {
        self.read(offset).map(u64::from_be_bytes)
    }

    /// Copies `len` octets at `offset` to the start of `into`; tells whether the frame has them.
    fn copy<const N: usize>(&self, offset: usize, len: usize, into: &Cell<[u8; N]>) -> bool;

    /// Puts away `len` octets at `offset`, a multiple of four, in `N` words as they lie in memory, with
    /// zeros behind them; tells whether the frame has them.
    #[inline(always)]
    fn copy_words<const N: usize>(
        &self,
        offset: usize,
        len: usize,
        put: impl FnMut(usize, u64),
    ) -> bool {
        copy_words::<N, _>(self, offset, len, put)
    }

    /// Length of the frame on the wire, in octets. A capture may hold fewer.
    fn wire_len(&self) -> usize;

    /// Whether everything that was on the wire can be read.
    #[inline(always)]
    fn is_whole(&self) -> bool {
        true
    }

    /// Whether the frame was at least `len` octets long on the wire.
    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        len <= self.wire_len()
    }
}

/// What [`Octets::copy_words`] does of itself.
#[inline(always)]
pub fn copy_words<const N: usize, F: Octets + ?Sized>(
    frame: &F,
    offset: usize,
    len: usize,
    mut put: impl FnMut(usize, u64),
) -> bool {
    let mut whole = true;
    for index in 0..N {
        let (at, left) = (offset + 8 * index, len.saturating_sub(8 * index));
        let word = match left {
            0 => Some(0),
            1..8 => frame
                .read(at)
                .map(|[a, b, c, d]| u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0])),
            _ => frame.read(at).map(u64::from_ne_bytes),
        };
        whole &= word.is_some();
        put(index, word.unwrap_or(0));
    }
    whole
}

impl Octets for [u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let end = offset.checked_add(N)?;
        self.get(offset..end)?.try_into().ok()
    }

    fn copy<const N: usize>(&self, offset: usize, len: usize, into: &Cell<[u8; N]>) -> bool {
        let from = offset
            .checked_add(len)
            .and_then(|end| self.get(offset..end));
        let mut octets = into.get();
        let (Some(from), Some(to)) = (from, octets.get_mut(..len)) else {
            return false;
        };
        to.copy_from_slice(from);
        into.set(octets);
        true
    }

    fn wire_len(&self) -> usize {
        self.len()
    }
}

/// A frame of a capture, possibly cut short by the snap length.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The octets that were captured.
    pub octets: &'a [u8],
    /// Length of the frame on the wire, in octets.
    pub wire_len: usize,
}

impl Octets for Captured<'_> {
    const MAY_BE_CUT: bool = true;

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.octets.read(offset)
    }

    fn copy<const N: usize>(&self, offset: usize, len: usize, into: &Cell<[u8; N]>) -> bool {
        self.octets.copy(offset, len, into)
    }

    fn wire_len(&self) -> usize {
        self.wire_len
    }

    fn is_whole(&self) -> bool {
        self.octets.len() >= self.wire_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_crosses_the_end_is_none() {
        let frame: &[u8] = &[1, 2, 3];
        assert_eq!(frame.read::<2>(1), Some([2, 3]));
        assert_eq!(frame.read::<2>(2), None);
        assert_eq!(frame.read::<1>(usize::MAX), None);
    }

    #[test]
    fn a_copy_leaves_what_it_does_not_reach() {
        let frame: &[u8] = &[1, 2, 3];
        let into = Cell::new([9; 4]);
        assert!(frame.copy(1, 2, &into));
        assert!(!frame.copy(1, 3, &into));
        assert!(!frame.copy(0, 5, &into));
        assert_eq!(into.get(), [2, 3, 9, 9]);
    }

    #[test]
    fn a_cut_capture_keeps_its_wire_length() {
        let frame = Captured {
            octets: &[1, 2],
            wire_len: 60,
        };
        assert_eq!(frame.wire_len(), 60);
        assert_eq!(frame.read::<1>(2), None);
    }
}
