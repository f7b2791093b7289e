//! Decides which segments are reported, and keeps what proves the next step of an opening or closing.
//!
//! In: frames, one at a time, from any number of CPUs at once. Out: [`Event`]s through the [`Host`].
//! A segment that belongs to neither opening nor closing is parsed, hashed and forgotten.
//! Absent on purpose: verdicts and connection states, which user space derives from the events.

mod entry;
mod key;

pub use entry::{Flow, Mark};
pub use key::{Half, Key};

use crate::counters::Counter;
use crate::event::{ABI_VERSION, Direction, Event, Why};
use crate::filter::Filter;
use crate::octets::Octets;
use crate::segment::{Scope, Segment};
use crate::wire::{self, Located, Reject};

/// Places in the watch filter.
pub const WATCH_SLOTS: usize = 1 << 16;

/// What the place where the tracker runs lends it: a clock, counters, tables and a way out.
pub trait Host {
    /// Adds one to the counter at this place.
    fn count(&self, index: usize);

    /// Whether the slot was watched in the last seconds.
    fn is_watched(&self, slot: usize) -> bool;

    /// Watches the slot for some seconds from now.
    fn watch(&self, slot: usize);

    /// Which connections are followed.
    fn filter(&self) -> &Filter;

    /// What is kept of a connection.
    fn flow(&self, key: &Key) -> Option<&Flow>;

    /// What is kept of a connection, from now on if nothing was; `None` where there is no room.
    fn enter(&self, key: &Key) -> Option<&Flow>;

    /// Sets a mark and tells whether it was not set before: only one CPU gets that answer.
    fn claim(&self, flow: &Flow, mark: Mark) -> bool;

    /// Clears marks.
    fn clear(&self, flow: &Flow, mark: Mark);

    /// Nanoseconds of the monotonic clock, or a capture's time.
    fn now_ns(&self) -> u64;

    /// The CPU, and its count of events before this one.
    fn serial(&self) -> (u32, u64);

    /// Hands the event out; tells whether there was room.
    fn emit(&self, event: &Event) -> bool;
}

/// Where a frame was seen.
#[derive(Clone, Copy, Debug)]
pub struct Vantage {
    /// Index of the interface.
    pub interface: u32,
    /// Which way the frame crossed it.
    pub direction: Direction,
    /// VLAN tags that the device took off the frame.
    pub scope: Scope,
}

/// Looks at one frame, counts it, and reports it where it opens or closes a connection.
#[inline(always)]
pub fn trace<F: Octets + ?Sized, H: Host>(frame: &F, vantage: &Vantage, host: &H) {
    host.count(Counter::Frames.index());
    match wire::locate(frame, vantage.scope) {
        Ok(Some(located)) => {
            host.count(Counter::Segments.index());
            if let Err(reject) = follow(frame, &located, vantage, host) {
                host.count(reject.index());
            }
        }
        Ok(None) => host.count(Counter::NotTcp.index()),
        Err(reject) => host.count(reject.index()),
    }
}

#[inline(always)]
fn follow<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: &Vantage,
    host: &H,
) -> Result<(), Reject> {
    let slot = located.hash(frame)? as usize % WATCH_SLOTS;
    if !located.flags.significant() && !host.is_watched(slot) {
        return Ok(());
    }
    let segment = located.segment(frame)?;
    host.count(Counter::Examined.index());
    if !host.filter().passes(&segment) {
        host.count(Counter::Filtered.index());
        return Ok(());
    }
    let (key, half) = Key::of(&segment);
    let flow = if segment.flags.anomalous() {
        host.flow(&key)
    } else if segment.flags.syn() || segment.flags.fin() {
        let flow = host.enter(&key);
        if flow.is_none() {
            host.count(Counter::TableFull.index());
        }
        flow
    } else {
        host.flow(&key)
    };
    let now_ns = host.now_ns();
    let why = match flow {
        Some(flow) => observe(&segment, half, flow, now_ns, host),
        None if segment.flags.anomalous() => Why::ANOMALY,
        None => Why::default(),
    };
    if segment.flags.significant() || !why.is_empty() {
        host.watch(slot);
        report(&segment, half, flow, vantage, why, now_ns, host);
    }
    Ok(())
}

/// Takes one segment into what is kept of its connection, and tells which steps it proves.
#[inline(always)]
fn observe<H: Host>(segment: &Segment, half: Half, flow: &Flow, now_ns: u64, host: &H) -> Why {
    let flags = segment.flags;
    if flags.anomalous() {
        return Why::ANOMALY;
    }
    if flags.syn() {
        flow.take_syn(segment, half, now_ns, host);
    }
    if flags.fin() {
        flow.take_fin(segment, half, host);
    }
    if flags.rst() {
        // What follows a reset tells whether its receiver accepted it.
        host.clear(flow, Mark::firsts());
        return Why::default();
    }
    let mut why = Why::default();
    if flags.ack() {
        let peer = half.peer();
        // A segment acknowledges by number, whatever else it carries (RFC 9293 §3.4).
        if flow.syn_covered(peer, segment.ack) && host.claim(flow, Mark::syn_acked(peer)) {
            why = why.with(Why::ACKS_SYN);
        }
        if flow.fin_covered(peer, segment.ack) && host.claim(flow, Mark::fin_acked(peer)) {
            why = why.with(Why::ACKS_FIN);
        }
    }
    if flags.syn() {
        return why;
    }
    if segment.len > 0 {
        if host.claim(flow, Mark::first_data(half)) {
            why = why.with(Why::FIRST_DATA);
        }
    } else if !flags.fin() && host.claim(flow, Mark::first_ack(half)) {
        why = why.with(Why::FIRST_ACK);
    }
    why
}

#[inline(always)]
fn report<H: Host>(
    segment: &Segment,
    half: Half,
    flow: Option<&Flow>,
    vantage: &Vantage,
    why: Why,
    now_ns: u64,
    host: &H,
) {
    let (cpu, serial) = host.serial();
    let (sender, receiver) = match flow {
        Some(flow) => (flow.side(half), flow.side(half.peer())),
        None => (entry::lone_side(segment, now_ns), Default::default()),
    };
    let event = Event {
        serial,
        time_ns: now_ns,
        source: segment.source.address.0,
        destination: segment.destination.address.0,
        source_port: segment.source.port,
        destination_port: segment.destination.port,
        scope: segment.scope.0,
        seq: segment.seq.0,
        ack: segment.ack.0,
        len: segment.len,
        interface: vantage.interface,
        cpu,
        window: segment.window,
        abi: ABI_VERSION,
        why: why.0,
        flags: segment.flags.0,
        direction: vantage.direction as u8,
        padding: [0; 4],
        sender,
        receiver,
    };
    let counter = if host.emit(&event) {
        Counter::Events
    } else {
        Counter::RingFull
    };
    host.count(counter.index());
}
