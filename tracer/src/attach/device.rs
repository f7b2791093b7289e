//! Network devices, as the kernel's netlink interface tells of them.

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};

use super::AttachError;
use super::netlink::Netlink;

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index, which stays when it is renamed.
    pub index: u32,
    /// What kind of software device it is; `None` for hardware, virtio and loopback.
    pub kind: Option<String>,
    /// The loopback device.
    pub loopback: bool,
    /// Its frames begin with an Ethernet header.
    pub ethernet: bool,
}

impl Device {
    /// Looks a device up by its name.
    ///
    /// # Errors
    /// Where there is none of that name, with the names that there are.
    pub fn find(name: &str) -> Result<Self, AttachError> {
        let mut devices = Netlink::list().map_err(AttachError::Netlink)?;
        match devices.iter().position(|device| device.name == name) {
            Some(index) => Ok(devices.swap_remove(index)),
            None => Err(AttachError::NoDevice {
                name: name.to_owned(),
                there_are: devices.into_iter().map(|device| device.name).collect(),
            }),
        }
    }

    pub(super) fn new(message: &LinkMessage) -> Self {
        let mut device = Self {
            name: String::new(),
            index: message.header.index,
            kind: None,
            loopback: message.header.link_layer_type == LinkLayerType::Loopback,
            // Loopback frames carry an Ethernet header of zeros.
            ethernet: matches!(
                message.header.link_layer_type,
                LinkLayerType::Ether | LinkLayerType::Loopback
            ),
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
