//! Any octets as frames.
//!
//! An input is one octet for what the frames begin with, one of settings, and then frames: an octet
//! for the time since the one before, one for how much longer than captured it was, two for its
//! length, and its octets.

use synfin::source::Tracker;
use synfin_ebpf::event::{ABI_VERSION, Direction, Event};
use synfin_ebpf::flow::{Filter, Key, Vantage};
use synfin_ebpf::octets::{Captured, Octets as _};
use synfin_ebpf::segment::{MAX_OPTIONS, Scope};
use synfin_ebpf::wire::{self, Link, Tunnels};

use crate::input::Input;
use crate::records::{Records, assembler};

/// All that a frame may begin with.
const LINKS: [Link; 8] = [
    Link::Ethernet,
    Link::Cooked,
    Link::Cooked2,
    Link::Ip,
    Link::Null,
    Link::Loop,
    Link::Ppp,
    Link::Pppoe,
];

/// Settings: the frames leave, every segment is counted, records are summed up. The upper half is a
/// VLAN.
const LEAVING: u8 = 1;
const COUNTED: u8 = 1 << 1;
const SUMMED: u8 = 1 << 2;

/// Connections that are followed at once.
const MAX_CONNECTIONS: usize = 5;

/// Follows the connections in any frames, and prints their records.
pub fn frames(input: &[u8]) {
    let mut input = Input(input);
    let link = LINKS[usize::from(input.u8()) % LINKS.len()];
    let settings = input.u8();
    let tracker = Tracker::new(Filter::default(), Tunnels::ON);
    let tracker = if settings & COUNTED == 0 {
        tracker
    } else {
        tracker.with_accounts()
    };
    let mut assembler = assembler(MAX_CONNECTIONS);
    let mut records = Records::new(settings & SUMMED != 0, |key: &Key| tracker.forget(key));
    let mut time_ns = 0_u64;
    while !input.is_empty() {
        time_ns = time_ns.saturating_add(input.pause_ns());
        let beyond = usize::from(input.u8());
        let len = usize::from(input.u16());
        let octets = input.octets(len);
        let frame = Captured {
            octets,
            wire_len: octets.len() + beyond,
        };
        let vantage = Vantage {
            interface: 1,
            direction: if settings & LEAVING == 0 {
                Direction::Ingress
            } else {
                Direction::Egress
            },
            scope: Scope(u64::from(settings >> 4)),
            link,
        };
        look(&frame, &vantage);
        tracker.take(&frame, &vantage, time_ns);
        if let Some(settled) = tracker.settled() {
            assembler.settle(&settled);
        }
        if let Some(event) = tracker.event().as_deref().copied() {
            check(&event, &frame);
            assembler.observe(&event, &mut records);
            assert!(assembler.open() <= MAX_CONNECTIONS, "too many connections");
        }
        assembler.advance(time_ns, &mut records);
    }
    records.finish(assembler);
    if settings & COUNTED != 0 {
        assert!(
            tracker.is_empty(),
            "{} flows are left after the end",
            tracker.len()
        );
    }
}

/// A frame of an input.
#[must_use]
pub fn octets(pause: u8, beyond: u8, frame: &[u8]) -> Vec<u8> {
    let len = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    let head = [pause, beyond].into_iter().chain(len.to_le_bytes());
    head.chain(frame.iter().copied()).collect()
}

/// What the parser says of a frame is about that frame.
pub(crate) fn look(frame: &Captured<'_>, vantage: &Vantage) {
    let Ok(Some(located)) =
        wire::locate(frame, vantage.link, vantage.scope, &Tunnels::ON, |words| {
            words
        })
    else {
        return;
    };
    assert!(
        usize::from(located.options_len) <= MAX_OPTIONS,
        "{located:?}"
    );
    assert!(
        usize::try_from(located.len).is_ok_and(|len| len <= frame.wire_len())
            // The outer packet may be a fragment, and the inner one end in another.
            || located.scope.tunnel().is_some(),
        "{located:?}"
    );
    let Ok(segment) = located.segment(frame) else {
        return;
    };
    assert_eq!(segment.flags, located.flags, "read twice, with two results");
    // Whether it goes well or not: neither may reach beyond the frame.
    let _ = (located.endpoints(frame), located.hash(frame));
}

fn check(event: &Event, frame: &Captured<'_>) {
    assert_eq!(event.abi, ABI_VERSION);
    assert!(
        usize::try_from(event.len).is_ok_and(|len| len <= frame.wire_len())
            || Scope(event.scope).tunnel().is_some(),
        "{event:?}"
    );
    for side in [&event.sender, &event.receiver] {
        assert!(usize::from(side.options_len) <= MAX_OPTIONS, "{event:?}");
        assert_eq!((side.padding, side.padding_2), (0, 0), "{event:?}");
    }
}
