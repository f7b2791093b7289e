//! For benches only: programs that do nothing, to be measured against, and programs that give every
//! run another connection, with and without the tracker behind that.

use aya_ebpf::bindings::{tcx_action_base::TCX_NEXT, xdp_action::XDP_PASS};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{TcContext, XdpContext};

use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::Host as _;

use super::{tc, xdp as ingress};
use crate::host::Kernel;

/// No word of an address is further behind the frame's beginning.
const FARTHEST: u32 = 64;

/// Which connection is next, on each CPU.
#[map]
static TURNS: PerCpuArray<Turn> = PerCpuArray::with_max_entries(1, 0);

/// How frames become those of many connections: a word of the client's address is overwritten.
#[repr(C)]
struct Turn {
    next: u32,
    /// One less than the number of connections, which is a power of two.
    mask: u32,
    /// The place of the word.
    offset: u32,
    /// What the word is beside the number.
    base: u32,
}

#[xdp(frags)]
#[inline(always)]
fn idle_xdp(_: XdpContext) -> u32 {
    XDP_PASS
}

#[classifier]
#[inline(always)]
fn idle_tc(_: TcContext) -> i32 {
    TCX_NEXT
}

/// Asks for the time, as every report does.
#[xdp(frags)]
#[inline(always)]
fn clock_xdp(_: XdpContext) -> u32 {
    // SAFETY: takes nothing and only reads a clock.
    core::hint::black_box(unsafe { bpf_ktime_get_ns() });
    XDP_PASS
}

/// Writes an event of zeros, as every report does before it fills it in.
#[xdp(frags)]
#[inline(always)]
fn ring_xdp(_: XdpContext) -> u32 {
    if let Some(host) = Kernel::new()
        && let Some(event) = host.reserve()
    {
        host.submit(event);
    }
    XDP_PASS
}

#[xdp(frags)]
#[inline(always)]
fn turns_xdp(ctx: XdpContext) -> u32 {
    turn(ctx.data(), ctx.data_end());
    XDP_PASS
}

#[classifier]
#[inline(always)]
fn turns_tc(ctx: TcContext) -> i32 {
    turn(ctx.data(), ctx.data_end());
    TCX_NEXT
}

#[xdp(frags)]
#[inline(always)]
fn turned_xdp(ctx: XdpContext) -> u32 {
    turn(ctx.data(), ctx.data_end());
    ingress::look(&ctx)
}

#[classifier]
#[inline(always)]
fn turned_tc(ctx: TcContext) -> i32 {
    turn(ctx.data(), ctx.data_end());
    tc::look_at_ethernet(&ctx, Direction::Ingress)
}

/// Makes the frame one of the next connection.
#[inline(always)]
fn turn(data: usize, data_end: usize) {
    let Some(turn) = TURNS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the element belongs to this CPU.
    let (number, offset, base) = unsafe {
        let number = (*turn).next & (*turn).mask;
        (*turn).next = number.wrapping_add(1);
        (number, (*turn).offset, (*turn).base)
    };
    if offset > FARTHEST || data + offset as usize + size_of::<u32>() > data_end {
        return;
    }
    let word = (data + offset as usize) as *mut u32;
    // SAFETY: inside the frame, as was just asked; a word anywhere in it.
    unsafe { word.write_unaligned((base | number).to_be()) };
}
