//! How far the verifier has to look: a program that costs it too much is refused by the next kernel,
//! or by this one after the next change.

use anyhow::{Context as _, Result, ensure};
use synfin::attach::Programs;
use synfin_tests::cases;
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, PROGRAMS};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        the_verifier_follows_a_bounded_number_of_instructions,
    ]
}

fn verified(programs: &mut Programs, name: &'static str) -> Result<u32> {
    let info = if name == Programs::XDP {
        programs.xdp(name)?.info()?
    } else {
        programs.classifier(name)?.info()?
    };
    let count = info.verified_instruction_count();
    count.context("the kernel does not tell what it verified")
}

fn the_verifier_follows_a_bounded_number_of_instructions() -> Result<()> {
    const LIMIT: u32 = 100_000;
    let mut both = Both::load()?;
    for name in PROGRAMS {
        let count = verified(both.programs(), name)?;
        ensure!(count < LIMIT, "{name}: {count} instructions");
    }
    Ok(())
}
