//! Octets of memory for an open connection.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use synfin::assembler::{Assembler, Live, Output};
use synfin::timeline::{Connection, Step};

use super::report::{Memory, Report};
use super::{heap, lives};

/// Connections that are open at once.
const CONNECTIONS: u32 = 1_000_000;
const PAGE: u64 = 4_096;
/// Events between two looks at the clock.
const TURN: u64 = 16_384;

/// Hands out nothing: nothing may end.
struct Nothing;

impl Output for Nothing {
    fn follows(&self) -> bool {
        false
    }

    fn step(&mut self, _: &Live, _: &Step) {}

    fn connection(&mut self, _: Connection, _at_ns: u64) {
        panic!("a connection ended that is open");
    }
}

/// Measures connections that are only a SYN, and connections that are open, whose opening, first data
/// and first ACKs are kept.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    for (name, steps) in [("established", lives::OPEN), ("a SYN", 1)] {
        let before = (heap::octets(), resident()?);
        let mut assembler = Assembler::new(lives::settings(CONNECTIONS as usize));
        let mut time_ns = 0;
        for step in 0..steps {
            // Every third life has no ACK by itself of the server: here all are of the kind that has.
            for number in (0..CONNECTIONS).map(|number| number * 3 + 1) {
                time_ns += lives::APART_NS;
                let event = lives::event(number, step, time_ns).context("make an event")?;
                assembler.observe(&event, &mut Nothing);
                if time_ns % (TURN * lives::APART_NS) == 0 {
                    assembler.advance(time_ns, &mut Nothing);
                }
            }
        }
        ensure!(
            assembler.open() == CONNECTIONS as usize,
            "{} are open",
            assembler.open()
        );
        let each = |after: u64, before: u64| (after - before) as f64 / f64::from(CONNECTIONS);
        report.memory.push(Memory {
            name,
            heap: each(heap::octets(), before.0),
            resident: (steps == lives::OPEN).then_some(each(resident()?, before.1)),
        });
    }
    Ok(())
}

/// Octets of this process in memory.
fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).context("read statm")?;
    Ok(pages.parse::<u64>()? * PAGE)
}
