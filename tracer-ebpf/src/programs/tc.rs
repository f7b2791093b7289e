//! TC: what leaves, and what arrives where XDP is not the better choice.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, tcx_action_base::TCX_NEXT};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Looked, Vantage, give_up, trace};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Reject;

use crate::frame::{Gathered, SkbFrame};
use crate::host::Kernel;
use crate::maps::TC_FAR;

#[classifier]
fn synfin_ingress(ctx: TcContext) -> i32 {
    near(&ctx, Direction::Ingress)
}

#[classifier]
fn synfin_egress(ctx: TcContext) -> i32 {
    near(&ctx, Direction::Egress)
}

/// See `synfin_xdp_far`.
#[classifier]
fn synfin_ingress_far(ctx: TcContext) -> i32 {
    far(&ctx, Direction::Ingress)
}

/// See `synfin_xdp_far`.
#[classifier]
fn synfin_egress_far(ctx: TcContext) -> i32 {
    far(&ctx, Direction::Egress)
}

#[inline(always)]
fn near(ctx: &TcContext, direction: Direction) -> i32 {
    let frame = SkbFrame::new(ctx.as_ptr().cast());
    let vantage = vantage(ctx, direction);
    if let Some(host) = Kernel::new(ctx)
        && let Looked::OutOfReach(reject) = trace(&frame, &vantage, &host)
    {
        if !frame.is_linear() {
            // Comes back only where the program is missing; then the frame is counted as it seemed.
            // SAFETY: nothing of this frame's run is held that the other program would have to release.
            unsafe { TC_FAR.tail_call(ctx, direction as u32) };
        }
        give_up(reject, &host);
    }
    // The next program decides, and the packet passes where there is none: also a classic filter
    // takes this value (TC_ACT_UNSPEC) for "go on".
    TCX_NEXT
}

#[inline(always)]
fn far(ctx: &TcContext, direction: Direction) -> i32 {
    let vantage = vantage(ctx, direction);
    if let Some(host) = Kernel::new(ctx) {
        let frame = SkbFrame::new(ctx.as_ptr().cast());
        match Gathered::new(&frame) {
            Some(frame) => {
                if let Looked::OutOfReach(reject) = trace(&frame, &vantage, &host) {
                    give_up(reject, &host);
                }
            }
            None => give_up(Reject::TruncatedLink, &host),
        }
    }
    TCX_NEXT
}

#[inline(always)]
fn vantage(ctx: &TcContext, direction: Direction) -> Vantage {
    let skb: *mut __sk_buff = ctx.as_ptr().cast();
    // SAFETY: the hook hands a valid context to its program.
    let (interface, control) = unsafe { ((*skb).ifindex, (*skb).vlan_tci) };
    // SAFETY: as above.
    let tagged = unsafe { (*skb).vlan_present } != 0;
    let scope = if tagged {
        Scope::default().tagged((control & 0xffff) as u16)
    } else {
        Scope::default()
    };
    Vantage {
        interface,
        direction,
        scope,
    }
}
