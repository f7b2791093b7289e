//! TC: what leaves, and what arrives where XDP is not the better choice. There is a pair of programs
//! for frames with an Ethernet header, and one for those that begin with an IP header.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, tcx_action_base::TCX_NEXT};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::{self, Glance, Vantage, examine, glance, trace_far};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::{Link, lacks_ethernet};

use super::diagnose;
use crate::frame::SkbFrame;
use crate::host::Kernel;

/// What the frames of a program begin with, as its parameter `IP` has it.
const ETHERNET: bool = false;
const BARE: bool = true;

#[classifier]
#[inline(always)]
fn synfin_ingress(ctx: TcContext) -> i32 {
    look::<ETHERNET>(&ctx, Direction::Ingress)
}

#[classifier]
#[inline(always)]
fn synfin_egress(ctx: TcContext) -> i32 {
    look::<ETHERNET>(&ctx, Direction::Egress)
}

#[classifier]
#[inline(always)]
fn synfin_ip_in(ctx: TcContext) -> i32 {
    look::<BARE>(&ctx, Direction::Ingress)
}

#[classifier]
#[inline(always)]
fn synfin_ip_out(ctx: TcContext) -> i32 {
    look::<BARE>(&ctx, Direction::Egress)
}

/// Looks at an Ethernet frame.
#[cfg(feature = "bench")]
#[inline(always)]
pub(super) fn look_at_ethernet(ctx: &TcContext, direction: Direction) -> i32 {
    look::<ETHERNET>(ctx, direction)
}

#[inline(always)]
fn look<const IP: bool>(ctx: &TcContext, direction: Direction) -> i32 {
    let skb = ctx.as_ptr().cast();
    let frame = SkbFrame::as_it_lies(skb);
    if let Some(host) = Kernel::new() {
        let closer = match glance(&frame, link(IP), scope(skb), &host) {
            // The next program decides, and the packet passes where there is none: also a classic
            // filter takes this value (TC_ACT_UNSPEC) for "go on".
            Glance::Passed => return TCX_NEXT,
            Glance::Examine(located) => {
                host.hand_on(&located);
                1
            }
            Glance::Far if IP || arrives(direction) && lacks_header(skb) != 0 => {
                look_far::<BARE>(skb, direction as u64)
            }
            Glance::Far => look_far::<ETHERNET>(skb, direction as u64),
        };
        if closer == 0 || host.may_hold() && hold_or_recall(skb, direction as u64) != 0 {
            return TCX_NEXT;
        }
        if look_closer::<IP>(skb, direction as u64) != 0 {
            diagnose::no_place(ctx);
        }
    }
    TCX_NEXT
}

/// Holds the segment back whose place was handed on, where that is to be done; else takes up what was
/// held of its opening. Not 0 where it was held.
#[inline(never)]
fn hold_or_recall(skb: *mut __sk_buff, direction: u64) -> u64 {
    let Some(host) = Kernel::new() else {
        return 0;
    };
    let located = host.handed_on();
    let frame = SkbFrame::with_headers(skb, located.end());
    // What the frame begins with is no part of the place.
    let vantage = || vantage::<ETHERNET>(skb, direction);
    u64::from(flow::hold_or_recall(&frame, &located, vantage, &host))
}

#[inline(always)]
const fn arrives(direction: Direction) -> bool {
    matches!(direction, Direction::Ingress)
}

/// Not 0 where an Ethernet frame begins with its IP header: generic XDP copies most frames before TC
/// sees them, and forgets the length of their Ethernet header (`skb_pp_cow_data`, seen in Linux 6.18).
#[inline(never)]
fn lacks_header(skb: *mut __sk_buff) -> u64 {
    // SAFETY: the hook hands a valid context to its program.
    let protocol = unsafe { (*skb).protocol };
    // As it lies in memory, in a number of four octets.
    let ether_type = u16::from_be((protocol & 0xffff) as u16);
    u64::from(lacks_ethernet(&SkbFrame::as_it_lies(skb), ether_type))
}

/// Examines the segment whose place was handed on; not 0 where its connection was the first one that
/// found no place.
#[inline(never)]
fn look_closer<const IP: bool>(skb: *mut __sk_buff, direction: u64) -> u64 {
    let Some(host) = Kernel::new() else {
        return 0;
    };
    let (located, refused) = (host.handed_on(), host.refused());
    let frame = SkbFrame::with_headers(skb, located.end());
    examine(&frame, &located, || vantage::<IP>(skb, direction), &host);
    u64::from(refused == 0 && host.refused() != 0)
}

/// Looks at a frame that is not of the plainest form; not 0 where a segment's place was handed on.
#[inline(never)]
fn look_far<const IP: bool>(skb: *mut __sk_buff, direction: u64) -> u64 {
    if let Some(host) = Kernel::new()
        && let Some(located) = trace_far(&SkbFrame::new(skb), &vantage::<IP>(skb, direction), &host)
    {
        host.hand_on(&located);
        return 1;
    }
    0
}

/// What a frame begins with.
#[inline(always)]
const fn link(ip: bool) -> Link {
    if ip { Link::Ip } else { Link::Ethernet }
}

/// The tag that the device took off the frame.
#[inline(always)]
fn scope(skb: *mut __sk_buff) -> Scope {
    // SAFETY: the hook hands a valid context to its program.
    let (tagged, control) = unsafe { ((*skb).vlan_present, (*skb).vlan_tci) };
    if tagged == 0 {
        return Scope::default();
    }
    Scope::default().tagged((control & 0xffff) as u16)
}

#[inline(always)]
fn vantage<const IP: bool>(skb: *mut __sk_buff, direction: u64) -> Vantage {
    Vantage {
        // SAFETY: the hook hands a valid context to its program.
        interface: unsafe { (*skb).ifindex },
        direction: if direction == Direction::Egress as u64 {
            Direction::Egress
        } else {
            Direction::Ingress
        },
        scope: scope(skb),
        link: link(IP),
    }
}
