//! XDP: what arrives, before the stack sees it.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Looked, Vantage, give_up, trace};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Reject;

use crate::frame::{Gathered, XdpFrame};
use crate::host::Kernel;
use crate::maps::XDP_FAR;

#[xdp(frags)]
fn synfin_xdp(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let vantage = vantage(&ctx);
    if let Some(host) = Kernel::new(&ctx)
        && let Looked::OutOfReach(reject) = trace(&frame, &vantage, &host)
    {
        if !frame.is_linear() {
            // Comes back only where the program is missing; then the frame is counted as it seemed.
            // SAFETY: nothing of this frame's run is held that the other program would have to release.
            unsafe { XDP_FAR.tail_call(&ctx, 0) };
        }
        give_up(reject, &host);
    }
    XDP_PASS
}

/// Takes frames whose headers lie beyond the linear part: a program of its own, because the stack
/// and the verifier's patience are small.
#[xdp(frags)]
fn synfin_xdp_far(ctx: XdpContext) -> u32 {
    let vantage = vantage(&ctx);
    if let Some(host) = Kernel::new(&ctx) {
        let frame = XdpFrame::new(ctx.ctx);
        match Gathered::new(&frame) {
            Some(frame) => {
                if let Looked::OutOfReach(reject) = trace(&frame, &vantage, &host) {
                    give_up(reject, &host);
                }
            }
            None => give_up(Reject::TruncatedLink, &host),
        }
    }
    XDP_PASS
}

#[inline(always)]
fn vantage(ctx: &XdpContext) -> Vantage {
    Vantage {
        // SAFETY: the hook hands a valid context to its program.
        interface: unsafe { (*ctx.ctx).ingress_ifindex },
        direction: Direction::Ingress,
        scope: Scope::default(),
    }
}
