//! One of the ways from packets to records. Each has the connections of its own, and runs in a thread
//! of its own.

use synfin_ebpf::account::Accounts;
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::Key;
use synfin_ebpf::wire::Located;

use super::batch::Batch;
use super::round::Round;
use crate::assembler::{Assembler, Counts, Hint, Live, Output, Settings};
use crate::printer::Printer;
use crate::source::{Packet, Tracker};
use crate::timeline::{Connection, Step};

/// Connections that are open at the end and handed out before what they came to is passed on.
const FINISHED_AT_ONCE: usize = 256;

/// Follows connections.
pub(super) struct Lane {
    tracker: Tracker<Hint>,
    assembler: Assembler,
    printer: Printer,
}

/// What is left of a lane when it is done.
pub(super) struct Rest {
    pub(super) printer: Printer,
    pub(super) counters: [u64; COUNTERS],
    pub(super) counts: Counts,
}

impl Lane {
    pub(super) fn new(tracker: Tracker<Hint>, settings: Settings, printer: Printer) -> Self {
        Self {
            tracker,
            assembler: Assembler::new(settings),
            printer,
        }
    }

    /// Takes packets, and fills in what they come to.
    pub(super) fn take(&mut self, batch: &Batch, round: &mut Round) {
        for (index, name) in &batch.names {
            self.assembler.name_interface(*index, name.clone());
        }
        for (packet, located) in batch.packets() {
            self.take_one(&packet, located, round);
        }
        if self.is_due(batch.until_ns) {
            self.advance(batch.until_ns, round);
        }
        self.printer.swap_rendered(&mut round.octets);
    }

    fn take_one(&mut self, packet: &Packet<'_>, located: &Located, round: &mut Round) {
        let Packet {
            frame,
            time_ns,
            vantage,
        } = packet;
        if self.is_due(*time_ns) {
            self.advance(*time_ns, round);
        }
        self.tracker.take_located(frame, located, vantage, *time_ns);
        if let Some(settled) = self.tracker.settled() {
            self.assembler.settle(&settled);
        }
        if let Some(event) = self.tracker.event() {
            let mut outlet = Outlet {
                printer: &mut self.printer,
                tracker: &self.tracker,
                round,
            };
            let hint = self.tracker.note();
            let hint = self.assembler.observe_at(hint, &event, &mut outlet);
            self.tracker.leave(hint);
        }
    }

    /// Hands out some of what is open at the end; tells whether there is more.
    pub(super) fn finish_some(&mut self, round: &mut Round) -> bool {
        let mut outlet = Outlet {
            printer: &mut self.printer,
            tracker: &self.tracker,
            round,
        };
        let more = self.assembler.finish_some(FINISHED_AT_ONCE, &mut outlet);
        self.printer.swap_rendered(&mut round.octets);
        more
    }

    /// The end.
    pub(super) fn rest(self) -> Rest {
        let rest = Rest {
            printer: self.printer,
            counters: self.tracker.counters(),
            counts: *self.assembler.counts(),
        };
        // The process ends: giving the memory back piece by piece would only take time.
        std::mem::forget((self.tracker, self.assembler));
        rest
    }

    /// Whether the assembler has something to do of itself by now.
    fn is_due(&self, now_ns: u64) -> bool {
        let due_ns = self.assembler.next_deadline_ns();
        due_ns.is_some_and(|due_ns| now_ns >= due_ns)
    }

    #[cold]
    fn advance(&mut self, now_ns: u64, round: &mut Round) {
        let mut outlet = Outlet {
            printer: &mut self.printer,
            tracker: &self.tracker,
            round,
        };
        self.assembler.advance(now_ns, &mut outlet);
    }
}

/// Renders records and notes their order; what the tracker kept of a connection ends with its record.
struct Outlet<'a> {
    printer: &'a mut Printer,
    tracker: &'a Tracker<Hint>,
    round: &'a mut Round,
}

impl Output for Outlet<'_> {
    fn follows(&self) -> bool {
        self.printer.follows()
    }

    fn step(&mut self, live: &Live, step: &Step) {
        self.printer.step(live, step);
        let at_ns = u64::try_from(live.unix_ns).unwrap_or(0);
        self.round.note(at_ns, self.printer.waiting());
    }

    fn connection(&mut self, connection: Connection, at_ns: u64) {
        self.printer.connection(connection, at_ns);
        self.round.note(at_ns, self.printer.waiting());
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        self.tracker.forget(key)
    }
}
