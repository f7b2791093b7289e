//! What is looked for inside of tunnels.

use std::num::NonZeroU16;

use clap::Args;
use synfin_ebpf::wire::{MAX_VXLAN_PORTS, Tunnels};

use super::too_many;

/// Options of everything that looks into tunnels.
#[derive(Args, Clone, Debug)]
pub struct Carriers {
    /// UDP port of VXLAN beside 4789; give it again for several
    #[arg(
        long = "vxlan-port",
        value_name = "PORT",
        value_delimiter = ',',
        help_heading = "What to trace"
    )]
    pub vxlan_ports: Vec<NonZeroU16>,
}

impl Carriers {
    /// Looks into tunnels where that is asked for, by a port as well.
    ///
    /// # Errors
    /// Where there are more ports than there is room for.
    pub fn tunnels_where(&self, asked: bool) -> Result<Tunnels, String> {
        if asked || !self.vxlan_ports.is_empty() {
            self.tunnels()
        } else {
            Ok(Tunnels::OFF)
        }
    }

    /// Looks into all tunnels.
    ///
    /// # Errors
    /// Where there are more ports than there is room for.
    pub fn tunnels(&self) -> Result<Tunnels, String> {
        let ports: Vec<u16> = self.vxlan_ports.iter().map(|port| port.get()).collect();
        Tunnels::with_vxlan_ports(&ports)
            .ok_or_else(|| too_many("--vxlan-port", MAX_VXLAN_PORTS, ports.len()))
    }
}
