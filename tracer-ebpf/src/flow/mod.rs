//! Decides which segments are reported, and keeps what proves the next step of an opening or closing.
//!
//! In: frames, one at a time, from any number of CPUs at once. Out: [`Event`]s through the [`Host`].
//! A segment that belongs to neither opening nor closing is parsed, hashed and forgotten.
//! Absent on purpose: verdicts and connection states, which user space derives from the events.

mod entry;
pub mod filter;
mod held;
mod host;
mod key;
mod ledger;

pub use entry::{Flow, Mark};
pub use filter::Filter;
pub use held::{Held, Place, Shelves, hold_or_recall};
pub use host::{Host, Unproved};
pub use key::{Half, Key};
pub use ledger::{COPY_NS, Ledgers};

use core::cell::Cell;

use crate::counters::Counter;
use crate::event::{ABI_VERSION, Direction, Side, Why};
use crate::octets::Octets;
use crate::segment::{Flags, Scope, Segment};
use crate::wire::{self, Link, Located, Plain, Reject};

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

impl Vantage {
    /// A number that tells its place from others: the interface and the direction. Never 0.
    #[inline(always)]
    fn place<H: Host>(&self, host: &H) -> u32 {
        let place = (self.interface << 1 | self.direction as u32).wrapping_add(1);
        (host.forget_word(place.into()) & 0xffff_ffff) as u32
    }
}

/// What a first look at a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glance {
    /// It is counted, and nothing more is to be done: a segment that neither opens nor closes a
    /// connection, of none that is watched.
    Passed,
    /// A segment for [`examine`].
    Examine(Located),
    /// A frame for [`trace_far`]: there is more than an IP header between Ethernet and TCP, or
    /// something is wrong with it.
    Far,
}

/// Looks at one frame, counts it, and reports it where it opens or closes a connection.
#[inline(always)]
pub fn trace<F: Octets + ?Sized, H: Host>(frame: &F, vantage: &Vantage, host: &H) {
    match glance(frame, vantage.link, vantage.scope, host) {
        Glance::Passed => {}
        Glance::Examine(located) => examine(frame, &located, || *vantage, host),
        Glance::Far => {
            if let Some(located) = trace_far(frame, vantage, host) {
                examine(frame, &located, || *vantage, host);
            }
        }
    }
}

/// The same where the TCP header was found before.
pub fn trace_located<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: &Vantage,
    host: &H,
) {
    match pass(frame, located, host) {
        Ok(true) => host.count(Counter::Segments.index()),
        Ok(false) => examine(frame, located, || *vantage, host),
        Err(reject) => host.count(counter(Err(reject), frame)),
    }
}

/// The first look: all that most frames get. `scope` holds what the device took off the frame.
#[inline(always)]
pub fn glance<F: Octets + ?Sized, H: Host>(
    frame: &F,
    link: Link,
    scope: Scope,
    host: &H,
) -> Glance {
    let located = match wire::plain(frame, link, scope, host.tunnels()) {
        Plain::Tcp(located) => located,
        Plain::NotTcp => {
            host.count(Counter::NotTcp.index());
            return Glance::Passed;
        }
        Plain::Other => return Glance::Far,
    };
    match pass(frame, &located, host) {
        Ok(true) => {
            host.count(Counter::Segments.index());
            Glance::Passed
        }
        Ok(false) => Glance::Examine(located),
        Err(_) => Glance::Far,
    }
}

/// Looks at a frame that a first look did not see through; gives its segment where that is to be
/// examined.
#[inline(always)]
pub fn trace_far<F: Octets + ?Sized, H: Host>(
    frame: &F,
    vantage: &Vantage,
    host: &H,
) -> Option<Located> {
    let located = wire::locate(
        frame,
        vantage.link,
        vantage.scope,
        host.tunnels(),
        |words| host.forget(words),
    );
    let found = match located {
        Ok(Some(located)) => match pass(frame, &located, host) {
            Ok(false) => return Some(located),
            Ok(true) => Ok(true),
            Err(reject) => Err(reject),
        },
        Ok(None) => Ok(false),
        Err(reject) => Err(reject),
    };
    host.count(counter(found, frame));
    None
}

/// Whether a segment neither opens nor closes a connection and belongs to none that is watched.
#[inline(always)]
fn pass<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    host: &H,
) -> Result<bool, Reject> {
    let hash = located.hash(frame)?;
    Ok(!located.flags.significant() && !host.accounts() && !host.is_watched(hash))
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

/// Examines a segment, counts it, and reports it where it opens or closes a connection. Where that is,
/// is asked for only then.
#[inline(always)]
pub fn examine<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: impl Fn() -> Vantage,
    host: &H,
) {
    let found = follow(frame, located, vantage, host).map(|()| true);
    host.count(counter(found, frame));
}

#[inline(always)]
fn follow<F: Octets + ?Sized, H: Host>(
    frame: &F,
    located: &Located,
    vantage: impl Fn() -> Vantage,
    host: &H,
) -> Result<(), Reject> {
    host.count(Counter::Examined.index());
    let (flags, counted) = (located.flags, host.accounts());
    let (key, half) = Key::of(&located.endpoints(frame)?, located.scope);
    let key = host.set_aside(key);
    if !host.filter().passes(&key) {
        host.count(Counter::Filtered.index());
        return Ok(());
    }
    if flags.syn() && !flags.ack() {
        host.count(Counter::Syns.index());
    }
    if F::MAY_BE_CUT {
        // What cannot be read out leaves no entry behind.
        located.segment(frame)?;
    }
    // Only a SYN and a FIN are worth an entry: any other segment proves nothing without one. Where
    // every segment is counted, it still has its first data and first ACK told.
    let worthy = !flags.anomalous() && (counted || flags.syn() || flags.fin());
    let entry = host.flow(&key, worthy);
    let flow = entry.as_deref();
    if worthy && flow.is_none() {
        host.count(Counter::TableFull.index());
    }
    let timed = flags.significant() || counted;
    if !timed && flow.is_none() {
        // Another connection is watched.
        return Ok(());
    }
    let mut seen = Seen {
        frame,
        located,
        segment: located.segment(frame)?,
        half,
        // Most segments that are only watched come to nothing, and save asking.
        now_ns: if timed { host.now_ns() } else { 0 },
        place: if timed { vantage().place(host) } else { 0 },
    };
    let ledgers = if counted { host.ledgers(&key) } else { None };
    let ledgers = ledgers.as_deref();
    if counted && ledgers.is_none() {
        host.count(Counter::AccountsFull.index());
    }
    let (now_ns, place) = (seen.now_ns, seen.place);
    if ledgers.is_some_and(|ledgers| ledgers.is_copy(&seen.segment, half, now_ns, place)) {
        host.count(Counter::Copies.index());
        return Ok(());
    }
    let begins = flow.is_some_and(|flow| begins(&seen, flow, host));
    // Every way to an answer would otherwise be followed to the end by itself.
    let begins = counted && host.forget_word(begins.into()) != 0;
    let why = match flow {
        Some(flow) => observe(&seen, flow, host),
        None if flags.anomalous() => Why::ANOMALY,
        None => Why::default(),
    };
    let mut why = seen.forget(why, host);
    if let Some(ledgers) = ledgers {
        let counted = account(&seen, ledgers, begins, &key, host);
        why = seen.forget(why.with(counted), host);
    }
    if seen.segment.flags.significant() || !why.is_empty() {
        if seen.now_ns == 0 {
            seen.now_ns = host.now_ns();
        }
        let located = host.again(located);
        seen.located = &located;
        host.watch(located.hash(frame)?);
        if let Some(entry) = &entry {
            host.keep(entry, entry.is_proved() && !entry.is_over());
        }
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
    /// As [`Vantage::place`], where the time is known.
    place: u32,
}

impl<F: Octets + ?Sized> Seen<'_, F> {
    /// Makes the verifier forget what it found out of the segment, and of these reasons.
    #[inline(always)]
    fn forget<H: Host>(&mut self, why: Why, host: &H) -> Why {
        let words = [
            why.0.into(),
            self.segment.flags.0.into(),
            self.segment.len.into(),
        ];
        let [why, flags, len] = host.forget(words);
        self.segment.flags = Flags((flags & 0xff) as u8);
        self.segment.len = (len & 0xffff_ffff) as u32;
        Why((why & 0xffff) as u16)
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
    vantage: impl Fn() -> Vantage,
    why: Why,
    host: &H,
) {
    let segment = &seen.segment;
    let kind = Unproved::of(segment.flags);
    if !flow.is_some_and(Flow::is_proved) && !host.admits(kind) {
        // A flood must not hide a real connection: the event that proves one carries its opening.
        host.count(kind.counter().index());
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
        let vantage = vantage();
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
