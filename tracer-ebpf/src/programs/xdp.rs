//! XDP: what arrives, before the stack sees it.

use aya_ebpf::bindings::{xdp_action::XDP_PASS, xdp_md};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{self, Glance, Vantage, examine, glance, trace_far};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Link;

use super::diagnose;
use crate::frame::XdpFrame;
use crate::host::Kernel;

#[xdp(frags)]
#[inline(always)]
fn synfin_xdp(ctx: XdpContext) -> u32 {
    look(&ctx)
}

#[inline(always)]
pub(super) fn look(ctx: &XdpContext) -> u32 {
    let frame = XdpFrame::new(ctx.ctx);
    if let Some(host) = Kernel::new() {
        let closer = match glance(&frame, Link::Ethernet, Scope::default(), &host) {
            Glance::Passed => return XDP_PASS,
            Glance::Examine(located) => {
                host.hand_on(&located);
                1
            }
            Glance::Far => look_far(ctx.ctx),
        };
        if closer == 0 || host.may_hold() && hold_or_recall(ctx.ctx) != 0 {
            return XDP_PASS;
        }
        if look_closer(ctx.ctx) != 0 {
            diagnose::no_place(ctx);
        }
    }
    XDP_PASS
}

/// Holds the segment back whose place was handed on, where that is to be done; else takes up what was
/// held of its opening. Not 0 where it was held.
#[inline(never)]
fn hold_or_recall(ctx: *mut xdp_md) -> u64 {
    let Some(host) = Kernel::new() else {
        return 0;
    };
    let (frame, located) = (XdpFrame::new(ctx), host.handed_on());
    u64::from(flow::hold_or_recall(
        &frame,
        &located,
        || vantage(ctx),
        &host,
    ))
}

/// Examines the segment whose place was handed on; not 0 where its connection was the first one that
/// found no place.
#[inline(never)]
fn look_closer(ctx: *mut xdp_md) -> u64 {
    let Some(host) = Kernel::new() else {
        return 0;
    };
    let refused = host.refused();
    let frame = XdpFrame::new(ctx);
    examine(&frame, &host.handed_on(), || vantage(ctx), &host);
    u64::from(refused == 0 && host.refused() != 0)
}

/// Looks at a frame that is not of the plainest form; not 0 where a segment's place was handed on.
#[inline(never)]
fn look_far(ctx: *mut xdp_md) -> u64 {
    if let Some(host) = Kernel::new()
        && let Some(located) = trace_far(&XdpFrame::new(ctx), &vantage(ctx), &host)
    {
        host.hand_on(&located);
        return 1;
    }
    0
}

#[inline(always)]
fn vantage(ctx: *mut xdp_md) -> Vantage {
    Vantage {
        // SAFETY: the hook hands a valid context to its program.
        interface: unsafe { (*ctx).ingress_ifindex },
        direction: Direction::Ingress,
        scope: Scope::default(),
        link: Link::Ethernet,
    }
}
