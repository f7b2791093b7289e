//! The programs' counters, summed over CPUs.

use aya::maps::{MapData, PerCpuArray};
use synfin_ebpf::counters::COUNTERS;

use crate::attach::{AttachError, CpuCounters, Programs};
use crate::totals::Totals;

/// Reads the counters.
pub(super) struct Counters(PerCpuArray<MapData, CpuCounters>);

/// The counters at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Summed over CPUs.
    pub(super) totals: Totals,
    /// Events that each CPU made.
    pub(super) made: Vec<u64>,
}

impl Counters {
    pub(super) fn new(programs: &mut Programs) -> Result<Self, AttachError> {
        programs.take_counters().map(Self)
    }

    /// Whether the kernel gives them.
    pub(super) fn are_given(&self) -> bool {
        self.0.get(&0, 0).is_ok()
    }

    /// Zeros where the kernel does not give them.
    pub(super) fn read(&self) -> Counted {
        let mut counted = Counted::default();
        let Ok(cpus) = self.0.get(&0, 0) else {
            return counted;
        };
        for cpu in cpus.iter() {
            counted.totals.add(&cpu[..COUNTERS]);
            counted.made.push(cpu[COUNTERS]);
        }
        counted
    }
}
