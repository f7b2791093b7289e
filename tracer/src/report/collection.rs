//! What becomes of the records: all are counted, and the ones that matter most are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::best::Best;
use super::fate::Fate;
use super::ladder;
use super::row::{Listed, Rank, Row, Shown};
use super::totals::Totals;
use crate::diagnosis::{Diagnosis, diagnose};
use crate::printer::Gather;
use crate::sink::Drawing;
use crate::timeline::Connection;

/// Connections that are shown with their ladders without any script, of each kind.
const SLOWEST: usize = 25;
const FAILED: usize = 100;
/// Octets that may be kept for a listed connection on average.
const OCTETS_EACH: usize = 2 << 10;

/// Where records go, from any number of threads.
#[derive(Debug)]
pub(super) struct Gatherer(Mutex<Collection>);

/// What is kept.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) totals: Totals,
    pub(super) list: Best<Listed>,
    /// Octets of the list, and how many there may be.
    octets: usize,
    most_octets: usize,
    pub(super) slowest: Best<Shown<(u64, Rank)>>,
    pub(super) failed: Best<Shown<Rank>>,
}

impl Gatherer {
    /// Lists at most so many connections.
    pub(super) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self(Mutex::new(Collection {
            totals: Totals::new(),
            list: Best::of(most),
            octets: 0,
            most_octets: most.saturating_mul(OCTETS_EACH),
            slowest: Best::of(SLOWEST),
            failed: Best::of(FAILED),
        }))
    }

    /// Everything; for the others nothing is left.
    pub(super) fn collected(&self) -> Collection {
        let empty = Collection {
            totals: Totals::new(),
            list: Best::of(0),
            octets: 0,
            most_octets: 0,
            slowest: Best::of(0),
            failed: Best::of(0),
        };
        std::mem::replace(&mut *self.lock(), empty)
    }

    fn lock(&self) -> MutexGuard<'_, Collection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gather for Gatherer {
    fn take(&self, connection: &Connection) {
        // Diagnosed and rendered while others may gather.
        let diagnoses = diagnose(connection);
        let rank = Rank::from(connection);
        if !self.lock().count(connection, &diagnoses, rank) {
            return;
        }
        let listed = Listed {
            row: Row::new(connection, &diagnoses),
            ladder: ladder::encoded(&Drawing::from(connection)).into(),
        };
        self.lock().list(listed);
    }
}

impl Collection {
    /// Counts a record; tells whether the list has room for it.
    fn count(&mut self, connection: &Connection, diagnoses: &[Diagnosis], rank: Rank) -> bool {
        self.totals.count(connection, diagnoses);
        if let Some(ns) = connection.open.rtt.total {
            let key = (ns, rank);
            if self.slowest.has_room(|least| key > least.key) {
                let connection = connection.clone();
                self.slowest.add(Shown { key, connection });
            }
        }
        let bad = Fate::of(connection) != Fate::Well;
        if bad && self.failed.has_room(|least| rank > least.key) {
            let connection = connection.clone();
            self.failed.add(Shown {
                key: rank,
                connection,
            });
        }
        self.list.has_room(|least| rank >= Rank::from(&least.row))
    }

    fn list(&mut self, listed: Listed) {
        self.octets += listed.octets();
        if let Some(one) = self.list.add(listed) {
            self.octets -= one.octets();
        }
        while self.octets > self.most_octets
            && let Some(one) = self.list.drop_least()
        {
            self.octets -= one.octets();
        }
    }
}
