//! Where the assembler's records go, and where their counts come from.

use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::Key;

use crate::assembler::{Live, Output};
use crate::printer::Printer;
use crate::timeline::{Connection, Step};

/// The printer, and what was counted of each connection.
pub struct Outlet<'a, F> {
    /// Prints the records.
    pub printer: &'a mut Printer,
    /// Takes what was counted of a connection.
    pub forget: F,
}

impl<F: FnMut(&Key) -> Option<Accounts>> Output for Outlet<'_, F> {
    fn follows(&self) -> bool {
        Output::follows(self.printer)
    }

    fn step(&mut self, live: &Live, step: &Step) {
        self.printer.step(live, step);
    }

    fn connection(&mut self, connection: Connection, at_ns: u64) {
        self.printer.connection(connection, at_ns);
    }

    fn forget(&mut self, key: &Key) -> Option<Accounts> {
        (self.forget)(key)
    }
}
