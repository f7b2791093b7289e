//! How far the verifier has to look: a program that costs it too much is refused by the next kernel,
//! or by this one after the next change.

use anyhow::{Context as _, Result, ensure};
use synfin::attach::{LoadOptions, Programs};
use synfin_ebpf::wire::Tunnels;
use synfin_tests::cases;
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, IP_PROGRAMS, PROGRAMS, roomy};

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
    for (tunnels, accounts, limit) in [
        (Tunnels::OFF, None, 100_000),
        (Tunnels::OFF, Some(1), 250_000),
        (Tunnels::ON, None, 300_000),
        (Tunnels::ON, Some(1), 450_000),
    ] {
        let mut both = Both::load_options(&LoadOptions {
            accounts,
            tunnels,
            ..roomy()
        })?;
        for name in PROGRAMS.into_iter().chain(IP_PROGRAMS) {
            let count = verified(both.programs(), name)?;
            let with = format!("{accounts:?}, {tunnels:?}");
            println!("{name}: {count} instructions with {with}");
            ensure!(count < limit, "{name}: {count} instructions with {with}");
        }
    }
    Ok(())
}
