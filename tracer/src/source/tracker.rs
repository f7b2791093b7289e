//! The kernel's tracker, run in user space.
//!
//! In: frames with their times. Out: the same events that the programs give for the same frames:
//! this is the other [`Host`] of the one tracker. What is kept of a connection stays until
//! [`Tracker::forget`]: whoever assembles the events knows when it is over.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::hash::BuildHasher;
use std::ops::Deref;
use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::event::{ABI_VERSION, Event, NO_EVENT};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::flow::{self, Flow, Host, Key, Ledgers, Mark, Unproved, Vantage};
use synfin_ebpf::octets::Octets;
use synfin_ebpf::wire::{Located, Tunnels};

/// Slots of the watch filter.
const WATCH_SLOTS: usize = 1 << 16;
/// For how long a significant segment keeps its connection watched, in ns.
const WATCH_NS: u64 = 8_000_000_000;

/// Follows openings and closings in frames. Whoever assembles the events can leave a note of type `N`
/// at a connection.
pub struct Tracker<N = ()> {
    filter: Filter,
    tunnels: Tunnels,
    accounts: bool,
    hasher: RandomState,
    table: RefCell<HashTable<Place<N>>>,
    /// The connection of the frame at hand, which is asked for more than once.
    latest: RefCell<Option<Rc<Kept<N>>>>,
    watch: Vec<Cell<u64>>,
    counters: [Cell<u64>; COUNTERS],
    event: RefCell<Event>,
    has_event: Cell<bool>,
    settled: Cell<Option<Settled>>,
    serial: Cell<u64>,
    now_ns: Cell<u64>,
}

/// Where something is kept of a connection.
struct Place<N> {
    hash: u64,
    kept: Rc<Kept<N>>,
}

/// What is kept of a connection.
struct Kept<N> {
    key: Key,
    note: Cell<N>,
    flow: Flow,
    ledgers: Ledgers,
}

/// Holds what a connection's opening and closing left.
pub struct Entry<N>(Rc<Kept<N>>);

/// Holds what was counted of a connection.
pub struct Counted<N>(Rc<Kept<N>>);

impl<N> Deref for Entry<N> {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.0.flow
    }
}

impl<N> Deref for Counted<N> {
    type Target = Ledgers;

    fn deref(&self) -> &Ledgers {
        &self.0.ledgers
    }
}

/// A key, as it is.
pub struct Aside(Key);

impl Deref for Aside {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.0
    }
}

impl Tracker {
    /// Follows the connections that pass the filter, also those in tunnels if so wished.
    #[must_use]
    pub fn new(filter: Filter, tunnels: Tunnels) -> Self {
        Self::with_notes(filter, tunnels)
    }
}

impl<N: Copy + Default> Tracker<N> {
    /// The same, with notes.
    #[must_use]
    pub fn with_notes(filter: Filter, tunnels: Tunnels) -> Self {
        Self {
            filter,
            tunnels,
            accounts: false,
            hasher: RandomState::default(),
            table: RefCell::default(),
            latest: RefCell::default(),
            watch: vec![Cell::new(0); WATCH_SLOTS],
            counters: [const { Cell::new(0) }; COUNTERS],
            event: RefCell::new(NO_EVENT),
            has_event: Cell::new(false),
            settled: Cell::new(None),
            serial: Cell::new(0),
            now_ns: Cell::new(0),
        }
    }

    /// Counts every segment for its connection, too.
    #[must_use]
    pub fn with_accounts(self) -> Self {
        Self {
            accounts: true,
            ..self
        }
    }

    /// Looks at a frame seen at `time_ns`. What it came to is in [`Tracker::settled`] and
    /// [`Tracker::event`] until the next one.
    pub fn take<F: Octets + ?Sized>(&self, frame: &F, vantage: &Vantage, time_ns: u64) {
        self.now_ns.set(time_ns);
        self.has_event.set(false);
        flow::trace(frame, vantage, self);
    }

    /// The same where the TCP header was found before.
    pub fn take_located<F: Octets + ?Sized>(
        &self,
        frame: &F,
        located: &Located,
        vantage: &Vantage,
        time_ns: u64,
    ) {
        self.now_ns.set(time_ns);
        self.has_event.set(false);
        flow::trace_located(frame, located, vantage, self);
    }

    /// The event of the latest frame.
    #[must_use]
    pub fn event(&self) -> Option<Ref<'_, Event>> {
        self.has_event.get().then(|| self.event.borrow())
    }

    /// The counts of the connection that the one of the latest frame took the place of; they come
    /// before its event, and are given once.
    #[must_use]
    pub fn settled(&self) -> Option<Settled> {
        self.settled.take()
    }

    /// The note at the connection of the latest frame.
    #[must_use]
    pub fn note(&self) -> N {
        let latest = self.latest.borrow();
        latest
            .as_ref()
            .map_or_else(N::default, |kept| kept.note.get())
    }

    /// Leaves a note at the connection of the latest frame.
    pub fn leave(&self, note: N) {
        if let Some(kept) = self.latest.borrow().as_ref() {
            kept.note.set(note);
        }
    }

    /// What is counted of a connection.
    #[must_use]
    pub fn counted(&self, key: &Key) -> Option<Accounts> {
        let hash = self.hasher.hash_one(key);
        let table = self.table.borrow();
        let place = table.find(hash, |place| place.is_of(key, hash))?;
        self.accounts.then(|| place.kept.ledgers.accounts())
    }

    /// Forgets a connection; gives what was counted of it.
    pub fn forget(&self, key: &Key) -> Option<Accounts> {
        self.latest.borrow_mut().take_if(|kept| kept.key == *key);
        let hash = self.hasher.hash_one(key);
        let mut table = self.table.borrow_mut();
        let place = table
            .find_entry(hash, |place| place.is_of(key, hash))
            .ok()?;
        let (Place { kept, .. }, _) = place.remove();
        self.accounts.then(|| kept.ledgers.accounts())
    }

    /// Connections that something is kept of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.borrow().len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The counters, in the order of the kernel's.
    #[must_use]
    pub fn counters(&self) -> [u64; COUNTERS] {
        self.counters.each_ref().map(Cell::get)
    }

    fn kept(&self, key: &Key) -> Option<Rc<Kept<N>>> {
        let mut latest = self.latest.borrow_mut();
        if latest.as_ref().is_none_or(|kept| kept.key != *key) {
            let hash = self.hasher.hash_one(key);
            let table = self.table.borrow();
            let place = table.find(hash, |place| place.is_of(key, hash));
            *latest = place.map(|place| Rc::clone(&place.kept));
        }
        latest.clone()
    }

    fn kept_from_now_on(&self, key: &Key) -> Rc<Kept<N>> {
        if let Some(kept) = self.kept(key) {
            return kept;
        }
        let kept = Rc::new(Kept {
            key: *key,
            note: Cell::default(),
            flow: Flow::new(),
            ledgers: Ledgers::new(),
        });
        let place = Place {
            hash: self.hasher.hash_one(key),
            kept: Rc::clone(&kept),
        };
        let mut table = self.table.borrow_mut();
        table.insert_unique(place.hash, place, |place| place.hash);
        *self.latest.borrow_mut() = Some(Rc::clone(&kept));
        kept
    }
}

impl<N> Place<N> {
    fn is_of(&self, key: &Key, hash: u64) -> bool {
        self.hash == hash && self.kept.key == *key
    }
}

impl<N: Copy + Default> Host for Tracker<N> {
    type Entry = Entry<N>;
    type Ledgers = Counted<N>;
    type Aside = Aside;
    type Slot<'a>
        = RefMut<'a, Event>
    where
        Self: 'a;

    fn count(&self, index: usize) {
        if let Some(counter) = self.counters.get(index) {
            counter.set(counter.get() + 1);
        }
    }

    fn is_watched(&self, hash: u32) -> bool {
        let until = self
            .watch
            .get(hash as usize % WATCH_SLOTS)
            .map_or(0, Cell::get);
        self.now_ns.get() < until
    }

    fn watch(&self, hash: u32) {
        if let Some(until) = self.watch.get(hash as usize % WATCH_SLOTS) {
            until.set(self.now_ns.get().saturating_add(WATCH_NS));
        }
    }

    fn filter(&self) -> &Filter {
        &self.filter
    }

    fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    fn flow(&self, key: &Key, enter: bool) -> Option<Entry<N>> {
        if enter {
            return Some(Entry(self.kept_from_now_on(key)));
        }
        self.kept(key).map(Entry)
    }

    fn keep(&self, _: &Entry<N>, _: bool) {
        // Whoever assembles the events says when it is forgotten.
    }

    fn accounts(&self) -> bool {
        self.accounts
    }

    fn ledgers(&self, key: &Key) -> Option<Counted<N>> {
        Some(Counted(self.kept_from_now_on(key)))
    }

    fn settle(&self, key: &Key, ledgers: &Ledgers) -> bool {
        self.settled.set(Some(Settled {
            key: *key,
            abi: ABI_VERSION.into(),
            accounts: ledgers.accounts(),
        }));
        true
    }

    fn claim(&self, flow: &Flow, mark: Mark) -> bool {
        let before = flow.marks().get();
        flow.marks().set(before | mark.bits());
        before & mark.bits() == 0
    }

    fn clear(&self, flow: &Flow, mark: Mark) {
        flow.marks().set(flow.marks().get() & !mark.bits());
    }

    fn set_aside(&self, key: Key) -> Aside {
        Aside(key)
    }

    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn admits(&self, _: Unproved) -> bool {
        // Every event is taken before the next frame.
        true
    }

    fn serial(&self) -> (u32, u64) {
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        (0, serial)
    }

    fn reserve(&self) -> Option<RefMut<'_, Event>> {
        let mut event = self.event.borrow_mut();
        *event = NO_EVENT;
        Some(event)
    }

    fn submit(&self, _: RefMut<'_, Event>) {
        self.has_event.set(true);
    }
}
