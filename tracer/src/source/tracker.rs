//! The kernel's tracker, run in user space.
//!
//! In: frames with their times. Out: the same events that the programs give for the same frames:
//! this is the other [`Host`] of the one tracker.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::event::{Event, NO_EVENT};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::flow::{self, Flow, Host, Key, Mark, Vantage, WATCH_SLOTS};
use synfin_ebpf::octets::Octets;

/// For how long a significant segment keeps its connection watched, in ns.
const WATCH_NS: u64 = 8_000_000_000;

/// Follows openings and closings in frames.
pub struct Tracker {
    filter: Filter,
    flows: RefCell<HashMap<Key, Rc<Flow>>>,
    watch: Vec<Cell<u64>>,
    counters: [Cell<u64>; COUNTERS],
    events: RefCell<VecDeque<Event>>,
    serial: Cell<u64>,
    now_ns: Cell<u64>,
}

impl Tracker {
    /// Follows the connections that pass the filter.
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self {
            filter,
            flows: RefCell::default(),
            watch: vec![Cell::new(0); WATCH_SLOTS],
            counters: [const { Cell::new(0) }; COUNTERS],
            events: RefCell::default(),
            serial: Cell::new(0),
            now_ns: Cell::new(0),
        }
    }

    /// Looks at a frame seen at `time_ns`; its events wait in [`Tracker::next_event`].
    pub fn take<F: Octets + ?Sized>(&mut self, frame: &F, vantage: &Vantage, time_ns: u64) {
        self.now_ns.set(time_ns);
        flow::trace(frame, vantage, self);
    }

    /// The next event, in the order of the frames.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.get_mut().pop_front()
    }

    /// The counters, in the order of the kernel's.
    #[must_use]
    pub fn counters(&self) -> [u64; COUNTERS] {
        self.counters.each_ref().map(Cell::get)
    }
}

impl Host for Tracker {
    type Entry = Rc<Flow>;

    fn count(&self, index: usize) {
        if let Some(counter) = self.counters.get(index) {
            counter.set(counter.get() + 1);
        }
    }

    fn is_watched(&self, slot: usize) -> bool {
        let until = self.watch.get(slot).map_or(0, Cell::get);
        self.now_ns.get() < until
    }

    fn watch(&self, slot: usize) {
        if let Some(until) = self.watch.get(slot) {
            until.set(self.now_ns.get().saturating_add(WATCH_NS));
        }
    }

    fn filter(&self) -> &Filter {
        &self.filter
    }

    fn flow(&self, key: &Key) -> Option<Rc<Flow>> {
        self.flows.borrow().get(key).cloned()
    }

    fn enter(&self, key: &Key) -> Option<Rc<Flow>> {
        let mut flows = self.flows.borrow_mut();
        Some(Rc::clone(
            flows.entry(*key).or_insert_with(|| Rc::new(Flow::new())),
        ))
    }

    fn claim(&self, flow: &Flow, mark: Mark) -> bool {
        let before = flow.marks().get();
        flow.marks().set(before | mark.bits());
        before & mark.bits() == 0
    }

    fn clear(&self, flow: &Flow, mark: Mark) {
        flow.marks().set(flow.marks().get() & !mark.bits());
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn is_crowded(&self) -> bool {
        // The queue is emptied frame by frame.
        false
    }

    fn serial(&self) -> (u32, u64) {
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        (0, serial)
    }

    fn emit(&self, fill: impl FnOnce(&mut Event)) -> bool {
        let mut event = NO_EVENT;
        fill(&mut event);
        self.events.borrow_mut().push_back(event);
        true
    }
}
