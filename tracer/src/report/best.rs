//! The best of any number of things, as many as there is room for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The best ones so far; which ones does not depend on the order in which they came.
#[derive(Debug)]
pub(super) struct Best<T> {
    most: usize,
    /// The least of them first.
    heap: BinaryHeap<Reverse<T>>,
}

impl<T: Ord> Best<T> {
    /// None yet, of at most so many.
    pub(super) const fn of(most: usize) -> Self {
        Self {
            most,
            heap: BinaryHeap::new(),
        }
    }

    /// Whether there is room for something that `is_better` than the least one.
    pub(super) fn has_room(&self, is_better: impl FnOnce(&T) -> bool) -> bool {
        let full = self.heap.len() >= self.most;
        !full
            || self
                .heap
                .peek()
                .is_some_and(|Reverse(least)| is_better(least))
    }

    /// Adds one; gives the one that there is no room for then.
    pub(super) fn add(&mut self, one: T) -> Option<T> {
        self.heap.push(Reverse(one));
        if self.heap.len() > self.most {
            return self.drop_least();
        }
        None
    }

    /// Takes the least one out.
    pub(super) fn drop_least(&mut self) -> Option<T> {
        self.heap.pop().map(|Reverse(least)| least)
    }

    /// The best one first.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &T> {
        let mut sorted: Vec<_> = self.heap.iter().map(|Reverse(one)| one).collect();
        sorted.sort_unstable_by(|one, other| other.cmp(one));
        sorted.into_iter()
    }

    /// The best one first.
    pub(super) fn into_sorted(self) -> Vec<T> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Reverse(one)| one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_stay_whatever_the_order() {
        for numbers in [[5, 1, 4, 2, 3], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] {
            let mut best = Best::of(3);
            let dropped = numbers.into_iter().filter_map(|number| best.add(number));
            assert_eq!(dropped.count(), 2);
            assert!(best.has_room(|least| 4 > *least) && !best.has_room(|least| 3 > *least));
            assert_eq!(best.into_sorted(), [5, 4, 3]);
        }
        assert!(Best::<u8>::of(1).has_room(|_| false));
    }
}
