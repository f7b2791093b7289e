//! One set of loaded programs, fed with frames of one seed, so that a failure can be made again.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use synfin::attach::LoadOptions;
use synfin_ebpf::counters::{self, COUNTERS, Counter};
use synfin_ebpf::wire::{Reject, Tunnels};

use super::frames::{ERA, Frames, Kind};
use crate::both::{Both, PROGRAMS, roomy};

/// Ways to load the programs: with tunnels and counts, or without.
pub(super) const OPTIONS: u64 = 4;
/// Frames of a shard at most: loading takes longer than many frames.
pub(super) const FRAMES: u64 = 250_000;
/// Frames between two looks at the counters.
const BATCH: u64 = 4_096;
/// A watch lasts for eight seconds: an era has to be over before that, or a difference proves nothing.
const LONGEST_ERA: Duration = Duration::from_secs(6);
/// The two look at their clocks one after the other. Where more than this lies between, a copy may be
/// one for one of them only, and a difference proves nothing, either.
const APART: Duration = Duration::from_millis(50);
/// How often a shard may differ after that.
const ATTEMPTS: usize = 10;

/// What came of frames.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    kinds: [u64; Kind::ALL.len()],
    programs: [u64; PROGRAMS.len()],
    counted: [u64; COUNTERS],
    events: u64,
    settled: u64,
}

/// How often the counters are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Batches,
    EveryFrame,
}

/// How the two differ.
struct Difference {
    how: String,
    /// Something else ran for too long before that.
    is_void: bool,
}

enum Outcome {
    Alike(Box<Tally>),
    /// They differ.
    Differs(Difference),
}

/// Feeds so many frames of a shard to the programs and to the tracker in user space.
pub(super) fn run(seed: u64, shard: u64, frames: u64) -> Result<Tally> {
    let seed = seed ^ (shard << 20);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match feed(seed, shard, frames, Look::Batches)? {
            Outcome::Alike(tally) => return Ok(*tally),
            Outcome::Differs(Difference { how, is_void: true }) => last = how,
            Outcome::Differs(batch) => {
                // With a look at the counters behind every frame the one is found.
                if let Outcome::Differs(one) = feed(seed, shard, frames, Look::EveryFrame)? {
                    bail!("{}", one.how);
                }
                bail!("{}, and frame by frame no more", batch.how);
            }
        }
    }
    bail!("this machine is too busy to compare; the last difference: {last}")
}

/// Which options a shard is loaded with: each in its turn.
fn options(shard: u64) -> LoadOptions {
    let tunnels = if shard & 1 == 0 {
        Tunnels::ON
    } else {
        Tunnels::OFF
    };
    LoadOptions {
        tunnels,
        accounts: (shard & 2 != 0).then_some(1 << 17),
        ..roomy()
    }
}

fn feed(seed: u64, shard: u64, most: u64, look: Look) -> Result<Outcome> {
    let options = options(shard);
    let mut both = Both::load_options(&options)?;
    let mut frames = Frames::new(seed)?;
    let mut tally = Tally::default();
    let (mut begun, mut is_void) = (Instant::now(), false);
    let what = |number: u64| {
        format!(
            "seed {seed:#x}, frame {number}, tunnels {}, counts {}",
            options.tunnels != Tunnels::OFF,
            options.accounts.is_some()
        )
    };
    while tally.frames() < most {
        let number = tally.frames();
        if usize::try_from(number)?.is_multiple_of(ERA) {
            begun = Instant::now();
        }
        let (kind, frame) = frames.next();
        let mut program = usize::try_from(number)? % PROGRAMS.len();
        if !Both::takes(PROGRAMS[program], &frame) {
            program = 0;
        }
        let hex = || {
            frame
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect::<String>()
        };
        let name = PROGRAMS[program];
        let fed = Instant::now();
        let [kernel, user] = both.compare(name, &frame)?;
        is_void |= fed.elapsed() > APART || begun.elapsed() > LONGEST_ERA;
        if kernel != user {
            let how = format!(
                "{}: {name} on {}: {kernel:#?} is not {user:#?}",
                what(number),
                hex()
            );
            return Ok(Outcome::Differs(Difference { how, is_void }));
        }
        tally.kinds[kind as usize] += 1;
        tally.programs[program] += 1;
        tally.events += u64::try_from(kernel.0.len())?;
        tally.settled += u64::try_from(kernel.1.len())?;
        let fed = tally.frames();
        if look == Look::EveryFrame || fed.is_multiple_of(BATCH) || fed == most {
            let [kernel, user] = both.counted()?;
            if let Some(how) = difference(&kernel, &user, fed, options.accounts.is_some()) {
                let how = format!("{}: {how}; after {name} on {}", what(number), hex());
                return Ok(Outcome::Differs(Difference { how, is_void }));
            }
            tally.counted = kernel;
        }
    }
    Ok(Outcome::Alike(Box::new(tally)))
}

/// How the counters differ, or are not those of so many frames.
fn difference(
    kernel: &[u64; COUNTERS],
    user: &[u64; COUNTERS],
    frames: u64,
    all_examined: bool,
) -> Option<String> {
    if counters::frames(kernel) != frames {
        return Some(format!(
            "{} frames are counted of {frames}",
            counters::frames(kernel)
        ));
    }
    // Who shares a slot of the filter of the watched with another connection depends on a secret.
    let compared = |index: &usize| all_examined || *index != Counter::Examined.index();
    let mut places = (0..COUNTERS).filter(compared);
    let place = places.find(|&place| kernel[place] != user[place])?;
    let (kernel, user) = (kernel[place], user[place]);
    Some(format!(
        "counter {place} is {kernel} in the kernel and {user} in user space"
    ))
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            kinds: [0; Kind::ALL.len()],
            programs: [0; PROGRAMS.len()],
            counted: [0; COUNTERS],
            events: 0,
            settled: 0,
        }
    }
}

impl Tally {
    /// Frames that were fed.
    pub(super) fn frames(&self) -> u64 {
        self.kinds.iter().sum()
    }

    pub(super) fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u64], others: &[u64]| {
            sums.iter_mut()
                .zip(others)
                .for_each(|(sum, other)| *sum += other);
        };
        add(&mut self.kinds, &other.kinds);
        add(&mut self.programs, &other.programs);
        add(&mut self.counted, &other.counted);
        self.events += other.events;
        self.settled += other.settled;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |counter: Counter| self.counted[counter.index()];
        write!(f, "{} frames, all of them let pass", self.frames())?;
        write!(f, "\n  kinds    ")?;
        for (kind, count) in Kind::ALL.iter().zip(self.kinds) {
            write!(f, " {count} {kind:?}")?;
        }
        write!(f, "\n  programs ")?;
        for (program, count) in PROGRAMS.iter().zip(self.programs) {
            write!(f, " {count} {program}")?;
        }
        write!(
            f,
            "\n  counted   {} = {} TCP segments + {} no TCP + rejects:",
            counters::frames(&self.counted),
            counted(Counter::Segments),
            counted(Counter::NotTcp)
        )?;
        for reject in Reject::ALL {
            write!(f, " {} {}", self.counted[reject.index()], reject.name())?;
        }
        write!(
            f,
            "\n  events    {} with {} settled counts, alike in the kernel and in user space, field by field",
            self.events, self.settled
        )
    }
}
