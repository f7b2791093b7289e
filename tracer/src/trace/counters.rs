//! The programs' counters, summed over CPUs.

use aya::maps::{MapData, PerCpuArray};
use synfin_ebpf::counters::{COUNTERS, Counter};
use synfin_ebpf::wire::Reject;

use crate::attach::{AttachError, CpuCounters, Programs};

/// Reads the counters.
pub(super) struct Counters(PerCpuArray<MapData, CpuCounters>);

/// The counters at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    counters: [u64; COUNTERS],
    /// Events that each CPU made.
    pub(super) made: Vec<u64>,
}

impl Counters {
    pub(super) fn new(programs: &mut Programs) -> Result<Self, AttachError> {
        programs.take_counters().map(Self)
    }

    /// Zeros where the kernel does not give them.
    pub(super) fn read(&self) -> Totals {
        let mut totals = Totals::default();
        let Ok(cpus) = self.0.get(&0, 0) else {
            return totals;
        };
        for cpu in cpus.iter() {
            for (total, counter) in totals.counters.iter_mut().zip(cpu) {
                *total += counter;
            }
            totals.made.push(cpu[COUNTERS]);
        }
        totals
    }
}

impl Totals {
    pub(super) fn get(&self, counter: Counter) -> u64 {
        self.at(counter.index())
    }

    pub(super) fn rejects(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = Reject::ALL.into_iter();
        all.map(|reject| (reject.name(), self.at(reject.index())))
    }

    fn at(&self, index: usize) -> u64 {
        self.counters.get(index).copied().unwrap_or(0)
    }
}
