//! Tells a flood of SYNs, and keeps what it opens away from the assembler: counted, not listed.
//!
//! In: every event, and the programs' counters four times a second. Out: the events that the assembler
//! takes, and now and then a line to be said. Time is an argument.
//! Absent on purpose: a memory of single openings. Whether one is listed is decided by when it began
//! and whom it asks, so that memory is fixed, and what is known of a connection is whole or nothing.

mod marked;
mod part;
mod servers;
mod spells;
mod words;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use synfin_ebpf::counters::Counter;
use synfin_ebpf::event::Event;
use synfin_ebpf::segment::Endpoint;

use crate::assembler::{Assembler, Output};
use crate::totals::Totals;
pub use marked::Marked;
use part::{Kind, Part};
use servers::Servers;
use spells::Spells;
use words::Span;

/// How often the counters are looked at, in ns.
pub const WINDOW_NS: u64 = 250_000_000;
/// A window of more than this is one in which the reader stood still.
const LONG_WINDOW_NS: u64 = 2 * WINDOW_NS;
/// A flood is over when so long nothing looked like it, in ns.
const OVER_NS: u64 = 2_000_000_000;
/// While it lasts it is spoken of so often, in ns.
const SAY_NS: u64 = 10_000_000_000;
/// Servers that are flooded at once, and that are remembered to have been.
const SERVERS: usize = 64;
/// Times in which there were more other openings than are listed, that are remembered.
const BUSY: usize = 512;
/// Times in which the programs held something back, that are remembered.
const HELD: usize = 64;
/// While a flood lasts, this share of its threshold is listed of the openings to other servers.
const LISTED_SHARE: u64 = 4;

/// Watches for floods.
#[derive(Clone, Debug)]
pub struct Flood {
    /// SYNs a second from which on it is one.
    threshold: u64,
    servers: Servers,
    /// Whose openings are not listed, and when.
    flooded: Spells,
    /// When nobody's are.
    busy: Spells,
    /// When the programs held back what was not proved.
    held: Spells,
    /// The time of the latest event.
    latest_ns: u64,
    counts: Counts,
    /// As of the last look at the counters.
    last: Reading,
    /// As of the beginning of the windows in succession that looked like a flood.
    suspected: Option<Reading>,
    /// Openings to other servers that were listed in this window.
    listed: u64,
    lasting: Option<Lasting>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SYNs that the programs reported.
    pub syns: u64,
    /// Handshakes that were seen to complete.
    pub completed: u64,
    /// Floods.
    pub floods: u64,
    /// SYNs of openings that are not listed.
    pub unlisted_syn: u64,
    /// SYN-ACKs of openings that are not listed.
    pub unlisted_syn_ack: u64,
    /// Other segments of openings that are not listed.
    pub unlisted_other: u64,
}

impl Counts {
    const fn unlisted(&self) -> u64 {
        self.unlisted_syn + self.unlisted_syn_ack + self.unlisted_other
    }

    /// With their names, for the summary; nothing where there was no flood.
    #[must_use]
    pub fn told(&self) -> Vec<(&'static str, u64)> {
        if self.floods == 0 {
            return Vec::new();
        }
        vec![
            ("floods", self.floods),
            ("unlisted_syn", self.unlisted_syn),
            ("unlisted_syn_ack", self.unlisted_syn_ack),
            ("unlisted_other", self.unlisted_other),
        ]
    }
}

/// What the counters said at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    now_ns: u64,
    syns: u64,
    held_syn: u64,
    held: u64,
    counts: Counts,
}

impl Reading {
    fn of(totals: &Totals, counts: Counts, now_ns: u64) -> Self {
        let held_syn = totals.get(Counter::HeldSyn);
        Self {
            now_ns,
            syns: totals.get(Counter::Syns),
            held_syn,
            held: held_syn + totals.get(Counter::HeldSynAck) + totals.get(Counter::HeldOther),
            counts,
        }
    }

    /// What came after an earlier reading.
    const fn since(&self, earlier: &Self) -> Span {
        Span {
            ns: self.now_ns.saturating_sub(earlier.now_ns),
            syns: self.syns.saturating_sub(earlier.syns),
            completed: self
                .counts
                .completed
                .saturating_sub(earlier.counts.completed),
            unlisted: self
                .counts
                .unlisted()
                .saturating_sub(earlier.counts.unlisted()),
        }
    }
}

/// A flood that lasts.
#[derive(Clone, Debug)]
struct Lasting {
    /// As of its beginning.
    began: Reading,
    /// When it was last spoken of.
    said: Reading,
    /// When something last looked like it.
    seen: Reading,
    /// Whom it was directed at then.
    to: String,
}

impl Flood {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(threshold: u32, now_ns: u64) -> Self {
        Self {
            threshold: threshold.into(),
            servers: Servers::new(),
            flooded: Spells::new(SERVERS),
            busy: Spells::new(BUSY),
            held: Spells::new(HELD),
            latest_ns: 0,
            counts: Counts::default(),
            last: Reading {
                now_ns,
                ..Reading::default()
            },
            suspected: None,
            listed: 0,
            lasting: None,
        }
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether a flood lasts.
    #[must_use]
    pub const fn lasts(&self) -> bool {
        self.lasting.is_some()
    }

    /// Takes an event, and has the assembler take it unless it is of an opening that is not listed; tells
    /// whether it did.
    pub fn pass(
        &mut self,
        event: &Event,
        assembler: &mut Assembler,
        now_ns: u64,
        output: &mut impl Output,
    ) -> bool {
        let part = Part::of(event);
        if !self.admits(event, part, || assembler.has_opened(event)) {
            return false;
        }
        let flood = &*self;
        let mut marked = Marked {
            flood,
            now_ns,
            output,
        };
        if part == Part::Completes {
            assembler.make_way_for(event, &mut marked);
        }
        assembler.observe(event, &mut marked);
        true
    }

    /// Counts an event; tells whether the assembler takes it. `is_open` tells whether the assembler knows
    /// its connection to be open.
    fn admits(&mut self, event: &Event, part: Part, is_open: impl FnOnce() -> bool) -> bool {
        self.latest_ns = self.latest_ns.max(event.time_ns);
        match part {
            Part::Opens(Kind::Syn) => {
                self.counts.syns += 1;
                self.servers.asked(part::destination(event));
            }
            Part::Completes => {
                self.counts.completed += 1;
                self.servers.completed(&part::destination(event));
            }
            _ => {}
        }
        let kind = match part {
            Part::Opens(kind) => kind,
            Part::Doubtful => Kind::Other,
            Part::Completes | Part::Beside => return true,
        };
        // Before the first flood there is nothing more to ask.
        if self.counts.floods == 0 {
            return true;
        }
        let began_ns = part::began_ns(event);
        let ends = event.endpoints();
        if !self.flooded.hold(&ends, began_ns) && !self.busy.hold(&ends, began_ns) {
            if kind == Kind::Syn && began_ns == event.time_ns {
                self.list_one();
            }
            return true;
        }
        // What comes again may still belong to a connection that is open by now.
        let may_be_open = part == Part::Doubtful || event.sender.opened_ns < event.time_ns;
        if may_be_open && is_open() {
            return true;
        }
        let count = match kind {
            Kind::Syn => &mut self.counts.unlisted_syn,
            Kind::SynAck => &mut self.counts.unlisted_syn_ack,
            Kind::Other => &mut self.counts.unlisted_other,
        };
        *count += 1;
        false
    }

    /// Counts an opening that is listed; where that is one too many, others are not until the next
    /// window.
    fn list_one(&mut self) {
        self.listed += 1;
        let most = self.threshold / LISTED_SHARE * WINDOW_NS / 1_000_000_000;
        if self.lasts() && self.listed >= most {
            self.busy.need(None, self.latest_ns + 1, self.last.now_ns);
        }
    }

    /// Takes the programs' counters as they are now; gives a line to be said, if there is one.
    pub fn look(&mut self, totals: &Totals, now_ns: u64) -> Option<String> {
        let now = Reading::of(totals, self.counts, now_ns);
        let last = std::mem::replace(&mut self.last, now);
        let window = now.since(&last);
        if now.held > last.held {
            self.held.need(None, last.now_ns, now_ns);
        } else {
            self.held.end(u64::MAX, last.now_ns);
        }
        self.busy.end(u64::MAX, self.latest_ns);
        self.listed = 0;
        // One window may be the beginning of a rush, whose first handshakes take their time to complete.
        // Where the programs hold back already, it is not waited for another one.
        let held_back = now.held_syn > last.held_syn && window.ns <= LONG_WINDOW_NS;
        let sure = self.suspected.is_some() || held_back;
        self.suspected = self
            .looks_like_one(&window, &now, &last)
            .then(|| self.suspected.unwrap_or(last));
        let line = if let Some(first) = self.suspected
            && (sure || self.lasts())
        {
            self.rises(first, now)
        } else {
            self.ebbs(now)
        };
        self.servers.clear();
        line
    }

    /// Whether a window looks like a flood: many SYNs, and few that complete. What lasts takes less.
    fn looks_like_one(&self, window: &Span, now: &Reading, last: &Reading) -> bool {
        let (threshold, tenths) = if self.lasts() {
            (self.threshold / 2, 5)
        } else {
            (self.threshold, 10)
        };
        // Of those that completed, the SYNs were reported not long before, or held back: a reader that
        // is behind finds few of both.
        let given = now.counts.syns.saturating_sub(last.counts.syns)
            + now.held_syn.saturating_sub(last.held_syn);
        window.rate() >= threshold.max(1)
            && window.completed.saturating_mul(tenths) < given.min(window.syns)
    }

    /// A flood begins, by what was seen since `first`, or goes on.
    fn rises(&mut self, first: Reading, now: Reading) -> Option<String> {
        for server in self.servers.flooded() {
            self.flooded
                .need(Some(server), self.latest_ns + 1, now.now_ns);
        }
        self.flooded
            .end(now.now_ns.saturating_sub(OVER_NS), self.latest_ns);
        let to = self.servers.told();
        let Some(lasting) = &mut self.lasting else {
            let to = to.unwrap_or_else(|| "servers that were not seen".to_owned());
            let line = words::begins(&now.since(&first), &to);
            self.counts.floods += 1;
            self.lasting = Some(Lasting {
                began: first,
                said: now,
                seen: now,
                to,
            });
            return Some(line);
        };
        lasting.seen = now;
        if let Some(to) = to {
            lasting.to = to;
        }
        if now.now_ns.saturating_sub(lasting.said.now_ns) < SAY_NS {
            return None;
        }
        let span = now.since(&lasting.said);
        lasting.said = now;
        let unlisted = now.since(&lasting.began).unlisted;
        Some(words::goes_on(&span, unlisted, &lasting.to))
    }

    /// Nothing looks like a flood.
    fn ebbs(&mut self, now: Reading) -> Option<String> {
        let over =
            |lasting: &mut Lasting| now.now_ns.saturating_sub(lasting.seen.now_ns) >= OVER_NS;
        let lasting = self.lasting.take_if(over)?;
        self.flooded.end(u64::MAX, self.latest_ns);
        let lasted_ns = lasting.seen.since(&lasting.began).ns;
        Some(words::ends(
            &now.since(&lasting.began),
            lasted_ns,
            &lasting.to,
        ))
    }

    /// Takes the counters at the end; a flood that lasts is over with it.
    pub fn finish(&mut self, totals: &Totals, now_ns: u64) -> Option<String> {
        let now = Reading::of(totals, self.counts, now_ns);
        if now.held > self.last.held {
            self.held.need(None, self.last.now_ns, now_ns);
        }
        let lasting = self.lasting.take()?;
        let span = now.since(&lasting.began);
        Some(words::ends(&span, span.ns, &lasting.to))
    }

    /// Whether segments of an opening between these ends, which was there in this time, may have been
    /// withheld from the assembler: by the programs, which hold back one by one, or here, where the
    /// programs may have forgotten when it began.
    fn touches(&self, ends: &[Endpoint; 2], first_ns: u64, last_ns: u64) -> bool {
        [&self.held, &self.flooded, &self.busy]
            .iter()
            .any(|spells| spells.touch(ends, first_ns, last_ns))
    }
}
