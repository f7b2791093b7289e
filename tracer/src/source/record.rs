//! What the ring's records are.

use synfin_ebpf::account::Settled;
use synfin_ebpf::event::{BadEvent, Event};

/// One record of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A segment that was reported.
    Event(Event),
    /// The counts of a connection that another one takes the place of.
    Settled(Settled),
}

impl Record {
    /// Reads a record; its length tells which one it is.
    ///
    /// # Errors
    /// Where it is none of this version.
    pub fn decode(record: &[u8]) -> Result<Self, BadEvent> {
        if record.len() == size_of::<Settled>() {
            Settled::decode(record).map(Self::Settled)
        } else {
            Event::decode(record).map(Self::Event)
        }
    }
}
