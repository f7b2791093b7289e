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

/// How exact the order of activity is.
const TOUCH_NS: u64 = 100_000_000;
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
    hash: u64,
    slot: u32,
    is_over: bool,
}

impl Place {
    /// Whether it is that of the connection with this key, which is over.
    fn is_over_of<E>(
        &self,
        key: &Key,
        hash: u64,
        ended: &VecDeque<Ended<E>>,
        first_ended: u32,
    ) -> bool {
        let number = self.slot.wrapping_sub(first_ended) as usize;
        self.is_over && self.hash == hash && ended.get(number).is_some_and(|over| over.key == *key)
    }
}

struct Node<L> {
    key: Key,
    older: u32,
    newer: u32,
    touched_ns: u64,
    hash: u64,
    generation: u32,
    live: Option<L>,
}

struct Ended<E> {
    key: Key,
    hash: u64,
    ended_ns: u64,
    rest: E,
}

/// A followed connection: as long as it is followed, and no other one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    index: u32,
    generation: u32,
}

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
        let hash = self.hasher.hash_one(key);
        let place = self.index.find(hash, |place| self.is_at(*place, hash, key));
        match place {
            Some(place) if place.is_over => self
                .over(place.slot)
                .map_or(Found::Nothing, |ended| Found::Ended(ended.rest)),
            Some(place) => Found::Live(self.slot(place.slot)),
            None => Found::Nothing,
        }
    }

    /// Whether the connection in this slot is that with this key.
    pub(super) fn holds(&self, slot: Slot, key: &Key) -> bool {
        let node = self.node(slot.index);
        node.is_some_and(|node| {
            node.generation == slot.generation && node.live.is_some() && node.key == *key
        })
    }

    /// The connection in this slot, unless it is not followed any more.
    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut L> {
        let node = self.node_mut(slot.index)?;
        node.live
            .as_mut()
            .filter(|_| node.generation == slot.generation)
    }

    /// Notes that the connection is active.
    pub(super) fn touch(&mut self, slot: Slot, now_ns: u64) {
        let Some(node) = self.node_mut(slot.index) else {
            return;
        };
        if now_ns.saturating_sub(node.touched_ns) >= TOUCH_NS {
            node.touched_ns = now_ns;
            self.unlink(slot.index);
            self.link(slot.index);
        }
    }

    /// The connection that was idle for the longest time.
    pub(super) fn oldest(&self) -> Option<Slot> {
        (self.oldest != NONE).then(|| self.slot(self.oldest))
    }

    /// Follows a connection from now on; what was kept of an ended one under its key is forgotten.
    pub(super) fn insert(&mut self, key: Key, now_ns: u64, live: L) -> Slot {
        let hash = self.hasher.hash_one(key);
        let index = self.take_slot();
        let Self {
            index: places,
            chunks,
            ended,
            first_ended,
            ..
        } = self;
        let at = |place: &Place| place.is_over_of(&key, hash, ended, *first_ended);
        let place = Place {
            hash,
            slot: index,
            is_over: false,
        };
        match places.entry(hash, at, |place| place.hash) {
            Entry::Occupied(mut entry) => *entry.get_mut() = place,
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
        }
        let at = index as usize;
        let chunk = chunks.get_mut(at / CHUNK);
        match chunk {
            Some(chunk) => match chunk.get_mut(at % CHUNK) {
                Some(node) => {
                    (node.key, node.hash, node.touched_ns) = (key, hash, now_ns);
                    node.live = Some(live);
                }
                None => chunk.push(Node::new(key, hash, now_ns, live)),
            },
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(Node::new(key, hash, now_ns, live));
                chunks.push(chunk);
            }
        }
        self.len += 1;
        self.link(index);
        self.slot(index)
    }

    /// Follows a connection no more.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<L> {
        let live = self.release(slot)?;
        let hash = self.node(slot.index)?.hash;
        let at = |place: &Place| !place.is_over && place.slot == slot.index;
        if let Ok(entry) = self.index.find_entry(hash, at) {
            entry.remove();
        }
        Some(live)
    }

    /// Keeps for a while what is known of a connection that is not followed any more.
    pub(super) fn remember(&mut self, key: Key, ended_ns: u64, rest: E) {
        let hash = self.hasher.hash_one(key);
        let number = self.next_ended;
        self.next_ended = number.wrapping_add(1);
        self.ended.push_back(Ended {
            key,
            hash,
            ended_ns,
            rest,
        });
        let place = Place {
            hash,
            slot: number,
            is_over: true,
        };
        let Self {
            index,
            ended,
            first_ended,
            ..
        } = self;
        let at = |place: &Place| place.is_over_of(&key, hash, ended, *first_ended);
        match index.entry(hash, at, |place| place.hash) {
            Entry::Occupied(mut entry) => *entry.get_mut() = place,
            Entry::Vacant(entry) => {
                entry.insert(place);
            }
        }
    }

    /// Forgets what ended before this time, and of the rest what is too much.
    pub(super) fn forget(&mut self, before_ns: u64, most: usize) {
        while let Some(ended) = self.ended.front()
            && (ended.ended_ns < before_ns || self.ended.len() > most)
        {
            let (hash, number) = (ended.hash, self.first_ended);
            let at = |place: &Place| place.is_over && place.slot == number;
            if let Ok(entry) = self.index.find_entry(hash, at) {
                entry.remove();
            }
            self.ended.pop_front();
            self.first_ended = number.wrapping_add(1);
        }
    }

    fn is_at(&self, place: Place, hash: u64, key: &Key) -> bool {
        place.hash == hash
            && if place.is_over {
                self.over(place.slot).is_some_and(|ended| ended.key == *key)
            } else {
                self.node(place.slot).is_some_and(|node| node.key == *key)
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

    fn slot(&self, index: u32) -> Slot {
        let generation = self.node(index).map_or(0, |node| node.generation);
        Slot { index, generation }
    }

    /// A slot that is free: one that was used, or the one after the last.
    fn take_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    fn release(&mut self, slot: Slot) -> Option<L> {
        let node = self.node_mut(slot.index)?;
        if node.generation != slot.generation {
            return None;
        }
        let live = node.live.take()?;
        node.generation = node.generation.wrapping_add(1);
        self.unlink(slot.index);
        self.free.push(slot.index);
        self.len -= 1;
        Some(live)
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
    const fn new(key: Key, hash: u64, touched_ns: u64, live: L) -> Self {
        Self {
            key,
            older: NONE,
            newer: NONE,
            touched_ns,
            hash,
            generation: 0,
            live: Some(live),
        }
    }
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
            table.remove(slot)
        });
        assert_eq!(order.collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn a_slot_is_not_that_of_the_connection_after() {
        let mut table = Table::<u16, ()>::default();
        let first = table.insert(key(1), 0, 1);
        assert_eq!(table.remove(first), Some(1));
        let second = table.insert(key(2), 0, 2);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get_mut(second), Some(&mut 2));
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
                        prop_assert_eq!(table.remove(slot), Some(port));
                    }
                    Act::End(port) if followed.remove(&port) => {
                        let slot = live(&table.find(&key(port))).unwrap();
                        prop_assert_eq!(table.remove(slot), Some(port));
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
