//! Connections by key: those that are followed, and for a while those that are over.
//!
//! A key is hashed once a call; growing moves no connection and asks no key again. Followed
//! connections are in the order of their activity, to within [`TOUCH_NS`]: whoever is busy is not
//! relinked for every segment.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::{Address, Scope};

/// How exact the order of activity is.
const TOUCH_NS: u64 = 100_000_000;
/// Times of activity are kept without so many bits of their ns: 16 µs are one unit, and they go round
/// after 19 hours.
const TICK_BITS: u32 = 14;
/// A time so many units after another one lies before it: an hour of clocks that were set back.
const BEFORE: u32 = u32::MAX / 16 * 15;
/// Connections in a chunk of memory.
const CHUNK: usize = 256;
/// No connection.
const NONE: u32 = u32::MAX;

/// Connections that are followed, as `L`, and connections that are over, as `E`.
pub(super) struct Table<L, E> {
    hasher: RandomState,
    index: HashTable<Place>,
    /// Never more than `CHUNK` in each, so that none moves.
    chunks: Vec<Vec<Node<L>>>,
    free: Vec<u32>,
    /// Slots that there are, free or not.
    slots: u32,
    /// The ends of the order of activity.
    oldest: u32,
    latest: u32,
    len: usize,
    /// In the order in which they ended.
    ended: VecDeque<Ended<E>>,
    /// The number of the first of `ended`, and that of the next one to come; numbers go round.
    first_ended: u32,
    next_ended: u32,
}

/// Where a connection is.
#[derive(Clone, Copy)]
struct Place {
    /// Half of the key's hash: all that the index is asked by.
    hash: u32,
    /// Its slot; or, of one that is over, its number.
    slot: u32,
}

/// The bit of a hash that says that a connection is over; it takes no part in the look-up.
const IS_OVER: u32 = 1;

impl Place {
    const fn live(hash: u32, slot: u32) -> Self {
        Self {
            hash: hash & !IS_OVER,
            slot,
        }
    }

    const fn over(hash: u32, number: u32) -> Self {
        Self {
            hash: hash | IS_OVER,
            slot: number,
        }
    }

    const fn is_over(self) -> bool {
        self.hash & IS_OVER != 0
    }

    const fn is_of(self, hash: u32) -> bool {
        (self.hash ^ hash) & !IS_OVER == 0
    }

    /// What the index sorts it by: it looks at the highest and at the lowest bits.
    fn wide(self) -> u64 {
        wide(self.hash)
    }

    /// Whether it is that of the connection with this key, which is over.
    fn is_over_of<E>(
        self,
        key: &Key,
        hash: u32,
        ended: &VecDeque<Ended<E>>,
        first_ended: u32,
    ) -> bool {
        let number = self.slot.wrapping_sub(first_ended) as usize;
        self.is_over() && self.is_of(hash) && ended.get(number).is_some_and(|over| over.key == *key)
    }
}

fn wide(hash: u32) -> u64 {
    let half = u64::from(hash & !IS_OVER);
    half << 32 | half >> 1
}

/// A followed connection. The parts of its key stand by themselves, since together they have a gap.
struct Node<L> {
    ends: [Address; 2],
    scope: Scope,
    ports: [u16; 2],
    older: u32,
    newer: u32,
    touched: u32,
    live: Option<L>,
}

struct Ended<E> {
    key: Key,
    hash: u32,
    ended_ns: u64,
    rest: E,
}

/// Where a followed connection is, as long as it is followed; another one may have its place after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

/// What is known under a key.
#[derive(Clone, Copy)]
pub(super) enum Found<E> {
    /// It is followed.
    Live(Slot),
    /// It is over.
    Ended(E),
    /// Nothing.
    Nothing,
}

impl<L, E> Default for Table<L, E> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            index: HashTable::new(),
            chunks: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            latest: NONE,
            len: 0,
            ended: VecDeque::new(),
            first_ended: 0,
            next_ended: 0,
            slots: 0,
        }
    }
}

impl<L, E: Copy> Table<L, E> {
    /// Connections that are followed.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// What is known of this connection.
    pub(super) fn find(&self, key: &Key) -> Found<E> {
        let hash = self.hash(key);
        let place = (self.index).find(wide(hash), |place| self.is_at(*place, hash, key));
        match place {
            Some(place) if place.is_over() => self
                .over(place.slot)
                .map_or(Found::Nothing, |ended| Found::Ended(ended.rest)),
            Some(place) => Found::Live(Slot(place.slot)),
            None => Found::Nothing,
        }
    }

    /// Whether the connection in this slot is that with this key.
    pub(super) fn holds(&self, Slot(index): Slot, key: &Key) -> bool {
        let node = self.node(index);
        node.is_some_and(|node| node.live.is_some() && node.has(key))
    }

    /// The connection in this slot, unless none is followed there any more.
    pub(super) fn get(&self, Slot(index): Slot) -> Option<&L> {
        self.node(index)?.live.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, Slot(index): Slot) -> Option<&mut L> {
        self.node_mut(index)?.live.as_mut()
    }

    /// All connections that are followed.
    pub(super) fn iter(&self) -> impl Iterator<Item = &L> {
        let nodes = self.chunks.iter().flatten();
        nodes.filter_map(|node| node.live.as_ref())
    }

    /// Notes that the connection is active.
    pub(super) fn touch(&mut self, Slot(index): Slot, now_ns: u64) {
        let Some(node) = self.node_mut(index) else {
            return;
        };
        let now = tick(now_ns);
        let since = now.wrapping_sub(node.touched);
        if (tick(TOUCH_NS)..BEFORE).contains(&since) {
            node.touched = now;
            self.unlink(index);
            self.link(index);
        }
    }

    /// The connection that was idle for the longest time.
    pub(super) fn oldest(&self) -> Option<Slot> {
        (self.oldest != NONE).then_some(Slot(self.oldest))
    }

    /// Follows a connection from now on; what was kept of an ended one under its key is forgotten.
    pub(super) fn insert(&mut self, key: Key, now_ns: u64, live: L) -> Slot {
        let hash = self.hash(&key);
        let index = self.take_slot();
        self.set_place(&key, hash, Place::live(hash, index));
        let at = index as usize;
        let node = Node::new(&key, now_ns, live);
        match self.chunks.get_mut(at / CHUNK) {
            Some(chunk) => match chunk.get_mut(at % CHUNK) {
                Some(place) => *place = node,
                None => chunk.push(node),
            },
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(node);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
        self.link(index);
        Slot(index)
    }

    /// Follows a connection no more.
    pub(super) fn remove(&mut self, Slot(index): Slot) -> Option<(Key, L)> {
        let node = self.node_mut(index)?;
        let live = node.live.take()?;
        let key = node.key();
        self.unlink(index);
        self.free.push(index);
        self.len -= 1;
        let at = |place: &Place| !place.is_over() && place.slot == index;
        if let Ok(entry) = self.index.find_entry(wide(self.hash(&key)), at) {
            entry.remove();
        }
        Some((key, live))
    }

    /// Keeps for a while what is known of a connection that is not followed any more.
    pub(super) fn remember(&mut self, key: Key, ended_ns: u64, rest: E) {
        let hash = self.hash(&key);
        let number = self.next_ended;
        self.next_ended = number.wrapping_add(1);
        self.ended.push_back(Ended {
            key,
            hash,
            ended_ns,
            rest,
        });
        self.set_place(&key, hash, Place::over(hash, number));
    }

    /// Forgets what ended before this time, and of the rest what is too much.
    pub(super) fn forget(&mut self, before_ns: u64, most: usize) {
        while let Some(ended) = self.ended.front()
            && (ended.ended_ns < before_ns || self.ended.len() > most)
        {
            let (hash, number) = (ended.hash, self.first_ended);
            let at = |place: &Place| place.is_over() && place.slot == number;
            if let Ok(entry) = self.index.find_entry(wide(hash), at) {
                entry.remove();
            }
            self.ended.pop_front();
            self.first_ended = number.wrapping_add(1);
        }
    }

    fn hash(&self, key: &Key) -> u32 {
        let hash = self.hasher.hash_one(key);
        let [a, b, c, d, ..] = hash.to_ne_bytes();
        u32::from_ne_bytes([a, b, c, d])
    }

    /// Puts a place into the index, instead of that of a connection with this key that is over.
    fn set_place(&mut self, key: &Key, hash: u32, place: Place) {
        let Self {
            index,
            ended,
            first_ended,
            ..
        } = self;
        let at = |place: &Place| place.is_over_of(key, hash, ended, *first_ended);
        match index.entry(wide(hash), at, |place| place.wide()) {
            Entry::Occupied(mut entry) => *entry.get_mut() = place,
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
        }
    }

    fn is_at(&self, place: Place, hash: u32, key: &Key) -> bool {
        place.is_of(hash)
            && if place.is_over() {
                self.over(place.slot).is_some_and(|ended| ended.key == *key)
            } else {
                self.node(place.slot).is_some_and(|node| node.has(key))
            }
    }

    fn over(&self, number: u32) -> Option<&Ended<E>> {
        self.ended
            .get(number.wrapping_sub(self.first_ended) as usize)
    }

    fn node(&self, index: u32) -> Option<&Node<L>> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node<L>> {
        let index = index as usize;
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    /// A slot that is free: one that was used, or the one after the last.
    fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    fn link(&mut self, index: u32) {
        let before = std::mem::replace(&mut self.latest, index);
        if let Some(node) = self.node_mut(index) {
            (node.older, node.newer) = (before, NONE);
        }
        match self.node_mut(before) {
            Some(node) => node.newer = index,
            None => self.oldest = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(node) = self.node(index) else {
            return;
        };
        let (older, newer) = (node.older, node.newer);
        match self.node_mut(older) {
            Some(node) => node.newer = newer,
            None => self.oldest = newer,
        }
        match self.node_mut(newer) {
            Some(node) => node.older = older,
            None => self.latest = older,
        }
    }
}

impl<L> Node<L> {
    const fn new(key: &Key, now_ns: u64, live: L) -> Self {
        Self {
            ends: [key.lo, key.hi],
            scope: key.scope,
            ports: [key.lo_port, key.hi_port],
            older: NONE,
            newer: NONE,
            touched: tick(now_ns),
            live: Some(live),
        }
    }

    const fn key(&self) -> Key {
        let [lo, hi] = self.ends;
        let [lo_port, hi_port] = self.ports;
        Key {
            lo,
            hi,
            lo_port,
            hi_port,
            padding: 0,
            scope: self.scope,
        }
    }

    fn has(&self, key: &Key) -> bool {
        self.key() == *key
    }
}

#[expect(clippy::cast_possible_truncation, reason = "ticks go round")]
const fn tick(now_ns: u64) -> u32 {
    (now_ns >> TICK_BITS) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn key(port: u16) -> Key {
        Key {
            lo_port: port,
            ..Key::default()
        }
    }

    fn live<E>(found: &Found<E>) -> Option<Slot> {
        match found {
            Found::Live(slot) => Some(*slot),
            _ => None,
        }
    }

    #[test]
    fn the_longest_idle_comes_first() {
        let mut table = Table::<u16, ()>::default();
        let slots = [1, 2, 3].map(|port| table.insert(key(port), 0, port));
        table.touch(slots[0], TOUCH_NS);
        let order = std::iter::from_fn(|| {
            let slot = table.oldest()?;
            Some(table.remove(slot)?.1)
        });
        assert_eq!(order.collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn a_slot_holds_the_connection_that_is_followed_there() {
        let mut table = Table::<u16, ()>::default();
        let first = table.insert(key(1), 0, 1);
        assert_eq!(table.remove(first), Some((key(1), 1)));
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        let second = table.insert(key(2), 0, 2);
        assert!(table.holds(second, &key(2)) && !table.holds(second, &key(1)));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u16),
        Remove(u16),
        End(u16),
        Forget(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            (0..40_u16).prop_map(Act::Insert),
            (0..40_u16).prop_map(Act::Remove),
            (0..40_u16).prop_map(Act::End),
            (0..20_usize).prop_map(Act::Forget),
        ];
        prop::collection::vec(act, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_tells_what_two_plain_maps_tell(acts in acts()) {
            let mut table = Table::<u16, u64>::default();
            let mut followed = BTreeSet::new();
            let mut ended = BTreeMap::new();
            let mut order: Vec<(u16, u64)> = Vec::new();
            for (now_ns, act) in (0_u64..).zip(acts) {
                match act {
                    Act::Insert(port) if followed.insert(port) => {
                        table.insert(key(port), now_ns, port);
                        ended.remove(&port);
                    }
                    Act::Remove(port) if followed.remove(&port) => {
                        let slot = live(&table.find(&key(port))).unwrap();
                        prop_assert_eq!(table.remove(slot), Some((key(port), port)));
                    }
                    Act::End(port) if followed.remove(&port) => {
                        let slot = live(&table.find(&key(port))).unwrap();
                        prop_assert_eq!(table.remove(slot), Some((key(port), port)));
                        table.remember(key(port), now_ns, now_ns);
                        ended.insert(port, now_ns);
                        order.push((port, now_ns));
                    }
                    Act::Forget(most) => {
                        table.forget(0, most);
                        while order.len() > most {
                            let (port, at) = order.remove(0);
                            if ended.get(&port) == Some(&at) {
                                ended.remove(&port);
                            }
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(table.len(), followed.len());
                for port in 0..40 {
                    match table.find(&key(port)) {
                        Found::Live(_) => prop_assert!(followed.contains(&port)),
                        Found::Ended(at) => prop_assert_eq!(ended.get(&port), Some(&at)),
                        Found::Nothing => {
                            prop_assert!(!followed.contains(&port) && !ended.contains_key(&port));
                        }
                    }
                }
            }
        }
    }
}
