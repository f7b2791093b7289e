//! Which segments are reported, and why: every state of a connection by every kind of segment.

use synfin::source::Tracker;
use synfin_ebpf::event::{Direction, Why};
use synfin_ebpf::flow::{Filter, Vantage};
use synfin_ebpf::octets::Captured;
use synfin_ebpf::segment::{Flags, Scope};
use synfin_ebpf::wire::Reject;
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};

use super::{events, talk};

/// A conversation that has come to a state.
type Reach = fn() -> Conversation;
/// One more segment.
type Next = fn(Conversation) -> Conversation;

const STATES: [(&str, Reach); 9] = [
    ("nothing", || talk()),
    ("SYN-SENT", || talk().syn()),
    ("SYN-RECEIVED", || talk().syn().syn_ack()),
    ("ESTABLISHED", || talk().open()),
    ("with data", || {
        talk().open().data(Client, 10).data(Server, 10)
    }),
    ("FIN-WAIT-1", || talk().open().fin(Client)),
    ("FIN-WAIT-2", || talk().open().fin(Client).ack(Server)),
    ("LAST-ACK", || {
        talk().open().fin(Client).ack(Server).fin(Server)
    }),
    ("TIME-WAIT", || talk().open().close(Client)),
];

const SEGMENTS: [(&str, Next); 10] = [
    ("SYN", |talk| talk.syn()),
    ("SYN-ACK", |talk| talk.syn_ack()),
    ("client ACK", |talk| talk.ack(Client)),
    ("server ACK", |talk| talk.ack(Server)),
    ("client data", |talk| {
        talk.say(Client, |frame| frame.payload(5))
    }),
    ("server data", |talk| {
        talk.say(Server, |frame| frame.payload(5))
    }),
    ("client FIN", |talk| talk.fin(Client)),
    ("server FIN", |talk| talk.fin(Server)),
    ("RST", |talk| talk.rst(Server)),
    ("NULL", |talk| {
        talk.say(Client, |frame| frame.flags(Flags(0)))
    }),
];

/// What each segment is reported for in each state: `.` not reported, `+` for its flags alone,
/// `s` acknowledges the SYN, `f` the FIN, `d` first data, `a` first plain ACK, `!` impossible.
#[rustfmt::skip]
const TABLE: [(&str, [&str; 10]); 9] = [
    //                SYN  S-A  cA    sA   cD    sD   cF    sF   RST  NULL
    ("nothing",      ["+", "+", ".",  ".", ".",  ".", "+",  "+", "+", "!"]),
    ("SYN-SENT",     ["+", "s", "a",  "sa", "d", "sd", "+", "s", "+", "!"]),
    ("SYN-RECEIVED", ["+", "+", "sa", "a", "sd", "d", "s",  "+", "+", "!"]),
    ("ESTABLISHED",  ["+", "+", ".",  "a", "d",  "d", "+",  "+", "+", "!"]),
    ("with data",    ["+", "+", ".",  ".", ".",  ".", "+",  "+", "+", "!"]),
    ("FIN-WAIT-1",   ["+", "f", ".",  "fa", "d", "fd", "+", "f", "+", "!"]),
    ("FIN-WAIT-2",   ["+", "+", ".",  ".", "d",  "d", "+",  "+", "+", "!"]),
    ("LAST-ACK",     ["+", "+", "f",  ".", "fd", "d", "f",  "+", "+", "!"]),
    ("TIME-WAIT",    ["+", "+", ".",  ".", "d",  "d", "+",  "+", "+", "!"]),
];

fn reported(events: &[synfin_ebpf::event::Event]) -> String {
    let [event] = events else {
        assert!(events.is_empty(), "one segment, {} events", events.len());
        return ".".to_owned();
    };
    let reasons = [
        (Why::ACKS_SYN, 's'),
        (Why::ACKS_FIN, 'f'),
        (Why::FIRST_DATA, 'd'),
        (Why::FIRST_ACK, 'a'),
        (Why::ANOMALY, '!'),
    ];
    let letters = reasons.iter().filter(|(why, _)| Why(event.why).any(*why));
    let letters: String = letters.map(|(_, letter)| letter).collect();
    if letters.is_empty() {
        "+".to_owned()
    } else {
        letters
    }
}

#[test]
fn every_state_by_every_segment() {
    for ((state, reach), (name, row)) in STATES.iter().zip(TABLE) {
        assert_eq!(*state, name);
        for ((segment, next), expected) in SEGMENTS.iter().zip(row) {
            let all = events(&next(reach()));
            let last = all.last().map_or(&[][..], Vec::as_slice);
            assert_eq!(reported(last), expected, "{segment} in {state}");
        }
    }
}

#[test]
fn headers_past_the_snap_length_are_out_of_reach_and_not_truncated() {
    let octets = talk()
        .syn()
        .frames()
        .map(|(_, frame)| frame.octets())
        .next();
    let octets = octets.expect("a frame");
    let vantage = Vantage {
        link: Link::Ethernet,
        interface: 1,
        direction: Direction::Ingress,
        scope: Scope::default(),
    };
    for cut in [10, 20, 40] {
        let captured = Captured {
            octets: &octets[..cut],
            wire_len: octets.len(),
        };
        let tracker = Tracker::new(Filter::default(), Tunnels::ON);
        tracker.take(&captured, &vantage, 1);
        assert_eq!(tracker.counters()[Reject::OutOfReach.index()], 1, "{cut}");
        tracker.take(&octets[..cut], &vantage, 2);
        assert_eq!(tracker.counters()[Reject::OutOfReach.index()], 1, "{cut}");
    }
}
