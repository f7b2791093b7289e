//! Any events, in any order and at any time, as a kernel would never send them.
//!
//! An input is a row of calls. Addresses, interfaces and scopes are few, and numbers are told as
//! distances from two that never change: what a conversation is made of then meets by chance.

use std::cell::Cell;

use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::event::{ABI_VERSION, Event, NO_EVENT, NO_SIDE, Side};
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::{MAX_OPTIONS, Scope};

use crate::input::{Input, power};
use crate::records::{Records, assembler};

/// Initial sequence numbers of the lower and the upper end; one of them wraps soon.
const ISS: [u32; 2] = [0xffff_ff00, 1000];
/// Ports of the lower and the upper end.
const PORTS: [u16; 2] = [52144, 80];

/// The clock at the beginning of an input.
const BEGIN_NS: u64 = 1 << 40;

/// Settings: one less than the connections that are followed at once, and whether records are summed
/// up.
const MAX_CONNECTIONS: u8 = 0b11;
const SUMMED: u8 = 1 << 2;

/// Calls that are no event.
const ADVANCE: u8 = 0xff;
const ADVANCE_TO: u8 = 0xfe;
const LOST: u8 = 0xfd;
const WALL: u8 = 0xfc;
/// An event whose every octet is arbitrary.
const RAW: u8 = 0xfb;
/// The counts of connections that end from now on.
const COUNTED: u8 = 0xfa;
/// The counts of a connection whose place another one takes.
const SETTLED: u8 = 0xf9;

const FROM_UPPER: u8 = 1;
const OTHER_HOST: u8 = 1 << 1;
const OTHER_PORT: u8 = 1 << 2;
const SCOPED: u8 = 1 << 3;
const TUNNEL: u8 = 1 << 4;
const EGRESS: u8 = 1 << 5;

/// Gives an assembler any events, and prints what comes out.
pub fn events(input: &[u8]) {
    let mut input = Input(input);
    let settings = input.u8();
    let max_connections = usize::from(settings & MAX_CONNECTIONS) + 1;
    let mut assembler = assembler(max_connections);
    let counted = Cell::new(None);
    let mut records = Records::new(settings & SUMMED != 0, |_: &Key| counted.get());
    let mut time_ns = BEGIN_NS;
    let mut serial = 0;
    while !input.is_empty() {
        match input.u8() {
            ADVANCE => {
                time_ns = time_ns.saturating_add(input.pause_ns());
                assembler.advance(time_ns, &mut records);
            }
            ADVANCE_TO => assembler.advance(input.u64(), &mut records),
            LOST => assembler.lost(input.u64()),
            WALL => assembler.set_wall_offset(i128::from_le_bytes(input.array())),
            COUNTED => counted.set(Some(accounts(&mut input))),
            SETTLED => {
                let event = event(input.u8(), &mut input, time_ns);
                let (key, _) = Key::of(&event.endpoints(), Scope(event.scope));
                assembler.settle(&Settled {
                    key,
                    abi: ABI_VERSION.into(),
                    accounts: accounts(&mut input),
                });
            }
            RAW => {
                let mut record: [u8; size_of::<Event>()] = input.array();
                let abi = std::mem::offset_of!(Event, abi);
                record[abi..abi + 2].copy_from_slice(&ABI_VERSION.to_ne_bytes());
                if let Ok(event) = Event::decode(&record) {
                    assembler.observe(&event, &mut records);
                }
            }
            who => {
                time_ns = time_ns.saturating_add(input.pause_ns());
                serial += 1;
                let event = event(who, &mut input, time_ns);
                assembler.observe(&Event { serial, ..event }, &mut records);
            }
        }
        assert!(assembler.open() <= max_connections, "too many connections");
    }
    records.finish(assembler);
}

/// The call that gives an event like this one, after a pause. The fields that no input can tell are
/// left out.
#[must_use]
pub fn octets(pause: u8, event: &Event) -> Vec<u8> {
    let from_upper = event.source_port == PORTS[1];
    let egress = if event.direction == 0 { 0 } else { EGRESS };
    let who = u8::from(from_upper) | egress;
    let [own, peers] = numbers(who);
    let mut call = vec![who, pause, event.flags];
    for number in [
        event.why,
        u16::try_from(event.len).unwrap_or(u16::MAX),
        distance(event.seq, own),
        distance(event.ack, peers),
        event.window,
    ] {
        call.extend(number.to_le_bytes());
    }
    for (side, own, peers) in [(&event.sender, own, peers), (&event.receiver, peers, own)] {
        call.extend([side.known, side.syns, side.options_len]);
        call.extend(side.options.iter().take(side.options_len.into()));
        for number in [
            distance(side.iss, own),
            distance(side.fin_end, own),
            distance(side.next, own),
            distance(side.acked, peers),
            side.window,
        ] {
            call.extend(number.to_le_bytes());
        }
        call.push(power(event.time_ns.saturating_sub(side.opened_ns)));
    }
    call
}

fn event(who: u8, input: &mut Input<'_>, time_ns: u64) -> Event {
    let mut ends = [0_u8, 1].map(|end| {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, (who & OTHER_HOST) >> 1, end]);
        address
    });
    let mut ports = [PORTS[0] + u16::from(who & OTHER_PORT != 0), PORTS[1]];
    if who & FROM_UPPER != 0 {
        ends.reverse();
        ports.reverse();
    }
    let [own, peers] = numbers(who);
    let tunnel = |last| {
        if who & TUNNEL == 0 {
            [0; 16]
        } else {
            [last; 16]
        }
    };
    let (flags, why, len) = (input.u8(), input.u16(), input.u16());
    Event {
        time_ns,
        source: ends[0],
        destination: ends[1],
        source_port: ports[0],
        destination_port: ports[1],
        outer_source: tunnel(1),
        outer_destination: tunnel(2),
        scope: u64::from(who & SCOPED),
        interface: u32::from(who & EGRESS == 0),
        direction: u8::from(who & EGRESS != 0),
        abi: ABI_VERSION,
        flags,
        why,
        len: u32::from(len),
        seq: number(input, own),
        ack: number(input, peers),
        window: input.u16(),
        sender: side(input, [own, peers], time_ns),
        receiver: side(input, [peers, own], time_ns),
        ..NO_EVENT
    }
}

fn accounts(input: &mut Input<'_>) -> Accounts {
    Accounts::decode(&input.array::<{ size_of::<Accounts>() }>())
}

fn side(input: &mut Input<'_>, [own, peers]: [u32; 2], time_ns: u64) -> Side {
    let [known, syns, options_len] = input.array();
    let mut options = [0; MAX_OPTIONS];
    let given = input.octets(usize::from(options_len).min(MAX_OPTIONS));
    for (to, from) in options.iter_mut().zip(given) {
        *to = *from;
    }
    Side {
        known,
        syns,
        options_len,
        options,
        iss: number(input, own),
        fin_end: number(input, own),
        next: number(input, own),
        acked: number(input, peers),
        window: input.u16(),
        opened_ns: time_ns.saturating_sub(input.pause_ns()),
        ..NO_SIDE
    }
}

/// The initial sequence numbers of the sender and the receiver.
const fn numbers(who: u8) -> [u32; 2] {
    let [lower, upper] = ISS;
    if who & FROM_UPPER == 0 {
        [lower, upper]
    } else {
        [upper, lower]
    }
}

/// A number that is less than 2¹⁵ before or after another.
fn number(input: &mut Input<'_>, from: u32) -> u32 {
    from.wrapping_add_signed(i32::from(input.u16().cast_signed()))
}

/// The low half says it all where the number is near.
fn distance(number: u32, from: u32) -> u16 {
    let [a, b, ..] = number.wrapping_sub(from).to_le_bytes();
    u16::from_le_bytes([a, b])
}
