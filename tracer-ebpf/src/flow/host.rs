//! What the tracker asks of the place where it runs: the kernel, or a process that reads captures.

use core::ops::{Deref, DerefMut};

use super::filter::Filter;
use super::{Flow, Key, Ledgers, Mark};
use crate::counters::Counter;
use crate::event::Event;
use crate::segment::Flags;
use crate::wire::{Located, Tunnels};

/// What the place where the tracker runs lends it: a clock, counters, tables and a way out.
pub trait Host {
    /// How an entry of the table is held.
    type Entry: Deref<Target = Flow>;
    /// How the memory of an event is held.
    type Slot<'a>: DerefMut<Target = Event>
    where
        Self: 'a;

    /// How the counts of a connection are held.
    type Ledgers: Deref<Target = Ledgers>;
    /// How a key is set aside.
    type Aside: Deref<Target = Key>;

    /// Adds one to the counter at this place.
    fn count(&self, index: usize);

    /// Whether the connections with this hash were watched in the last seconds.
    fn is_watched(&self, hash: u32) -> bool;

    /// Watches the connections with this hash for some seconds from now.
    fn watch(&self, hash: u32);

    /// Which connections are followed.
    fn filter(&self) -> &Filter;

    /// Which tunnels are looked into.
    fn tunnels(&self) -> &Tunnels;

    /// What is kept of a connection; if nothing was and it is to `enter`, from now on, where there is
    /// room.
    fn flow(&self, key: &Key, enter: bool) -> Option<Self::Entry>;

    /// Notes that a connection was reported: one that is proved and not over yet keeps its place.
    fn keep(&self, entry: &Self::Entry, proved: bool);

    /// Whether every segment is counted for its connection.
    fn accounts(&self) -> bool;

    /// The counts of a connection, from now on if there were none; `None` where there is no room.
    fn ledgers(&self, key: &Key) -> Option<Self::Ledgers>;

    /// Hands out the counts of a connection that another one takes the place of; tells whether there
    /// was room.
    fn settle(&self, key: &Key, ledgers: &Ledgers) -> bool;

    /// Sets a mark and tells whether it was not set before: only one CPU gets that answer.
    fn claim(&self, flow: &Flow, mark: Mark) -> bool;

    /// Clears marks.
    fn clear(&self, flow: &Flow, mark: Mark);

    /// Gives the words back as they are.
    ///
    /// The kernel does so in a way that makes the verifier forget what it knows of them. Otherwise it
    /// would follow the rest of the program once for every way in which a header can be found.
    #[inline(always)]
    fn forget(&self, words: [u64; 3]) -> [u64; 3] {
        words
    }

    /// The same with one word.
    #[inline(always)]
    fn forget_word(&self, word: u64) -> u64 {
        word
    }

    /// The place of the segment at hand once more. The kernel has it outside of its small stack, of
    /// which old ones count each function's part by multiples of 32 octets.
    #[inline(always)]
    fn again(&self, located: &Located) -> Located {
        *located
    }

    /// Keeps the key at hand until the next one comes. The kernel does so outside of its small stack.
    fn set_aside(&self, key: Key) -> Self::Aside;

    /// Nanoseconds of the monotonic clock, or a capture's time.
    fn now_ns(&self) -> u64;

    /// Whether there is room for one more event of a connection that is not proved. Few enough of them
    /// are given that a flood leaves room and time for the others; each kind by itself, so that one of
    /// SYNs does not hide how older connections end.
    fn admits(&self, kind: Unproved) -> bool;

    /// The CPU, and its count of events before this one.
    fn serial(&self) -> (u32, u64);

    /// Lends the memory of an event, all zero; `None` where there is no room. It has to be given to
    /// [`Host::submit`].
    fn reserve(&self) -> Option<Self::Slot<'_>>;

    /// Hands an event out.
    fn submit(&self, event: Self::Slot<'_>);
}

/// What kind of segment may be held back, whose connection is not proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Unproved {
    /// A SYN without ACK.
    Syn = 0,
    /// A SYN-ACK.
    SynAck,
    /// A reset.
    Rst,
    /// Any other.
    Other,
}

impl Unproved {
    /// How many there are.
    pub const KINDS: usize = 4;

    #[inline(always)]
    pub(super) const fn of(flags: Flags) -> Self {
        match (flags.syn(), flags.ack(), flags.rst()) {
            (true, false, _) => Self::Syn,
            (true, true, _) => Self::SynAck,
            (false, _, true) => Self::Rst,
            (false, _, false) => Self::Other,
        }
    }

    #[inline(always)]
    pub(super) const fn counter(self) -> Counter {
        match self {
            Self::Syn => Counter::HeldSyn,
            Self::SynAck => Counter::HeldSynAck,
            Self::Rst | Self::Other => Counter::HeldOther,
        }
    }
}
