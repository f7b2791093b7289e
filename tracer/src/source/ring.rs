//! Events from the programs, through the ring buffer.
//!
//! While events flow, the ring is drained by a timer and the programs wake nobody up. After some
//! empty turns the reader asks to be woken by the next event, and sleeps.

use std::io;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use synfin_ebpf::event::BadEvent;
use tokio::io::unix::AsyncFd;

use super::{Cell, Record};
use crate::attach::{AttachError, Programs};

/// Time between two turns while events flow: short for whoever looks on, and long enough that what a
/// turn costs by itself, and the cold caches it begins with, do not count.
const TURN: Duration = Duration::from_millis(5);
/// Empty turns before the reader goes to sleep.
const EMPTY_TURNS: u32 = 10;
/// Events taken in one turn at most, so that timers and signals are served under any load.
const TURN_EVENTS: usize = 16_384;

/// What the kernel keeps before each record, in octets (BPF_RINGBUF_HDR_SZ); records lie at multiples of it.
const HEADER: u64 = 8;

/// How full the ring was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Octets that were taken in one turn, at the most; as many lay in it at least.
    pub octets: u64,
    /// Octets that there is room for.
    pub size: u64,
}

/// The reading end of the ring.
pub struct Ring {
    ring: AsyncFd<RingBuf<MapData>>,
    /// The programs look here whether to wake the reader up.
    asleep: Cell,
    mood: Mood,
    fill: Fill,
    bad: u64,
    last_bad: Option<BadEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Events flow; so many turns were empty.
    Awake(u32),
    /// It asked to be woken and must look once more: an event may have come before that.
    DozingOff,
    /// It waits to be woken.
    Asleep,
    /// There is more than one turn took.
    Behind,
}

impl Ring {
    /// Takes the ring of the programs, which is of this size in octets.
    ///
    /// # Errors
    /// Where it was taken already, or cannot be waited on.
    pub fn new(programs: &mut Programs, size: u32) -> Result<Self, AttachError> {
        let ring = programs.take_events()?;
        // SAFETY: a ring keeps its descriptor from its creation until it is dropped.
        let ring = unsafe { AsyncFd::register(ring) };
        Ok(Self {
            ring: ring.map_err(io::Error::from)?,
            asleep: programs.reader_cell()?,
            mood: Mood::Awake(0),
            fill: Fill {
                octets: 0,
                size: size.into(),
            },
            bad: 0,
            last_bad: None,
        })
    }

    /// Whether it waits to be woken, which may take any time; otherwise the next turn comes by itself.
    #[must_use]
    pub const fn sleeps(&self) -> bool {
        matches!(self.mood, Mood::Asleep)
    }

    /// Waits until a turn is due. May be cancelled.
    ///
    /// # Errors
    /// Where the ring cannot be waited on any more.
    pub async fn turn(&mut self) -> io::Result<()> {
        match self.mood {
            Mood::Awake(_) => tokio::time::sleep(TURN).await,
            Mood::DozingOff => {}
            Mood::Behind => tokio::task::yield_now().await,
            Mood::Asleep => self.ring.readable().await?.clear_ready(),
        }
        Ok(())
    }

    /// Takes the events that are there, up to a turn's worth; gives how many they were.
    pub fn drain(&mut self, mut take: impl FnMut(&Record)) -> usize {
        let mut taken = 0;
        let mut octets = 0;
        let ring = self.ring.get_mut();
        while taken < TURN_EVENTS
            && let Some(record) = ring.next()
        {
            taken += 1;
            octets += HEADER + (record.len() as u64).next_multiple_of(HEADER);
            match Record::decode(&record) {
                Ok(record) => take(&record),
                Err(error) => {
                    self.bad += 1;
                    self.last_bad = Some(error);
                }
            }
        }
        self.fill.octets = self.fill.octets.max(octets);
        self.mood = match (taken, self.mood) {
            (TURN_EVENTS.., _) => Mood::Behind,
            (1.., Mood::DozingOff | Mood::Asleep) => {
                self.asleep.ask_to_be_woken(false);
                Mood::Awake(0)
            }
            (1.., _) => Mood::Awake(0),
            (0, Mood::Awake(turns)) if turns < EMPTY_TURNS => Mood::Awake(turns + 1),
            (0, Mood::Awake(_) | Mood::Behind) => {
                self.asleep.ask_to_be_woken(true);
                Mood::DozingOff
            }
            (0, Mood::DozingOff | Mood::Asleep) => Mood::Asleep,
        };
        taken
    }

    /// How full it was at the most since this was asked for the last time.
    pub const fn fill(&mut self) -> Fill {
        let empty = Fill {
            octets: 0,
            ..self.fill
        };
        std::mem::replace(&mut self.fill, empty)
    }

    /// Records of the ring that were no events of this version, and what was wrong with the last.
    #[must_use]
    pub fn bad(&self) -> Option<(u64, BadEvent)> {
        self.last_bad.map(|error| (self.bad, error))
    }
}
