//! Where the assembler's records go, and where their counts come from.

use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::Key;

use crate::assembler::{Live, Output};
use crate::timeline::{Connection, Step};

/// An output, and what was counted of each connection.
pub struct Outlet<'a, O, F> {
    /// Takes the records.
    pub output: &'a mut O,
    /// Takes what was counted of a connection.
    pub forget: F,
}

impl<O: Output, F: FnMut(&Key) -> Option<Accounts>> Output for Outlet<'_, O, F> {
    fn follows(&self) -> bool {
        self.output.follows()
    }

    fn step(&mut self, live: &Live, step: &Step) {
        self.output.step(live, step);
    }

    fn connection(&mut self, connection: Connection, at_ns: u64) {
        self.output.connection(connection, at_ns);
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        (self.forget)(key)
    }
}
