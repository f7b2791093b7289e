//! What the screen shows: rows, rates, counts and words.
//!
//! In: steps and finished connections from the assembler, and now and then the records of open ones. It
//! has no I/O and no clock, and no state of a connection that a record does not hold. Bounded: see
//! [`Rows`] and [`Rates`].

use std::collections::VecDeque;

use synfin_ebpf::flow::Key;

use super::filter::Filter;
use super::rates::Rates;
use super::row::{Column, Id, Row};
use super::rows::Rows;
use crate::assembler::{Live, Output};
use crate::sink::Summary;
use crate::source::Fill;
use crate::timeline::{Connection, OpenOutcome, Step};
use crate::totals::Told;

/// Lines that are kept of what was said.
const LINES: usize = 500;

/// All that is shown.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) rows: Rows,
    pub(super) rates: Rates,
    pub(super) summary: Summary,
    /// What is counted on the way.
    pub(super) told: Told,
    /// How full the ring was, where there is one.
    pub(super) fill: Option<Fill>,
    /// Connections that are followed, listed or not.
    pub(super) followed: usize,
    /// Connections whose record is complete.
    pub(super) ended: u64,
    /// What was said, and when.
    pub(super) lines: VecDeque<(u64, String)>,
    /// The time of what is shown, by the events' clock.
    pub(super) now_ns: u64,
    pub(super) began_ns: u64,
}

impl Model {
    /// Keeps so many rows of each kind.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            rows: Rows::new(limit),
            rates: Rates::new(),
            summary: Summary::new(),
            told: Told::default(),
            fill: None,
            followed: 0,
            ended: 0,
            lines: VecDeque::new(),
            now_ns: 0,
            began_ns: 0,
        }
    }

    /// Goes on to this time, and looks again at what something happened to.
    pub(super) fn refresh(&mut self, now_ns: u64, record: impl FnMut(&Key) -> Option<Connection>) {
        if self.began_ns == 0 {
            self.began_ns = now_ns;
        }
        self.now_ns = now_ns;
        let Self { rows, rates, .. } = self;
        rows.refresh(record, |row| count_opened(row, rates));
        self.rates.advance(now_ns);
    }

    /// Takes words in.
    pub(super) fn say(&mut self, line: String) {
        if self.lines.len() >= LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((self.now_ns, line));
    }

    /// The rows that a filter takes, in the order of a column, or turned round.
    pub(super) fn sorted(&self, filter: &Filter, column: Column, turned: bool) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| filter.takes(row)).collect();
        rows.sort_unstable_by(|one, other| {
            let order = column.order(one, other);
            if turned { order.reverse() } else { order }
        });
        rows
    }

    pub(super) fn row(&self, id: Id) -> Option<&Row> {
        self.rows.get(id)
    }

    /// How many connections are open, and how many of them have a row.
    pub(super) fn open(&self) -> [usize; 2] {
        let over = self
            .rows
            .iter()
            .filter(|row| row.open && row.over())
            .count();
        let listed = self.rows.open().saturating_sub(over);
        [self.followed.saturating_sub(over).max(listed), listed]
    }

    /// Frames that were not taken, and what was seen and did not get here.
    pub(super) fn missing(&self) -> [u64; 2] {
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum();
        // What the serial numbers prove is told by its causes already.
        let losses = self.told.losses.iter();
        let losses: Vec<_> = losses
            .filter(|(name, _)| *name != "serial_gaps")
            .copied()
            .collect();
        [sum(&self.told.rejects), sum(&losses)]
    }
}

impl Output for Model {
    fn step(&mut self, live: &Live, _: &Step) {
        let ends = [live.client.0, live.server.0];
        self.rows.stir(Key::of(&ends, live.scope).0);
    }

    fn connection(&mut self, connection: Connection, _: u64) {
        self.ended += 1;
        self.summary.record(&connection, true);
        if connection.open.outcome.is_failure() {
            self.rates.failed();
        }
        if connection.was_reset() {
            self.rates.reset();
        }
        if let Some(row) = self.rows.end(connection) {
            count_opened(row, &mut self.rates);
        }
    }
}

/// Counts a handshake once it is complete, and once only.
fn count_opened(row: &mut Row, rates: &mut Rates) {
    if !row.counted && row.connection.open.outcome == OpenOutcome::Established {
        row.counted = true;
        rates.opened(row.connection.open.rtt.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembler::fixtures::{self, Say};
    use crate::assembler::{Assembler, LIVE_LINGER_NS, Settings};

    fn settings() -> Settings {
        Settings {
            handshake_timeout_ns: 35_000_000_000,
            linger_ns: LIVE_LINGER_NS,
            max_steps: 64,
            max_connections: 100,
            shares: 1,
            interfaces: [(1, "veth0".into())].into(),
        }
    }

    fn only(model: &Model) -> &Row {
        let rows = model.sorted(&Filter::default(), Column::Age, false);
        assert_eq!(rows.len(), 1);
        rows[0]
    }

    #[test]
    fn a_row_grows_with_its_connection_and_is_counted_once() {
        let mut assembler = Assembler::new(settings());
        let mut model = Model::new(10);
        let (client, server) = (fixtures::client, fixtures::server);
        let steps = [
            (client().at(1_000).seq(100).syn(), "SYN-SENT", 1),
            (
                server().at(1_200).seq(300).ack(101).syn(),
                "SYN-RECEIVED",
                2,
            ),
            (client().at(1_400).seq(101).ack(301), "ESTABLISHED", 3),
            (client().at(9_000).seq(101).ack(301).fin(), "FIN-WAIT-1", 4),
        ];
        for (event, state, known) in steps {
            assembler.observe(&event, &mut model);
            model.refresh(event.time_ns, |key| assembler.record(key, || None));
            let row = only(&model);
            assert_eq!((row.state(), row.open), (state, true));
            assert_eq!(row.connection.steps.len(), known);
        }
        assert_eq!(model.rates.total.opened, 1);
        assembler.observe(&server().at(9_100).seq(301).ack(102).fin(), &mut model);
        assembler.observe(&client().at(9_200).seq(102).ack(302), &mut model);
        assembler.advance(20_000_000_000, &mut model);
        model.refresh(20_000_000_000, |key| assembler.record(key, || None));
        assert!(!only(&model).open);
        assert_eq!((model.ended, model.rates.total.opened), (1, 1));
        assert_eq!(&*only(&model).gist, "closed by client, three-way");
    }

    #[test]
    fn a_refusal_is_seen_at_once_and_counted_at_its_end() {
        let mut assembler = Assembler::new(settings());
        let mut model = Model::new(10);
        let syn = fixtures::client().at(1_000).seq(100).syn();
        let rst = fixtures::server().at(1_200).seq(0).ack(101).rst();
        assembler.observe(&syn, &mut model);
        assembler.observe(&rst, &mut model);
        model.refresh(2_000_000, |key| assembler.record(key, || None));
        assert!(only(&model).failed() && only(&model).open);
        assert_eq!(model.rates.total.failed, 0);
        assembler.advance(5_000_000_000, &mut model);
        assert!(only(&model).failed() && !only(&model).open);
        assert_eq!(model.rates.total.failed, 1);
    }
}
