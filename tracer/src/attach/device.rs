//! Network devices, as the kernel's netlink interface tells of them.

use std::collections::HashMap;
use std::io;

use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::{MulticastGroup, new_connection, new_multicast_connection};

use super::AttachError;

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
    /// What its frames begin with.
    pub header: LinkHeader,
}

/// What the frames of a device begin with, by its type (`ARPHRD_…` of `linux/if_arp.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub async fn find(name: &str) -> Result<Self, AttachError> {
        let mut devices = all().await.map_err(AttachError::Netlink)?;
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
    pub async fn all() -> Result<Vec<Self>, AttachError> {
        all().await.map_err(AttachError::Netlink)
    }

    fn new(message: &LinkMessage) -> Self {
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

async fn all() -> io::Result<Vec<Device>> {
    let (connection, handle, _) = new_connection()?;
    let connection = tokio::spawn(connection);
    let links = handle.link().get().execute();
    let devices = links.map_ok(|message| Device::new(&message)).try_collect();
    let devices = devices.await.map_err(io::Error::other);
    connection.abort();
    devices
}

/// Tells when traced devices go away.
pub struct Watcher {
    messages: Messages,
    devices: HashMap<u32, String>,
    connection: tokio::task::JoinHandle<()>,
}

type Messages = futures_util::stream::BoxStream<'static, RouteNetlinkMessage>;

impl Watcher {
    /// Watches these devices.
    ///
    /// # Errors
    /// Where the kernel refuses the subscription, or one of them is gone already.
    pub async fn new(devices: &[Device]) -> Result<Self, AttachError> {
        let (connection, _, messages) =
            new_multicast_connection(&[MulticastGroup::Link]).map_err(AttachError::Netlink)?;
        let messages = messages.filter_map(|(message, _)| async move {
            match message.payload {
                NetlinkPayload::InnerMessage(message) => Some(message),
                _ => None,
            }
        });
        let watcher = Self {
            messages: messages.boxed(),
            devices: devices.iter().map(|d| (d.index, d.name.clone())).collect(),
            connection: tokio::spawn(connection),
        };
        let present = all().await.map_err(AttachError::Netlink)?;
        for device in devices {
            if !present.iter().any(|other| other.index == device.index) {
                return Err(AttachError::NoDevice {
                    name: device.name.clone(),
                    there_are: present.into_iter().map(|other| other.name).collect(),
                });
            }
        }
        Ok(watcher)
    }

    /// Waits until a watched device is gone, and gives its name. May be cancelled.
    pub async fn gone(&mut self) -> String {
        while let Some(message) = self.messages.next().await {
            if let RouteNetlinkMessage::DelLink(message) = message
                && let Some(name) = self.devices.remove(&message.header.index)
            {
                return name;
            }
        }
        // Without netlink nothing more is learnt of the devices; tracing goes on.
        std::future::pending().await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.connection.abort();
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
