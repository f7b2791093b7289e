//! XDP: what arrives, before the stack sees it.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Vantage, trace};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Link;

use crate::frame::XdpFrame;
use crate::host::Kernel;

#[xdp(frags)]
fn synfin_xdp(ctx: XdpContext) -> u32 {
    look(&ctx)
}

#[inline(always)]
pub(super) fn look(ctx: &XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    let vantage = Vantage {
        // SAFETY: the hook hands a valid context to its program.
        interface: unsafe { (*ctx.ctx).ingress_ifindex },
        direction: Direction::Ingress,
        scope: Scope::default(),
        link: Link::Ethernet,
    };
    if let Some(host) = Kernel::new(ctx) {
        trace(&frame, &vantage, &host);
    }
    XDP_PASS
}
