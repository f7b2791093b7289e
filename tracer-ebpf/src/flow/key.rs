//! The key of a connection: the same for both directions.

use core::hash::{Hash, Hasher};

use crate::segment::{Address, Endpoint, Scope};

/// Addresses, ports and scope of a connection, the lower endpoint first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

impl Hash for Key {
    /// In as few and as wide numbers as there are: tables are asked for every segment.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let (Address([a, b]), Address([c, d])) = (self.lo, self.hi);
        let ports = u64::from(self.lo_port) << 16 | u64::from(self.hi_port);
        state.write_u128(wide(a, b));
        state.write_u128(wide(c, d));
        state.write_u128(wide(self.scope.0, ports));
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

    /// The octets of the key, as a table in the kernel takes them.
    #[must_use]
    pub const fn words(&self) -> [u64; 6] {
        let [a, b] = self.lo.0;
        let [c, d] = self.hi.0;
        let ([e, f], [g, h]) = (self.lo_port.to_ne_bytes(), self.hi_port.to_ne_bytes());
        let ports = u64::from_ne_bytes([e, f, g, h, 0, 0, 0, 0]);
        [a, b, c, d, ports, self.scope.0]
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
