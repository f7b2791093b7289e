//! Network devices, as the kernel's netlink interface tells of them.

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};
use serde::{Deserialize, Serialize};

use super::AttachError;
use super::news::Watch;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index, which stays when it is renamed.
    pub index: u32,
    /// What kind of software device it is; `None` for hardware, virtio and loopback.
    pub kind: Option<String>,
    /// The loopback device.
    pub loopback: bool,
    /// What its frames begin with.
    pub header: LinkHeader,
}

/// What the frames of a device begin with, by its type (`ARPHRD_…` of `linux/if_arp.h`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkHeader {
    /// An Ethernet header.
    Ethernet,
    /// None: they are IP packets.
    None,
    /// Something that is not read, by the name of its type.
    Other(String),
}

impl From<LinkLayerType> for LinkHeader {
    fn from(layer: LinkLayerType) -> Self {
        match layer {
            // Loopback frames carry an Ethernet header of zeros.
            LinkLayerType::Ether | LinkLayerType::Loopback => Self::Ethernet,
            // TUN, WireGuard; PPP, whose header the driver adds and takes off; modems; tunnels of IP,
            // whose outer header is likewise the driver's.
            LinkLayerType::None
            | LinkLayerType::Ppp
            | LinkLayerType::Rawip
            | LinkLayerType::Tunnel
            | LinkLayerType::Tunnel6
            | LinkLayerType::Sit
            | LinkLayerType::Ipgre
            | LinkLayerType::Ip6gre => Self::None,
            other => Self::Other(other.to_string()),
        }
    }
}

impl Device {
    /// Looks a device up by its name.
    ///
    /// # Errors
    /// Where there is none of that name, with the names that there are.
    pub fn find(name: &str) -> Result<Self, AttachError> {
        let mut devices = Self::all()?;
        match devices.iter().position(|device| device.name == name) {
            Some(index) => Ok(devices.swap_remove(index)),
            None => Err(AttachError::NoDevice {
                name: name.to_owned(),
                there_are: devices.into_iter().map(|device| device.name).collect(),
            }),
        }
    }

    /// All devices of this network namespace.
    ///
    /// # Errors
    /// Where netlink fails.
    pub fn all() -> Result<Vec<Self>, AttachError> {
        Watch::list().map_err(AttachError::Netlink)
    }

    pub(super) fn new(message: &LinkMessage) -> Self {
        let mut device = Self {
            name: String::new(),
            index: message.header.index,
            kind: None,
            loopback: message.header.link_layer_type == LinkLayerType::Loopback,
            header: message.header.link_layer_type.into(),
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => device.name.clone_from(name),
                LinkAttribute::LinkInfo(infos) => {
                    device.kind = infos.iter().find_map(kind_name);
                }
                _ => {}
            }
        }
        device
    }
}

fn kind_name(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(InfoKind::Other(kind)) => Some(kind.clone()),
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_begin_with_is_told_by_the_type_of_the_device() {
        // ARPHRD_ETHER, _LOOPBACK; _NONE, _PPP, _RAWIP, _TUNNEL, _TUNNEL6, _SIT, _IPGRE, _IP6GRE.
        for (types, header) in [
            (&[1, 772][..], LinkHeader::Ethernet),
            (
                &[65534, 512, 519, 768, 769, 776, 778, 823],
                LinkHeader::None,
            ),
            (&[32], LinkHeader::Other("INFINIBAND".into())),
        ] {
            for layer in types {
                assert_eq!(LinkHeader::from(LinkLayerType::from(*layer)), header);
            }
        }
    }
}
