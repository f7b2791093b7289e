//! When to look at which connection.
//!
//! Deadlines come in with their key, and out in the order of their times. One that no longer holds is
//! not looked for here: whoever takes it out knows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use synfin_ebpf::flow::Key;

/// Deadlines of connections.
#[derive(Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(u64, Key)>>);

impl Deadlines {
    pub(super) fn add(&mut self, due_ns: u64, key: Key) {
        self.0.push(Reverse((due_ns, key)));
    }

    /// The earliest one.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((due_ns, _))| *due_ns)
    }

    /// Takes the earliest one out where it has come.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<(u64, Key)> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.0.pop().map(|Reverse(deadline)| deadline)
    }
}
