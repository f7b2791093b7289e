//! Proves from the events' serial numbers how many were lost.
//!
//! Each CPU numbers its events, the ones that found no room included, so a jump in its numbers is a
//! loss of known size, whatever caused it.

use synfin_ebpf::event::Event;

/// More CPUs than Linux can have: the number of one beyond is not believed, and counts for the last.
const CPUS: usize = 1 << 13;

/// The next serial number of every CPU.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    next: Vec<u64>,
    total: u64,
}

impl Losses {
    /// Takes an event's number; gives how many of its CPU's events before it are missing.
    pub fn observe(&mut self, event: &Event) -> u64 {
        let next = self.next_of(event.cpu);
        let missing = event.serial.saturating_sub(*next);
        *next = event.serial.saturating_add(1);
        self.total = self.total.saturating_add(missing);
        missing
    }

    /// Takes a CPU's count of events at the end; gives how many after the last one seen are missing.
    pub fn settle(&mut self, cpu: u32, made: u64) -> u64 {
        let next = self.next_of(cpu);
        let missing = made.saturating_sub(*next);
        *next = made.max(*next);
        self.total = self.total.saturating_add(missing);
        missing
    }

    fn next_of(&mut self, cpu: u32) -> &mut u64 {
        let cpu = usize::try_from(cpu).map_or(CPUS, |cpu| cpu.min(CPUS));
        if cpu >= self.next.len() {
            self.next.resize(cpu + 1, 0);
        }
        &mut self.next[cpu]
    }

    /// Events known to be lost.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembler::fixtures::event;

    fn numbered(cpu: u32, serial: u64) -> Event {
        Event {
            cpu,
            serial,
            ..event()
        }
    }

    #[test]
    fn consecutive_numbers_of_each_cpu_lose_nothing() {
        let mut losses = Losses::default();
        for (cpu, serial) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            assert_eq!(losses.observe(&numbered(cpu, serial)), 0);
        }
        assert_eq!(losses.total(), 0);
    }

    #[test]
    fn a_gap_is_a_loss_of_its_size() {
        let mut losses = Losses::default();
        losses.observe(&numbered(0, 0));
        assert_eq!(losses.observe(&numbered(0, 4)), 3);
        assert_eq!(losses.total(), 3);
    }

    #[test]
    fn events_lost_before_the_first_and_after_the_last_count() {
        let mut losses = Losses::default();
        assert_eq!(losses.observe(&numbered(3, 2)), 2);
        assert_eq!(losses.settle(3, 5), 2);
        assert_eq!(losses.settle(4, 1), 1);
        assert_eq!(losses.total(), 5);
    }

    #[test]
    fn no_number_of_a_cpu_takes_much_memory() {
        let mut losses = Losses::default();
        assert_eq!(losses.observe(&numbered(u32::MAX, 0)), 0);
        assert_eq!(losses.observe(&numbered(u32::MAX, 2)), 1);
        assert_eq!(losses.next.len(), CPUS + 1);
    }
}
