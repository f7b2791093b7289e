//! The counts of a connection's segments, as user space reads them: from the kernel's table, or from
//! the ring where a new connection takes the place of another one.

use core::mem::offset_of;

use crate::event::{ABI_VERSION, BadEvent};
use crate::flow::Key;
use crate::segment::{Address, Scope};

/// Interfaces that are kept of those where copies of a side's segments were seen.
pub const COPIED_ON: usize = 4;

/// What was counted of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Account {
    /// Segments, copies not counted.
    pub packets: u64,
    /// Payload octets, those sent again included.
    pub payload: u64,
    /// Payload octets that had been seen before.
    pub retransmitted: u64,
    /// Numbers from the first one after its SYN, or from the first one seen, to the highest seen or
    /// acknowledged; its FIN's own number is among them.
    pub span: u64,
    /// Numbers of `span` that were not seen.
    pub unseen: u64,
    /// Segments whose payload had been seen before.
    pub retransmissions: u32,
    /// Segments that were seen twice.
    pub duplicates: u32,
    /// Segments that filled a hole.
    pub out_of_order: u32,
    /// Keepalives and probes of a closed window.
    pub probes: u32,
    /// Segments that announced a closed window.
    pub zero_windows: u32,
    /// Segments that acknowledged payload which was not seen.
    pub gaps: u32,
    /// The interfaces where copies of its segments were seen, in the order of first sight: their index
    /// and 1, or 0 behind the last one.
    pub copied_on: [u32; COPIED_ON],
}

const _: () = assert!(size_of::<Account>() == 80);

/// The counts of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Accounts {
    /// Of the key's lower endpoint.
    pub lo: Account,
    /// Of the key's higher endpoint.
    pub hi: Account,
    /// Not 0 where the counting began with the connection's SYN.
    pub whole: u64,
}

/// The counts of a connection that a new one takes the place of. Its ring record comes right before
/// the event of the new one's SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settled {
    /// The addresses and ports of both.
    pub key: Key,
    /// [`ABI_VERSION`].
    pub abi: u64,
    /// The counts.
    pub accounts: Accounts,
}

const _: () = assert!(size_of::<Settled>() == 224);

impl Account {
    /// The interfaces where copies of its segments were seen, by their index.
    pub fn copied_on(&self) -> impl Iterator<Item = u32> + use<> {
        self.copied_on
            .into_iter()
            .filter_map(|one| one.checked_sub(1))
    }

    fn decode(record: &[u8]) -> Self {
        macro_rules! field {
            ($name:ident, $type:ty) => {
                <$type>::from_ne_bytes(take(record, offset_of!(Self, $name)))
            };
        }
        Self {
            packets: field!(packets, u64),
            payload: field!(payload, u64),
            retransmitted: field!(retransmitted, u64),
            span: field!(span, u64),
            unseen: field!(unseen, u64),
            retransmissions: field!(retransmissions, u32),
            duplicates: field!(duplicates, u32),
            out_of_order: field!(out_of_order, u32),
            probes: field!(probes, u32),
            zero_windows: field!(zero_windows, u32),
            gaps: field!(gaps, u32),
            copied_on: core::array::from_fn(|place| {
                let offset = offset_of!(Self, copied_on) + size_of::<u32>() * place;
                u32::from_ne_bytes(take(record, offset))
            }),
        }
    }

    /// Both counts together: of one side before and after its counting began anew.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            payload: self.payload.saturating_add(other.payload),
            retransmitted: self.retransmitted.saturating_add(other.retransmitted),
            span: self.span.saturating_add(other.span),
            unseen: self.unseen.saturating_add(other.unseen),
            retransmissions: self.retransmissions.saturating_add(other.retransmissions),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            probes: self.probes.saturating_add(other.probes),
            zero_windows: self.zero_windows.saturating_add(other.zero_windows),
            gaps: self.gaps.saturating_add(other.gaps),
            // The same way is taken before and after.
            copied_on: match self.copied_on {
                [0, ..] => other.copied_on,
                copied_on => copied_on,
            },
        }
    }
}

impl Accounts {
    /// Reads the counts from the octets of a table's value; what is missing at its end is zero.
    #[must_use]
    pub fn decode(value: &[u8]) -> Self {
        let account = |offset| Account::decode(value.get(offset..).unwrap_or_default());
        Self {
            lo: account(offset_of!(Self, lo)),
            hi: account(offset_of!(Self, hi)),
            whole: u64::from_ne_bytes(take(value, offset_of!(Self, whole))),
        }
    }

    /// Both counts together, as far as the later one goes on.
    #[must_use]
    pub const fn plus(&self, later: &Self) -> Self {
        Self {
            lo: self.lo.plus(&later.lo),
            hi: self.hi.plus(&later.hi),
            whole: self.whole,
        }
    }
}

impl Settled {
    /// Reads the counts from the octets of a ring record.
    ///
    /// # Errors
    /// Where the record's length or version is another one.
    pub fn decode(record: &[u8]) -> Result<Self, BadEvent> {
        if record.len() != size_of::<Self>() {
            return Err(BadEvent::Length(record.len()));
        }
        let abi = u64::from_ne_bytes(take(record, offset_of!(Self, abi)));
        if abi != u64::from(ABI_VERSION) {
            return Err(BadEvent::Abi((abi & 0xffff) as u16));
        }
        let port = |offset| u16::from_ne_bytes(take(record, offset));
        let accounts = record.get(offset_of!(Self, accounts)..);
        Ok(Self {
            key: Key {
                lo: Address::v6(take(record, offset_of!(Key, lo))),
                hi: Address::v6(take(record, offset_of!(Key, hi))),
                lo_port: port(offset_of!(Key, lo_port)),
                hi_port: port(offset_of!(Key, hi_port)),
                padding: 0,
                scope: Scope(u64::from_ne_bytes(take(record, offset_of!(Key, scope)))),
            },
            abi,
            accounts: Accounts::decode(accounts.unwrap_or_default()),
        })
    }
}

/// The `N` octets at an offset; zeros past the end.
fn take<const N: usize>(record: &[u8], offset: usize) -> [u8; N] {
    let octets = record.get(offset..).and_then(|rest| rest.first_chunk());
    octets.copied().unwrap_or([0; N])
}
