//! Bounds-checked reads from one frame.
//!
//! In: the octets of a frame, wherever they lie (a slice, an XDP or TC context).
//! Out: fixed-size arrays, or `None` past the end. No interpretation happens here.

/// Read access to the octets of one frame.
pub trait Octets {
    /// The `N` octets at `offset`, or `None` where the frame ends before them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Length of the frame on the wire, in octets. A capture may hold fewer.
    fn wire_len(&self) -> usize;
}

impl Octets for [u8] {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let end = offset.checked_add(N)?;
        self.get(offset..end)?.try_into().ok()
    }

    #[inline(always)]
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
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.octets.read(offset)
    }

    fn wire_len(&self) -> usize {
        self.wire_len
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
    fn a_cut_capture_keeps_its_wire_length() {
        let frame = Captured {
            octets: &[1, 2],
            wire_len: 60,
        };
        assert_eq!(frame.wire_len(), 60);
        assert_eq!(frame.read::<1>(2), None);
    }
}
