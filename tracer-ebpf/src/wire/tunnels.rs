//! Which tunnels are looked into: an option, since the way there costs time even where there are none.

/// UDP port of VXLAN (RFC 7348 §8).
const VXLAN_PORT: u16 = 4789;

/// How many UDP ports may be VXLAN's beside its own.
pub const MAX_VXLAN_PORTS: usize = 4;

/// Whether tunnels are looked into, and what else is taken for VXLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tunnels {
    /// UDP ports of VXLAN; the usual one where there are no others.
    vxlan_ports: [u16; MAX_VXLAN_PORTS],
    /// Not zero: they are looked into.
    on: u32,
}

const _: () = assert!(size_of::<Tunnels>() == 12);

impl Tunnels {
    /// What is in a tunnel is no TCP.
    pub const OFF: Self = Self {
        vxlan_ports: [VXLAN_PORT; MAX_VXLAN_PORTS],
        on: 0,
    };

    /// All are looked into.
    pub const ON: Self = Self { on: 1, ..Self::OFF };

    /// All are looked into, and these UDP ports are VXLAN's, too; `None` where there are too many.
    #[must_use]
    pub fn with_vxlan_ports(ports: &[u16]) -> Option<Self> {
        let mut tunnels = Self::ON;
        for (index, port) in ports.iter().enumerate() {
            *tunnels.vxlan_ports.get_mut(index)? = *port;
        }
        Some(tunnels)
    }

    /// Whether they are looked into.
    #[inline(always)]
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on != 0
    }

    /// Whether what is sent to this UDP port is VXLAN.
    #[inline(always)]
    pub(super) fn is_vxlan(&self, port: u16) -> bool {
        port == VXLAN_PORT || self.vxlan_ports.contains(&port)
    }

    /// The octets of the layout above, as the programs' global holds them.
    #[must_use]
    pub fn to_octets(&self) -> [u8; size_of::<Self>()] {
        let mut octets = [0; size_of::<Self>()];
        let ports = self.vxlan_ports.iter().flat_map(|port| port.to_ne_bytes());
        for (octet, value) in octets.iter_mut().zip(ports.chain(self.on.to_ne_bytes())) {
            *octet = value;
        }
        octets
    }
}

impl Default for Tunnels {
    fn default() -> Self {
        Self::OFF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_ports_fit_beside_the_usual_one() {
        let tunnels = Tunnels::with_vxlan_ports(&[8472, 1, 2, 3]).unwrap();
        assert!(tunnels.is_on() && tunnels.is_vxlan(8472) && tunnels.is_vxlan(4789));
        assert!(!tunnels.is_vxlan(0));
        assert_eq!(Tunnels::with_vxlan_ports(&[1; 5]), None);
    }

    #[test]
    fn the_octets_follow_the_layout() {
        let tunnels = Tunnels::with_vxlan_ports(&[0x0102]).unwrap();
        let octets = tunnels.to_octets();
        assert_eq!(octets[..2], 0x0102_u16.to_ne_bytes());
        assert_eq!(octets[2..4], VXLAN_PORT.to_ne_bytes());
        assert_eq!(octets[8..], 1_u32.to_ne_bytes());
    }
}
