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
        programs_without_options_take_at_most_half_of_the_verifiers_limit,
        programs_that_count_take_at_most_half_of_the_verifiers_limit,
        programs_that_look_into_tunnels_take_at_most_half_of_the_verifiers_limit,
        programs_that_do_both_take_at_most_half_of_the_verifiers_limit,
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

/// Loads a program, which is done when it is first asked for, and takes the time.
fn load(programs: &mut Programs, name: &'static str) -> Result<(ProgramInfo, Duration)> {
    let begin = Instant::now();
    let info = if name == Programs::XDP {
        programs.xdp(name)?.info()?
    } else {
        programs.classifier(name)?.info()?
    };
    Ok((info, begin.elapsed()))
}

fn programs_without_options_take_at_most_half_of_the_verifiers_limit() -> Result<()> {
    at_most_half("nothing", Tunnels::OFF, None)
}

fn programs_that_count_take_at_most_half_of_the_verifiers_limit() -> Result<()> {
    at_most_half("accounts", Tunnels::OFF, Some(1))
}

fn programs_that_look_into_tunnels_take_at_most_half_of_the_verifiers_limit() -> Result<()> {
    at_most_half("tunnels", Tunnels::ON, None)
}

fn programs_that_do_both_take_at_most_half_of_the_verifiers_limit() -> Result<()> {
    at_most_half("both", Tunnels::ON, Some(1))
}

/// Loads all programs with these options, and prints what each costs.
fn at_most_half(with: &str, tunnels: Tunnels, accounts: Option<u32>) -> Result<()> {
    let mut table = format!(
        "{:<14}  {:<8}  {:>12}  {:>8}  {:>8}  {:>7}\n",
        "program", "with", "instructions", "verified", "of limit", "load ms"
    );
    let mut most = 0;
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
    print!("{table}");
    ensure!(
        most <= MOST,
        "{most} instructions where {MOST} are half of the verifier's limit"
    );
    Ok(())
}
