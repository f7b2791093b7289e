//! Connections as the programs report them: an opening, what comes first, and a close.

use std::collections::HashMap;

use synfin::assembler::{LIVE_LINGER_NS, Settings, USUAL_MAX_STEPS};
use synfin_ebpf::event::{ABI_VERSION, Event, NO_EVENT, Side, Why};
use synfin_ebpf::segment::{Address, Flags};

/// Time from one event to the next, in ns.
pub(super) const APART_NS: u64 = 300;
/// The most events that a life has.
pub(super) const MOST: u32 = 10;
/// Those of an opening, the first data and the first ACKs.
pub(super) const OPEN: u32 = 6;
const OPTIONS_LEN: u8 = 20;
/// The options that Linux sends: MSS, SACK, timestamps, window scale.
const OPTIONS: [u8; OPTIONS_LEN as usize] = [
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
];
const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;
const FIN: Flags = Flags::FIN;

/// How a live trace assembles.
pub(super) fn settings(max_connections: usize) -> Settings {
    Settings {
        handshake_timeout_ns: 35_000_000_000,
        linger_ns: LIVE_LINGER_NS,
        max_steps: USUAL_MAX_STEPS,
        max_connections,
        shares: 1,
        interfaces: HashMap::from([(1, "eth0".into())]),
    }
}

/// All events of so many connections, in the order in which they are seen: each is of another
/// connection than those before it, so that all are open at once.
pub(super) fn all(connections: u32) -> Vec<Event> {
    let mut events = Vec::new();
    for step in 0..MOST {
        for number in 0..connections {
            let time_ns = APART_NS * (events.len() as u64 + 1);
            events.extend(event(number, step, time_ns));
        }
    }
    events
}

/// The event of this connection at this place of its life, where it has one: a third of them have
/// eight events, a third nine, a third ten.
pub(super) fn event(number: u32, step: u32, time_ns: u64) -> Option<Event> {
    let (x, y) = (
        number.wrapping_mul(2_654_435_761),
        number.wrapping_mul(40_503),
    );
    let first = |offset: u32| (x.wrapping_add(offset), y.wrapping_add(offset));
    let ((x1, y1), kind) = (first(1), number % 3);
    let (asked, told) = (x1.wrapping_add(300), y1.wrapping_add(9_000));
    // Flags, who, SEG.SEQ, SEG.ACK, payload, and why it was reported.
    let (flags, client, seq, ack, len, why) = match (step, kind) {
        (0, _) => (SYN, true, x, 0, 0, Why::default()),
        (1, _) => (SYN.with(ACK), false, y, x1, 0, Why::ACKS_SYN),
        (2, _) => (ACK, true, x1, y1, 0, Why::ACKS_SYN.with(Why::FIRST_ACK)),
        (3, _) => (ACK, true, x1, y1, 300, Why::FIRST_DATA),
        (4, 1 | 2) => (ACK, false, y1, asked, 0, Why::FIRST_ACK),
        (5, _) => (ACK, false, y1, asked, 9_000, Why::FIRST_DATA),
        (6, _) => (FIN.with(ACK), true, asked, told, 0, Why::default()),
        (7, 2) => (ACK, false, told, asked.wrapping_add(1), 0, Why::ACKS_FIN),
        (8, 2) => (
            FIN.with(ACK),
            false,
            told,
            asked.wrapping_add(1),
            0,
            Why::default(),
        ),
        (8, _) => (
            FIN.with(ACK),
            false,
            told,
            asked.wrapping_add(1),
            0,
            Why::ACKS_FIN,
        ),
        (9, _) => (
            ACK,
            true,
            asked.wrapping_add(1),
            told.wrapping_add(1),
            0,
            Why::ACKS_FIN,
        ),
        _ => return None,
    };
    let [_, a, b, c] = (number / 20_000).to_be_bytes();
    let [.., high, low] = (32_768 + number % 20_000).to_be_bytes();
    let ends = [
        (Address::v4([10, a, b, c]), u16::from_be_bytes([high, low])),
        (Address::v4([192, 0, 2, 1]), 443),
    ];
    let [.., third, fourth] = (time_ns / APART_NS).to_be_bytes();
    let [.., place] = step.to_be_bytes();
    let [(source, source_port), (destination, destination_port)] =
        if client { ends } else { [ends[1], ends[0]] };
    Some(Event {
        time_ns,
        source: source.octets(),
        destination: destination.octets(),
        source_port,
        destination_port,
        seq,
        ack,
        len,
        interface: 1,
        window: 502,
        abi: ABI_VERSION,
        why: why.0,
        flags: flags.0,
        direction: u8::from(!client),
        checksum: u16::from_be_bytes([third, fourth]),
        ident: if client { u16::from(place) + 1 } else { 0 },
        sender: if flags.syn() {
            side(seq, time_ns, !client)
        } else {
            NO_EVENT.sender
        },
        ..NO_EVENT
    })
}

fn side(iss: u32, opened_ns: u64, passive: bool) -> Side {
    let mut side = Side {
        opened_ns,
        iss,
        options_len: OPTIONS_LEN,
        known: Side::SYN | if passive { Side::SYN_ACK } else { 0 },
        syns: 1,
        ..NO_EVENT.sender
    };
    side.options[..OPTIONS_LEN.into()].copy_from_slice(&OPTIONS);
    side
}
