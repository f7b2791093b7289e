//! TC: what leaves, and what arrives where XDP is not the better choice.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, tcx_action_base::TCX_NEXT};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{Vantage, trace};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Link;

use crate::frame::SkbFrame;
use crate::host::Kernel;

#[classifier]
fn synfin_ingress(ctx: TcContext) -> i32 {
    look(&ctx, Direction::Ingress)
}

#[classifier]
fn synfin_egress(ctx: TcContext) -> i32 {
    look(&ctx, Direction::Egress)
}

#[inline(always)]
pub(super) fn look(ctx: &TcContext, direction: Direction) -> i32 {
    let frame = SkbFrame::new(ctx.as_ptr().cast());
    if let Some(host) = Kernel::new(ctx) {
        trace(&frame, &vantage(ctx, direction), &host);
    }
    // The next program decides, and the packet passes where there is none: also a classic filter
    // takes this value (TC_ACT_UNSPEC) for "go on".
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
        link: Link::Ethernet,
    }
}
