//! What the programs cost the verifier: one that costs too much is refused by the next kernel, or by
//! this one after the next change.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::ProgramInfo;
use synfin::attach::{LoadOptions, Programs};
use synfin_ebpf::wire::Tunnels;
use synfin_tests::cases;
use synfin_tests::requirement::Requirement::{BpfObject, Root};
use synfin_tests::suite::Case;

use crate::both::{Both, IP_PROGRAMS, PROGRAMS, roomy};

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, BpfObject];
        the_verifier_follows_no_more_than_half_of_what_it_would,
    ]
}

/// The instructions that the verifier follows through all branches before it gives up
/// (`BPF_COMPLEXITY_LIMIT_INSNS` of linux/bpf_verifier.h).
const LIMIT: u32 = 1_000_000;
/// How much of that a program may take.
const MOST: u32 = LIMIT / 2;
/// Octets of an instruction.
const INSTRUCTION: u32 = 8;

/// What one program costs.
struct Cost {
    instructions: u32,
    verified: u32,
    load: Duration,
}

impl Cost {
    fn of(programs: &mut Programs, name: &'static str) -> Result<Self> {
        let (info, load) = load(programs, name)?;
        let untold = "the kernel does not tell what it verified";
        Ok(Self {
            instructions: info.size_translated().context(untold)? / INSTRUCTION,
            verified: info.verified_instruction_count().context(untold)?,
            load,
        })
    }
}

/// Loads a program once more, alone, and takes the time.
fn load(programs: &mut Programs, name: &'static str) -> Result<(ProgramInfo, Duration)> {
    if name == Programs::XDP {
        let program = programs.xdp(name)?;
        program.unload()?;
        let begin = Instant::now();
        program.load()?;
        return Ok((program.info()?, begin.elapsed()));
    }
    let program = programs.classifier(name)?;
    program.unload()?;
    let begin = Instant::now();
    program.load()?;
    Ok((program.info()?, begin.elapsed()))
}

fn the_verifier_follows_no_more_than_half_of_what_it_would() -> Result<()> {
    let mut table = format!(
        "{:<14}  {:<8}  {:>12}  {:>8}  {:>8}  {:>7}\n",
        "program", "with", "instructions", "verified", "of limit", "load ms"
    );
    let mut most = 0;
    for (with, tunnels, accounts) in [
        ("nothing", Tunnels::OFF, None),
        ("accounts", Tunnels::OFF, Some(1)),
        ("tunnels", Tunnels::ON, None),
        ("both", Tunnels::ON, Some(1)),
    ] {
        let mut both = Both::load_options(&LoadOptions {
            accounts,
            tunnels,
            ..roomy()
        })?;
        for name in PROGRAMS.into_iter().chain(IP_PROGRAMS) {
            let cost = Cost::of(both.programs(), name)?;
            most = most.max(cost.verified);
            writeln!(
                table,
                "{name:<14}  {with:<8}  {:>12}  {:>8}  {:>6} %  {:>7}",
                cost.instructions,
                cost.verified,
                cost.verified.div_ceil(LIMIT / 100),
                cost.load.as_millis(),
            )?;
        }
    }
    print!("{table}");
    ensure!(
        most <= MOST,
        "{most} instructions where {MOST} are half of the verifier's limit"
    );
    Ok(())
}
