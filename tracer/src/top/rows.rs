//! The rows that are kept: what is open, as far as there is room for it, and what ended last. Failures
//! have room of their own, so that what went well does not push them out.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use synfin_ebpf::flow::Key;

use super::row::{Id, Row, key};
use crate::timeline::Connection;

/// Rows looked at again at once; the others wait for the next time.
const REFRESHED: usize = 2_000;

/// The rows.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// Rows of each kind: open, ended well, failed.
    limit: usize,
    rows: HashMap<Id, Row>,
    next: Id,
    open: HashMap<Key, Seat>,
    /// Open rows in the order of their activity.
    active: BTreeMap<u64, Key>,
    stirs: u64,
    ended: VecDeque<Id>,
    failed: VecDeque<Id>,
    /// Connections that something happened to since they were looked at.
    stirred: VecDeque<Key>,
    stirred_set: HashSet<Key>,
    /// Ended rows that were given up for newer ones.
    pub(super) dropped: u64,
    /// This one is looked at by somebody, and stays.
    pub(super) held: Option<Id>,
}

/// Where an open row is.
#[derive(Clone, Copy, Debug)]
struct Seat {
    id: Id,
    stir: u64,
}

impl Rows {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            rows: HashMap::new(),
            next: 0,
            open: HashMap::new(),
            active: BTreeMap::new(),
            stirs: 0,
            ended: VecDeque::new(),
            failed: VecDeque::new(),
            stirred: VecDeque::new(),
            stirred_set: HashSet::new(),
            dropped: 0,
            held: None,
        }
    }

    pub(super) fn get(&self, id: Id) -> Option<&Row> {
        self.rows.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// How many of them are open.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Notes that something happened to a connection.
    pub(super) fn stir(&mut self, key: Key) {
        // Of more connections than there is room for only so many are looked at.
        if self.stirred.len() < self.limit.max(REFRESHED) && self.stirred_set.insert(key) {
            self.stirred.push_back(key);
        }
    }

    /// Sees to it that those of these rows that are open are looked at again.
    pub(super) fn stir_open<'a>(&mut self, ids: impl Iterator<Item = &'a Id>) {
        let rows = ids.filter_map(|id| self.rows.get(id));
        let open = rows.filter(|row| row.open);
        let keys: Vec<_> = open.map(|row| key(&row.connection)).collect();
        keys.into_iter().for_each(|key| self.stir(key));
    }

    /// Looks again at what something happened to; `changed` hears of each row.
    pub(super) fn refresh(
        &mut self,
        mut record: impl FnMut(&Key) -> Option<Connection>,
        mut changed: impl FnMut(&mut Row),
    ) {
        for _ in 0..REFRESHED {
            let Some(key) = self.stirred.pop_front() else {
                return;
            };
            self.stirred_set.remove(&key);
            if let Some(connection) = record(&key)
                && let Some(row) = self.update(key, connection)
            {
                changed(row);
            }
        }
    }

    fn update(&mut self, key: Key, connection: Connection) -> Option<&mut Row> {
        self.stirs += 1;
        let stir = self.stirs;
        let before = self.open.get(&key).copied();
        let id = before.map_or_else(|| self.number(), |seat| seat.id);
        if let Some(seat) = before {
            self.active.remove(&seat.stir);
        } else if self.open.len() >= self.limit {
            self.give_up_idle();
        }
        self.active.insert(stir, key);
        self.open.insert(key, Seat { id, stir });
        self.put(id, true, connection)
    }

    /// Takes the last record of a connection.
    pub(super) fn end(&mut self, connection: Connection) -> Option<&mut Row> {
        let seat = self.open.remove(&key(&connection));
        if let Some(seat) = seat {
            self.active.remove(&seat.stir);
        }
        let id = seat.map_or_else(|| self.number(), |seat| seat.id);
        let failed = self.put(id, false, connection)?.failed();
        let queue = if failed {
            &mut self.failed
        } else {
            &mut self.ended
        };
        queue.push_back(id);
        if queue.len() > self.limit {
            if self.held == queue.front().copied() {
                queue.rotate_left(1);
            }
            if let Some(oldest) = queue.pop_front() {
                self.rows.remove(&oldest);
                self.dropped += 1;
            }
        }
        self.rows.get_mut(&id)
    }

    fn put(&mut self, id: Id, open: bool, connection: Connection) -> Option<&mut Row> {
        let counted = self.rows.get(&id).is_some_and(|row| row.counted);
        let row = Row {
            counted,
            ..Row::new(id, open, connection)
        };
        self.rows.insert(id, row);
        self.rows.get_mut(&id)
    }

    /// Lists the open connection no more that nothing happened to for the longest time; it comes back
    /// when something does, or when it ends.
    fn give_up_idle(&mut self) {
        let held = |key: &Key| {
            let seat = self.open.get(key);
            seat.is_some_and(|seat| Some(seat.id) == self.held)
        };
        let idle = self.active.iter().find(|(_, key)| !held(key));
        let Some((stir, key)) = idle.map(|(stir, key)| (*stir, *key)) else {
            return;
        };
        self.active.remove(&stir);
        if let Some(seat) = self.open.remove(&key) {
            self.rows.remove(&seat.id);
        }
    }

    const fn number(&mut self) -> Id {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{ftp, no_reply};

    fn from(port: u16, mut connection: Connection) -> Connection {
        connection.client.port = port;
        connection
    }

    fn open(rows: &mut Rows, port: u16) -> Id {
        let connection = from(port, ftp());
        rows.stir(key(&connection));
        let mut id = 0;
        rows.refresh(|_| Some(connection.clone()), |row| id = row.id);
        id
    }

    #[test]
    fn a_connection_keeps_its_row_from_its_first_step_to_its_end() {
        let mut rows = Rows::new(2);
        let id = open(&mut rows, 1);
        assert_eq!(open(&mut rows, 1), id);
        assert!(rows.get(id).unwrap().open);
        assert_eq!(rows.end(from(1, ftp())).map(|row| row.id), Some(id));
        assert_eq!((rows.open(), rows.iter().count()), (0, 1));
        assert_ne!(open(&mut rows, 1), id);
    }

    #[test]
    fn what_went_well_pushes_no_failure_out() {
        let mut rows = Rows::new(2);
        rows.end(from(1, no_reply()));
        (2..9).for_each(|port| {
            rows.end(from(port, ftp()));
        });
        let mut ports: Vec<_> = rows.iter().map(|row| row.connection.client.port).collect();
        ports.sort_unstable();
        assert_eq!((ports, rows.dropped), (vec![1, 7, 8], 5));
    }

    #[test]
    fn of_too_many_open_ones_the_idle_are_not_listed_until_they_stir() {
        let mut rows = Rows::new(2);
        let [first, second] = [open(&mut rows, 1), open(&mut rows, 2)];
        open(&mut rows, 1);
        let third = open(&mut rows, 3);
        assert!(rows.get(first).is_some() && rows.get(second).is_none());
        assert!(rows.get(third).is_some());
        assert_ne!(open(&mut rows, 2), second);
        assert!(rows.get(first).is_none());
    }

    #[test]
    fn a_row_that_is_looked_at_stays() {
        let mut rows = Rows::new(1);
        let id = rows.end(from(1, ftp())).unwrap().id;
        rows.held = Some(id);
        rows.end(from(2, ftp()));
        rows.end(from(3, ftp()));
        assert!(rows.get(id).is_some());
        let id = open(&mut rows, 1);
        rows.held = Some(id);
        open(&mut rows, 2);
        assert!(rows.get(id).is_some());
    }
}
