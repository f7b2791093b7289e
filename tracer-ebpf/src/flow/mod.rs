//! Decides which segments are reported, and keeps what proves the next step of an opening or closing.
//!
//! In: frames, one at a time, from any number of CPUs at once. Out: [`Event`]s through the [`Host`].
//! A segment that belongs to neither opening nor closing is parsed, hashed and forgotten.
//! Absent on purpose: verdicts and connection states, which user space derives from the events.

mod entry;
pub mod filter;
mod key;
mod ledger;

pub use entry::{Flow, Mark};
pub use filter::Filter;
pub use key::{Half, Key};
pub use ledger::{COPY_NS, Ledgers};

use core::cell::Cell;
use core::ops::{Deref, DerefMut};

use crate::counters::Counter;
use crate::event::{ABI_VERSION, Direction, Event, Side, Why};
use crate::octets::Octets;
use crate::segment::{Flags, MAX_OPTIONS, Scope, Segment};
use crate::wire::{self, Link, Located, Reject, Tunnels};

/// Places in the watch filter.
pub const WATCH_SLOTS: usize = 1 << 16;

/// What the place where the tracker runs lends it: a clock, counters, tables and a way out.
pub trait Host {
    /// How an entry of the table is held.
    type Entry: Deref<Target = Flow>;
    /// How the memory of an event is held.
    type Slot<'a>: DerefMut<Target = Event>
    where
        Self: 'a;

    /// How the counts of a connection are held.
    type Ledgers: Deref<Target = Ledgers>;

    /// Adds one to the counter at this place.
    fn count(&self, index: usize);

    /// Whether the slot was watched in the last seconds.
    fn is_watched(&self, slot: usize) -> bool;

    /// Watches the slot for some seconds from now.
    fn watch(&self, slot: usize);

    /// Which connections are followed.
    fn filter(&self) -> &Filter;

    /// Which tunnels are looked into.
    fn tunnels(&self) -> &Tunnels;

    /// What is kept of a connection.
    fn flow(&self, key: &Key) -> Option<Self::Entry>;

    /// What is kept of a connection, from now on if nothing was; `None` where there is no room.
    fn enter(&self, key: &Key) -> Option<Self::Entry>;

    /// Whether every segment is counted for its connection.
    fn accounts(&self) -> bool;

    /// The counts of a connection, from now on if there were none; `None` where there is no room.
    fn ledgers(&self, key: &Key) -> Option<Self::Ledgers>;

    /// Hands out the counts of a connection that another one takes the place of; tells whether there
    /// was room.
    fn settle(&self, key: &Key, ledgers: &Ledgers) -> bool;

    /// Sets a mark and tells whether it was not set before: only one CPU gets that answer.
    fn claim(&self, flow: &Flow, mark: Mark) -> bool;

    /// Clears marks.
    fn clear(&self, flow: &Flow, mark: Mark);

    /// Gives the words back as they are.
    ///
    /// The kernel does so in a way that makes the verifier forget what it knows of them. Otherwise it
    /// would follow the rest of the program once for every way in which a header can be found.
    #[inline(always)]
    fn forget(&self, words: [u64; 3]) -> [u64; 3] {
        words
    }

    /// The same with one word.
    #[inline(always)]
    fn forget_word(&self, word: u64) -> u64 {
        word
    }

    /// Nanoseconds of the monotonic clock, or a capture's time.
    fn now_ns(&self) -> u64;

    /// Whether the ring is so full that the rest of it is for proved connections.
    fn is_crowded(&self) -> bool;

    /// The CPU, and its count of events before this one.
    fn serial(&self) -> (u32, u64);

    /// Lends the memory of an event, all zero; `None` where there is no room. It has to be given to
    /// [`Host::submit`].
    fn reserve(&self) -> Option<Self::Slot<'_>>;

    /// Hands an event out.
    fn submit(&self, event: Self::Slot<'_>);
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
    /// What the frame begins with.
    pub link: Link,
}

/// Looks at one frame, counts it, and reports it where it opens or closes a connection.
#[inline(always)]
pub fn trace<F: Octets + ?Sized, H: Host>(frame: &F, vantage: &Vantage, host: &H) {
    let counter = counter(look(frame, vantage, host), frame);
    host.count(Counter::Frames.index());
    host.count(counter);
}

/// The same where the TCP header was found before.
pub fn trace_located<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: &Vantage,
    host: &H,
) {
    let found = follow(frame, located, vantage, host).map(|()| true);
    host.count(Counter::Frames.index());
    host.count(counter(found, frame));
}

/// The place of the counter of a frame, by whether it carries TCP.
#[inline(always)]
pub fn counter<F: Octets + ?Sized>(found: Result<bool, Reject>, frame: &F) -> usize {
    match found {
        Ok(true) => Counter::Segments.index(),
        Ok(false) => Counter::NotTcp.index(),
        Err(reject) if reject.truncated() && !frame.is_whole() => Reject::OutOfReach.index(),
        Err(reject) => reject.index(),
    }
}

/// Looks at one frame; tells whether it carries TCP.
#[inline(always)]
fn look<F: Octets + ?Sized, H: Host>(
    frame: &F,
    vantage: &Vantage,
    host: &H,
) -> Result<bool, Reject> {
    let Some(located) = wire::locate(
        frame,
        vantage.link,
        vantage.scope,
        host.tunnels(),
        |words| host.forget(words),
    )?
    else {
        return Ok(false);
    };
    follow(frame, &located, vantage, host)?;
    Ok(true)
}

#[inline(always)]
fn follow<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: &Vantage,
    host: &H,
) -> Result<(), Reject> {
    let slot = located.hash(frame)? as usize % WATCH_SLOTS;
    let counted = host.accounts();
    if !located.flags.significant() && !counted && !host.is_watched(slot) {
        return Ok(());
    }
    let located = &Located::unpack(host.forget(located.pack()));
    host.count(Counter::Examined.index());
    let (key, half) = Key::of(&located.endpoints(frame)?, located.scope);
    if !host.filter().passes(&key) {
        host.count(Counter::Filtered.index());
        return Ok(());
    }
    if located.flags.syn() && !located.flags.ack() {
        host.count(Counter::Syns.index());
    }
    let seen = Seen {
        frame,
        located,
        segment: located.segment(frame)?,
        half,
        now_ns: host.now_ns(),
    };
    let ledgers = if counted {
        let ledgers = host.ledgers(&key);
        if ledgers.is_none() {
            host.count(Counter::AccountsFull.index());
        }
        ledgers
    } else {
        None
    };
    let ledgers = ledgers.as_deref();
    if ledgers.is_some_and(|ledgers| ledgers.is_copy(&seen.segment, half, seen.now_ns)) {
        host.count(Counter::Copies.index());
        return Ok(());
    }
    let flow = remembered(&seen.segment, &key, counted, host);
    let flow = flow.as_deref();
    let begins = flow.is_some_and(|flow| begins(&seen, flow, host));
    let mut why = match flow {
        Some(flow) => observe(&seen, flow, host),
        None if located.flags.anomalous() => Why::ANOMALY,
        None => Why::default(),
    };
    if let Some(ledgers) = ledgers {
        why = why.with(account(&seen, ledgers, begins, &key, host));
    }
    // Every way to a set of reasons would otherwise be followed to the end by itself.
    let why = Why((host.forget_word(why.0.into()) & 0xffff) as u16);
    if located.flags.significant() || !why.is_empty() {
        host.watch(slot);
        report(&seen, &key, flow, ledgers, vantage, why, host);
    }
    Ok(())
}

/// One segment and what goes with it.
struct Seen<'a, F: ?Sized> {
    frame: &'a F,
    located: &'a Located,
    segment: Segment,
    half: Half,
    now_ns: u64,
}

impl<F: Octets + ?Sized> Seen<'_, F> {
    /// Copies the options and gives the number of their octets; of a frame that was cut short, those
    /// that are there as a whole.
    #[inline(always)]
    fn copy_options(&self, into: &Cell<[u8; MAX_OPTIONS]>) -> u8 {
        into.set([0; MAX_OPTIONS]);
        if self.located.copy_options(self.frame, into) {
            self.located.options_len
        } else if F::MAY_BE_CUT {
            self.located.copy_whole_options(self.frame, into)
        } else {
            0
        }
    }

    /// Tells the beginning of a RST's payload in the place of the options, which are told again by
    /// other events.
    #[inline(always)]
    fn tell_text(&self, side: &mut Side) {
        let options = Cell::from_mut(&mut side.options);
        side.options_len = self.located.copy_payload(self.frame, options);
        side.known |= Side::TEXT;
    }
}

/// What is kept of the segment's connection. Only a SYN and a FIN are worth an entry: any other
/// segment proves nothing without one. Where every segment is counted, it still has its first data
/// and first ACK told.
#[inline(always)]
fn remembered<H: Host>(segment: &Segment, key: &Key, counted: bool, host: &H) -> Option<H::Entry> {
    let flags = segment.flags;
    if flags.anomalous() || !(counted || flags.syn() || flags.fin()) {
        return host.flow(key);
    }
    let flow = host.enter(key);
    if flow.is_none() {
        host.count(Counter::TableFull.index());
    }
    flow
}

/// Takes the SYN of a segment that has one; tells whether another connection begins with it.
#[inline(always)]
fn begins<F: Octets + ?Sized, H: Host>(seen: &Seen<'_, F>, flow: &Flow, host: &H) -> bool {
    let flags = seen.segment.flags;
    flags.syn() && !flags.anomalous() && flow.take_syn(seen, host)
}

/// Counts one segment that is no copy.
#[inline(always)]
fn account<F: Octets + ?Sized, H: Host>(
    seen: &Seen<'_, F>,
    ledgers: &Ledgers,
    begins: bool,
    key: &Key,
    host: &H,
) -> Why {
    if begins {
        if !ledgers.is_empty() && !host.settle(key, ledgers) {
            host.count(Counter::RingFull.index());
        }
        ledgers.begin();
    }
    let first = ledgers.is_empty() && !seen.segment.flags.syn();
    let why = ledgers.count(&seen.segment, seen.half);
    if first {
        why.with(Why::FIRST_SEEN)
    } else {
        why
    }
}

/// Takes one segment into what is kept of its connection, its SYN apart, and tells which steps it
/// proves.
#[inline(always)]
fn observe<F: Octets + ?Sized, H: Host>(seen: &Seen<'_, F>, flow: &Flow, host: &H) -> Why {
    let (segment, half) = (&seen.segment, seen.half);
    let flags = segment.flags;
    if flags.anomalous() {
        return Why::ANOMALY;
    }
    if flags.fin() {
        flow.take_fin(segment, half, host);
    }
    if flags.rst() {
        // What follows a reset tells whether its receiver accepted it.
        host.clear(flow, Mark::firsts());
        host.claim(flow, Mark::reset());
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
fn report<F: Octets + ?Sized, H: Host>(
    seen: &Seen<'_, F>,
    key: &Key,
    flow: Option<&Flow>,
    ledgers: Option<&Ledgers>,
    vantage: &Vantage,
    why: Why,
    host: &H,
) {
    let segment = &seen.segment;
    if !flow.is_some_and(Flow::is_proved) && host.is_crowded() {
        // A flood must not hide a real connection: the event that proves one carries its opening.
        host.count(held(segment.flags).index());
        return;
    }
    let (cpu, serial) = host.serial();
    let slot = host.reserve();
    let emitted = slot.is_some();
    if let Some(mut event) = slot {
        event.serial = serial;
        event.time_ns = seen.now_ns;
        let (source, destination) = (key.endpoint(seen.half), key.endpoint(seen.half.peer()));
        event.source = source.address.octets();
        event.destination = destination.address.octets();
        event.source_port = source.port;
        event.destination_port = destination.port;
        if host.tunnels().is_on()
            && let Some([source, destination]) = seen.located.outer(seen.frame)
        {
            event.outer_source = source.octets();
            event.outer_destination = destination.octets();
        }
        event.scope = key.scope.0;
        event.seq = segment.seq.0;
        event.ack = segment.ack.0;
        event.len = segment.len;
        event.interface = vantage.interface;
        event.cpu = cpu;
        event.window = segment.window;
        event.checksum = segment.checksum;
        event.ident = segment.ident;
        event.abi = ABI_VERSION;
        event.why = why.0;
        event.flags = segment.flags.0;
        event.direction = vantage.direction as u8;
        match flow {
            Some(flow) => {
                flow.tell(seen.half, &mut event.sender);
                flow.tell(seen.half.peer(), &mut event.receiver);
            }
            None => entry::tell_lone(seen, &mut event.sender),
        }
        if let Some(ledgers) = ledgers {
            ledgers.tell(seen.half, &mut event.sender);
            ledgers.tell(seen.half.peer(), &mut event.receiver);
        }
        if segment.flags.rst() && segment.len > 0 && !segment.flags.anomalous() {
            seen.tell_text(&mut event.sender);
        }
        host.submit(event);
    }
    let counter = if emitted {
        Counter::Events
    } else {
        Counter::RingFull
    };
    host.count(counter.index());
}

/// The counter of a segment that is held back.
#[inline(always)]
const fn held(flags: Flags) -> Counter {
    match (flags.syn(), flags.ack()) {
        (true, false) => Counter::HeldSyn,
        (true, true) => Counter::HeldSynAck,
        (false, _) => Counter::HeldOther,
    }
}
