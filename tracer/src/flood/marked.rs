//! Marks the openings that may lack segments because some were held back.

use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::Key;

use super::Flood;
use crate::assembler::{Live, Output};
use crate::timeline::{Connection, End, OpenOutcome, Step};

/// An output behind which every record that was touched says so.
pub struct Marked<'a, O> {
    /// Knows what was held back, and when.
    pub flood: &'a Flood,
    /// The time, by the events' clock.
    pub now_ns: u64,
    /// Takes the records.
    pub output: &'a mut O,
}

impl<O: Output> Output for Marked<'_, O> {
    fn follows(&self) -> bool {
        self.output.follows()
    }

    fn step(&mut self, live: &Live, step: &Step) {
        self.output.step(live, step);
    }

    fn connection(&mut self, mut connection: Connection, at_ns: u64) {
        // What completed was proved with all of its opening.
        if connection.open.outcome != OpenOutcome::Established {
            let ends = [&connection.client, &connection.server].map(End::endpoint);
            let first_ns = connection.started_ns;
            connection.observation_gap |= self.flood.touches(&ends, first_ns, self.now_ns);
        }
        self.output.connection(connection, at_ns);
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        self.output.forget(key)
    }
}
