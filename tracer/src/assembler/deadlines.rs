//! When to look at which connection.
//!
//! Deadlines come in with their connection, and out in the order of their times. One that no longer
//! holds is not looked for here: whoever takes it out knows. Waiting times are few, and time goes
//! forward: most deadlines come in in the order in which they go out, and are kept in a queue for
//! each waiting time. Those that do not, because a clock was set or several captures are read, are
//! kept in a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::table::Slot;

/// How many waiting times there are.
const WAITS: usize = 3;

/// Deadlines of connections.
#[derive(Default)]
pub(super) struct Deadlines {
    queues: [VecDeque<(u64, Slot)>; WAITS],
    heap: BinaryHeap<Reverse<(u64, Slot)>>,
}

/// Which of the waiting times a deadline came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// For late segments of what is over.
    Linger,
    /// For the last ACK.
    LastAck,
    /// For the next segment of an opening.
    Handshake,
}

impl Deadlines {
    pub(super) fn add(&mut self, due_ns: u64, wait: Wait, slot: Slot) {
        let queue = match wait {
            Wait::Linger => &mut self.queues[0],
            Wait::LastAck => &mut self.queues[1],
            Wait::Handshake => &mut self.queues[2],
        };
        if queue.back().is_none_or(|(last_ns, _)| *last_ns <= due_ns) {
            queue.push_back((due_ns, slot));
        } else {
            self.heap.push(Reverse((due_ns, slot)));
        }
    }

    /// Takes one out that waits for late segments, where more than `most` do: that which has waited
    /// the longest, if it will be due by `by_ns`.
    pub(super) fn crowded(&mut self, most: usize, by_ns: u64) -> Option<(u64, Slot)> {
        let [lingering, ..] = &mut self.queues;
        let (due_ns, _) = lingering.front()?;
        if lingering.len() <= most || *due_ns > by_ns {
            return None;
        }
        lingering.pop_front()
    }

    /// The first of those that [`Deadlines::crowded`] would take out.
    pub(super) fn early_ns(&self, most: usize) -> Option<u64> {
        let [lingering, ..] = &self.queues;
        let (due_ns, _) = lingering.front().filter(|_| lingering.len() > most)?;
        Some(*due_ns)
    }

    /// Takes one out whatever the time is: the first of an opening before all others.
    pub(super) fn any(&mut self) -> Option<(u64, Slot)> {
        let [.., openings] = &mut self.queues;
        let queued = openings.front().map(|(due_ns, _)| *due_ns);
        let other = self.heap.peek().map(|Reverse((due_ns, _))| *due_ns);
        match (queued, other) {
            (Some(queued), other) if other.is_none_or(|other| queued <= other) => {
                openings.pop_front()
            }
            _ => {
                let heaped = self.heap.pop().map(|Reverse(deadline)| deadline);
                heaped.or_else(|| self.queues.iter_mut().find_map(VecDeque::pop_front))
            }
        }
    }

    /// The earliest one.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let heap = self.heap.peek().map(|Reverse((due_ns, _))| *due_ns);
        let queues = self.queues.iter().filter_map(VecDeque::front);
        queues.map(|(due_ns, _)| *due_ns).chain(heap).min()
    }

    /// Takes the earliest one out where it has come.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<(u64, Slot)> {
        let next_ns = self.next_ns().filter(|next_ns| *next_ns <= now_ns)?;
        for queue in &mut self.queues {
            if queue.front().is_some_and(|(due_ns, _)| *due_ns == next_ns) {
                return queue.pop_front();
            }
        }
        self.heap.pop().map(|Reverse(deadline)| deadline)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use synfin_ebpf::flow::Key;

    use super::*;
    use crate::assembler::table::Table;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_go_out_in_the_order_of_their_times(
            added in prop::collection::vec((0..50_u64, 0..3_usize), 0..60),
            now_ns in 0..60_u64,
        ) {
            let slot = Table::<(), ()>::default().insert(Key::default(), 0, ());
            let mut deadlines = Deadlines::default();
            let waits = [Wait::Linger, Wait::LastAck, Wait::Handshake];
            for &(due_ns, wait) in &added {
                deadlines.add(due_ns, waits[wait], slot);
            }
            let mut expected: Vec<u64> = added.iter().map(|(due_ns, _)| *due_ns).collect();
            expected.sort_unstable();
            prop_assert_eq!(deadlines.next_ns(), expected.first().copied());
            expected.retain(|due_ns| *due_ns <= now_ns);
            let out = std::iter::from_fn(|| deadlines.due(now_ns)).map(|(due_ns, _)| due_ns);
            prop_assert_eq!(out.collect::<Vec<_>>(), expected);
        }
    }
}
