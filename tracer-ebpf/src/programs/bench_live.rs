//! For benches only: makes floods. BPF_PROG_TEST_RUN runs the program on live frames, as fast as a CPU
//! can; each becomes one of another sender and goes out of an interface.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_REDIRECT};
use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;

/// Places in a frame whose IPv4 header has no options (RFC 791 §3.1, RFC 9293 §3.1).
const IP_CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const TCP_CHECKSUM: usize = 50;
const FRAME_LEN: usize = 54;

/// An odd factor gives every number another one, far from its neighbours.
const SCATTER: u32 = 0x9e37_79b1;

/// Who sends next, on each CPU.
#[map]
static SENDERS: PerCpuArray<Senders> = PerCpuArray::with_max_entries(1, 0);

/// Whom the frames come from, and where they go.
#[repr(C)]
struct Senders {
    next: u32,
    /// The source address without the bits of `mask`.
    base: u32,
    mask: u32,
    /// The source port without the bits of `port_mask`.
    port: u32,
    port_mask: u32,
    /// Index of the interface that they leave through.
    interface: u32,
}

#[xdp]
fn send_xdp(ctx: XdpContext) -> u32 {
    let frame = ctx.data();
    if frame + FRAME_LEN > ctx.data_end() {
        return XDP_ABORTED;
    }
    let Some(senders) = SENDERS.get_ptr_mut(0) else {
        return XDP_ABORTED;
    };
    // SAFETY: the element belongs to this CPU.
    let senders = unsafe { &mut *senders };
    let number = senders.next.wrapping_mul(SCATTER);
    senders.next = senders.next.wrapping_add(1);
    let address = senders.base | number & senders.mask;
    let port = senders.port | (number >> 16) & senders.port_mask;
    let words = [address >> 16, address, port].map(|word| (word & 0xffff) as u16);
    // SAFETY: all places are inside the frame, as was just asked.
    unsafe {
        let source = [SOURCE, SOURCE + 2, SOURCE_PORT].map(|place| (frame + place) as *mut u16);
        let mut ip = Sum::of((frame + IP_CHECKSUM) as *const u16);
        let mut tcp = Sum::of((frame + TCP_CHECKSUM) as *const u16);
        ip.replace(source[0], words[0]);
        ip.replace(source[1], words[1]);
        tcp.replace(source[0], words[0]);
        tcp.replace(source[1], words[1]);
        tcp.replace(source[2], words[2]);
        ip.put((frame + IP_CHECKSUM) as *mut u16);
        tcp.put((frame + TCP_CHECKSUM) as *mut u16);
        source[0].write_unaligned(words[0].to_be());
        source[1].write_unaligned(words[1].to_be());
        source[2].write_unaligned(words[2].to_be());
    }
    // SAFETY: takes numbers only.
    if unsafe { bpf_redirect(senders.interface, 0) } == XDP_REDIRECT.into() {
        XDP_REDIRECT
    } else {
        XDP_ABORTED
    }
}

/// An Internet checksum that goes on with single words replaced (RFC 1624 §3).
struct Sum(u32);

impl Sum {
    /// # Safety
    /// The place can be read.
    #[inline(always)]
    unsafe fn of(place: *const u16) -> Self {
        // SAFETY: as promised.
        Self(u32::from(!u16::from_be(unsafe { place.read_unaligned() })))
    }

    /// # Safety
    /// The place can be read.
    #[inline(always)]
    unsafe fn replace(&mut self, place: *const u16, new: u16) {
        // SAFETY: as promised.
        let old = u16::from_be(unsafe { place.read_unaligned() });
        self.0 += u32::from(!old) + u32::from(new);
    }

    /// # Safety
    /// The place can be written.
    #[inline(always)]
    unsafe fn put(&self, place: *mut u16) {
        let folded = (self.0 & 0xffff) + (self.0 >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        // SAFETY: as promised.
        unsafe { place.write_unaligned((!((folded & 0xffff) as u16)).to_be()) };
    }
}
