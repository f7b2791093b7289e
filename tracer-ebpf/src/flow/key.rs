//! The key of a connection: the same for both directions.

use crate::segment::{Address, Endpoint, Scope};

/// Addresses, ports and scope of a connection, the lower endpoint first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Key {
    /// Address of the lower endpoint.
    pub lo: Address,
    /// Address of the higher endpoint.
    pub hi: Address,
    /// Port of the lower endpoint.
    pub lo_port: u16,
    /// Port of the higher endpoint.
    pub hi_port: u16,
    /// Zero.
    pub padding: u32,
    /// VLAN tags and tunnel.
    pub scope: Scope,
}

const _: () = assert!(size_of::<Key>() == 48);

/// One of a connection's two endpoints, as its key orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The lower endpoint.
    Lo,
    /// The higher endpoint.
    Hi,
}

impl Half {
    /// The other endpoint.
    #[inline(always)]
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Lo => Self::Hi,
            Self::Hi => Self::Lo,
        }
    }
}

impl Key {
    /// The key of the connection between two endpoints, and which of them the first one is.
    #[inline(always)]
    #[must_use]
    pub fn of([source, destination]: &[Endpoint; 2], scope: Scope) -> (Self, Half) {
        let (lo, hi, half) = if precedes(source, destination) {
            (source, destination, Half::Lo)
        } else {
            (destination, source, Half::Hi)
        };
        let key = Self {
            lo: lo.address,
            hi: hi.address,
            lo_port: lo.port,
            hi_port: hi.port,
            padding: 0,
            scope,
        };
        (key, half)
    }

    /// An endpoint's address and port.
    #[must_use]
    #[inline(always)]
    pub const fn endpoint(&self, half: Half) -> Endpoint {
        let (address, port) = match half {
            Half::Lo => (self.lo, self.lo_port),
            Half::Hi => (self.hi, self.hi_port),
        };
        Endpoint { address, port }
    }
}

/// An order of endpoints: any will do that both directions agree on.
#[inline(always)]
fn precedes(a: &Endpoint, b: &Endpoint) -> bool {
    let (Address([a_high, a_low]), Address([b_high, b_low])) = (a.address, b.address);
    if a_high != b_high {
        a_high < b_high
    } else if a_low != b_low {
        a_low < b_low
    } else {
        a.port <= b.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(last: u8, port: u16) -> Endpoint {
        Endpoint {
            address: Address::v4([10, 0, 0, last]),
            port,
        }
    }

    #[test]
    fn both_directions_have_one_key_and_opposite_halves() {
        for (a, b) in [
            (endpoint(1, 80), endpoint(2, 70)),
            (endpoint(1, 80), endpoint(1, 81)),
        ] {
            let (forth, from_a) = Key::of(&[a, b], Scope::default());
            let (back, from_b) = Key::of(&[b, a], Scope::default());
            assert_eq!(forth, back);
            assert_eq!((from_a, from_b), (Half::Lo, Half::Hi));
            assert_eq!(forth.endpoint(from_a), a);
            assert_eq!(forth.endpoint(from_b), b);
        }
    }
}
