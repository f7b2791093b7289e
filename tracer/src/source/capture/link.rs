//! What the packets of an interface begin with (tcpdump.org/linktypes.html).

use synfin_ebpf::wire::Link;

/// What the parser makes of a link type; `None` where it knows nothing of it.
pub(super) const fn link(number: u32) -> Option<Link> {
    match number {
        1 => Some(Link::Ethernet),
        0 => Some(Link::Null),
        9 | 50 => Some(Link::Ppp),
        12 | 14 | 101 | 228 | 229 => Some(Link::Ip),
        51 => Some(Link::Pppoe),
        108 => Some(Link::Loop),
        113 => Some(Link::Cooked),
        276 => Some(Link::Cooked2),
        _ => None,
    }
}
