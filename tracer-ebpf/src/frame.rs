//! Frames where the hooks find them: in the linear part of a packet buffer.

use core::arch::asm;
use core::cell::Cell;
use core::ffi::c_void;

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::{
    bpf_skb_load_bytes, bpf_skb_pull_data, bpf_xdp_get_buff_len, bpf_xdp_load_bytes,
};
use synfin_ebpf::octets::{Octets, copy_words};

/// The frame of an XDP program.
pub(crate) struct XdpFrame {
    ctx: *mut xdp_md,
    linear: Linear,
}

/// The frame of a TC program.
pub(crate) struct SkbFrame {
    ctx: *mut __sk_buff,
    linear: Linear,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut xdp_md) -> Self {
        // SAFETY: the hook hands a valid context to its program.
        let md = unsafe { &*ctx };
        Self {
            ctx,
            linear: Linear::new(md.data, md.data_end),
        }
    }
}

impl Octets for XdpFrame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.linear.read(offset)
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: usize, len: usize, into: &Cell<[u8; N]>) -> bool {
        let to = into.as_ptr().cast::<c_void>();
        let Some(len) = bounded::<N>(len) else {
            return false;
        };
        // SAFETY: `len` is no more than `N`, and the helper checks the range in the packet.
        unsafe { bpf_xdp_load_bytes(self.ctx, low(offset), to, len) == 0 }
    }

    #[inline(always)]
    fn copy_words<const N: usize>(
        &self,
        offset: usize,
        len: usize,
        put: impl FnMut(usize, u64),
    ) -> bool {
        // What the verifier learns of these pointers ends with them.
        copy_words::<N, _>(&Self::new(self.ctx), offset, len, put)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        // SAFETY: the context is the hook's.
        usize::try_from(unsafe { bpf_xdp_get_buff_len(self.ctx) }).unwrap_or(usize::MAX)
    }

    #[inline(always)]
    fn reaches(&self, len: usize) -> bool {
        // Most frames are linear: then the helper call is saved.
        len <= self.linear.len() || len <= self.wire_len()
    }

    #[inline(always)]
    fn is_whole(&self) -> bool {
        self.linear.len() >= self.wire_len()
    }
}

impl SkbFrame {
    /// The shortest headers of a TCP segment: Ethernet, IPv4 and TCP without options.
    const SHORTEST: usize = 14 + 20 + 20;
    /// Octets that hold the headers of all but the oddest frames.
    const HEADERS: usize = 256;

    /// With the headers in its linear part, as far as they are known to be there.
    #[inline(always)]
    pub(crate) fn new(ctx: *mut __sk_buff) -> Self {
        Self::with_headers(ctx, Self::SHORTEST)
    }

    /// With so many octets in its linear part, where the frame has as many.
    #[inline(always)]
    pub(crate) fn with_headers(ctx: *mut __sk_buff, len: usize) -> Self {
        let frame = Self::as_it_lies(ctx);
        let linear = frame.linear.len();
        // A local sender keeps its headers, and often nothing else, in the linear part: gathering
        // more would copy the head of every data segment.
        if linear >= len || linear >= frame.wire_len() {
            return frame;
        }
        // Not even the headers are there, as some drivers leave it. The stack would gather them itself
        // a moment later; no octet of the packet changes.
        // SAFETY: the context is the hook's; every pointer into the packet is taken anew below.
        let _ = unsafe { bpf_skb_pull_data(ctx, low(frame.wire_len().min(Self::HEADERS))) };
        Self::as_it_lies(ctx)
    }

    /// Without gathering anything.
    #[inline(always)]
    pub(crate) fn as_it_lies(ctx: *mut __sk_buff) -> Self {
        // SAFETY: the hook hands a valid context to its program.
        let skb = unsafe { &*ctx };
        Self {
            ctx,
            linear: Linear::new(skb.data, skb.data_end),
        }
    }
}

impl Octets for SkbFrame {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.linear.read(offset)
    }

    #[inline(always)]
    fn copy<const N: usize>(&self, offset: usize, len: usize, into: &Cell<[u8; N]>) -> bool {
        let to = into.as_ptr().cast::<c_void>();
        let Some(len) = bounded::<N>(len) else {
            return false;
        };
        // SAFETY: `len` is no more than `N`, and the helper checks the range in the packet.
        unsafe { bpf_skb_load_bytes(self.ctx.cast(), low(offset), to, len) == 0 }
    }

    #[inline(always)]
    fn copy_words<const N: usize>(
        &self,
        offset: usize,
        len: usize,
        put: impl FnMut(usize, u64),
    ) -> bool {
        // What the verifier learns of these pointers ends with them.
        copy_words::<N, _>(&Self::as_it_lies(self.ctx), offset, len, put)
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        // SAFETY: the context is the hook's.
        unsafe { (*self.ctx).len as usize }
    }

    #[inline(always)]
    fn is_whole(&self) -> bool {
        self.linear.len() >= self.wire_len()
    }
}

/// The directly readable part of a packet buffer.
#[derive(Clone, Copy)]
struct Linear {
    start: usize,
    end: usize,
}

impl Linear {
    #[inline(always)]
    fn new(start: u32, end: u32) -> Self {
        Self {
            start: unknown(start as usize),
            end: unknown(end as usize),
        }
    }

    #[inline(always)]
    const fn len(self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn read<const N: usize>(self, offset: usize) -> Option<[u8; N]> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: `at..at + N` was compared with the buffer's end just above; the verifier proves it.
        Some(unsafe { load(at) })
    }
}

/// The same address, of which the compiler no longer knows that it is below 4 GiB.
///
/// In a loop it would make `end - 8 < at` of `at + 8 > end`, and the verifier refuses to calculate with
/// the end of a packet.
#[inline(always)]
fn unknown(address: usize) -> usize {
    let same: usize;
    // SAFETY: copies a register.
    unsafe {
        asm!(
            "{0} = {1}",
            out(reg) same,
            in(reg) address,
            options(pure, nomem, nostack)
        );
    }
    same
}

/// The low half, which is all that the helpers take; frames are shorter.
#[inline(always)]
const fn low(number: usize) -> u32 {
    (number as u64 & 0xffff_ffff) as u32
}

/// The length of a copy where it is 1 to `N`, of which the compiler knows no more than the verifier
/// does: otherwise it leaves out the comparison that the verifier needs.
///
/// What is compared is the length less one, and the length is calculated from that: one comparison
/// bounds it on both sides, and old verifiers learn from one of a number nothing about another one
/// that it was calculated from.
#[inline(always)]
fn bounded<const N: usize>(len: usize) -> Option<u32> {
    let less_one = core::hint::black_box(len.wrapping_sub(1)) & 0xff;
    (less_one < N).then_some(low(less_one + 1))
}

/// One load instruction of the BPF machine.
macro_rules! wide_load {
    ($width:literal, $word:ident, $at:expr) => {
        asm!(
            concat!("{0} = *(", $width, " *)({1} + 0)"),
            out(reg) $word,
            in(reg) $at,
            options(pure, readonly, nostack)
        )
    };
}

/// Loads `N` octets with as few instructions as that takes.
///
/// The compiler knows packets to be misaligned and would load octet by octet. Told that it need not
/// (`+allows-misaligned-mem-access`), it misaligns the stack as well, which the verifier refuses.
///
/// # Safety
/// The octets must be inside an object that the verifier lets the program read.
#[inline(always)]
unsafe fn load<const N: usize>(at: usize) -> [u8; N] {
    const { assert!(matches!(N, 1 | 2 | 4 | 8 | 16)) };
    let mut octets = [0; N];
    let mut offset = 0;
    for part in octets.chunks_mut(8) {
        let (word, part_len): (u64, usize);
        part_len = part.len();
        // SAFETY: the caller's; every arm loads `part.len()` octets.
        unsafe {
            match part_len {
                1 => wide_load!("u8", word, at + offset),
                2 => wide_load!("u16", word, at + offset),
                4 => wide_load!("u32", word, at + offset),
                _ => wide_load!("u64", word, at + offset),
            }
        }
        // A narrow load fills the low end of the register.
        let octets = word.to_le_bytes();
        for (index, octet) in part.iter_mut().enumerate() {
            *octet = if cfg!(target_endian = "little") {
                octets[index]
            } else {
                octets[part_len - 1 - index]
            };
        }
        offset += 8;
    }
    octets
}
