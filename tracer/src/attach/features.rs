//! Which XDP features a driver has, by the kernel's own list (generic netlink family `netdev`, Linux 6.3).

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use netlink_packet_core::{
    DefaultNla, Emitable as _, NLM_F_REQUEST, NLMSG_ERROR, NlasIterator, emit_u32, parse_u16,
    parse_u64,
};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::netlink::{DATAGRAM_MAX, messages, refusal};

/// The family that knows the others (`GENL_ID_CTRL`), its question for one (`CTRL_CMD_GETFAMILY`), and the
/// attributes of a name and a number (`CTRL_ATTR_FAMILY_NAME`, `CTRL_ATTR_FAMILY_ID`).
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_NAME: u16 = 2;
const FAMILY_ID: u16 = 1;
/// `NETDEV_CMD_DEV_GET`, `NETDEV_A_DEV_IFINDEX`, `NETDEV_A_DEV_XDP_FEATURES`.
const GET_DEVICE: u8 = 1;
const INDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;
/// `NETDEV_XDP_ACT_BASIC`, `NETDEV_XDP_ACT_RX_SG`.
const BASIC: u64 = 1;
const FRAGMENTS: u64 = 1 << 5;
/// Octets of a netlink header and of a generic one (struct nlmsghdr, struct genlmsghdr).
const HEADER_LEN: usize = 16;
const GENERIC_LEN: usize = 4;

/// What a driver can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs XDP programs.
    pub native: bool,
    /// Also on frames that take more than one buffer.
    pub fragments: bool,
}

/// Asks for the features of a device; `None` where the kernel does not list them.
///
/// # Errors
/// Where netlink fails.
pub(super) fn of(index: u32) -> io::Result<Option<XdpFeatures>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkGeneric;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    let name = DefaultNla::new(FAMILY_NAME, b"netdev\0".to_vec());
    let family = match ask(&socket, CONTROL, GET_FAMILY, &name, FAMILY_ID) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => return Ok(None),
        family => family?,
    };
    let Some(family) = family.and_then(|octets| parse_u16(&octets).ok()) else {
        return Ok(None);
    };
    let mut octets = vec![0; 4];
    emit_u32(&mut octets, index).map_err(io::Error::other)?;
    let index = DefaultNla::new(INDEX, octets);
    let features = ask(&socket, family, GET_DEVICE, &index, XDP_FEATURES)?;
    let features = features.and_then(|octets| parse_u64(&octets).ok());
    Ok(features.map(|features| XdpFeatures {
        native: features & BASIC != 0,
        fragments: features & FRAGMENTS != 0,
    }))
}

/// The value of an attribute of the answer.
fn ask(
    socket: &OwnedFd,
    family: u16,
    command: u8,
    about: &DefaultNla,
    wanted: u16,
) -> io::Result<Option<Vec<u8>>> {
    send(
        socket.as_raw_fd(),
        &request(family, command, about)?,
        MsgFlags::empty(),
    )?;
    let mut datagram = vec![0; DATAGRAM_MAX];
    let len = recv(socket.as_raw_fd(), &mut datagram, MsgFlags::empty())?;
    let Some(answer) = messages(datagram.get(..len).unwrap_or_default()).next() else {
        return Ok(None);
    };
    let payload = answer.payload();
    if answer.message_type() == NLMSG_ERROR {
        let refusal = refusal(payload);
        return match refusal.raw_os_error() {
            Some(0) => Ok(None),
            _ => Err(refusal),
        };
    }
    let attributes = NlasIterator::new(payload.get(GENERIC_LEN..).unwrap_or_default());
    let found = attributes
        .flatten()
        .find(|attribute| attribute.kind() == wanted);
    Ok(found.map(|attribute| attribute.value().to_vec()))
}

fn request(family: u16, command: u8, about: &DefaultNla) -> io::Result<Vec<u8>> {
    let attribute = HEADER_LEN + GENERIC_LEN;
    let len = attribute + about.buffer_len();
    let mut octets = vec![0; len];
    let len = u32::try_from(len).map_err(io::Error::other)?;
    let header = [
        &len.to_ne_bytes()[..],
        &family.to_ne_bytes(),
        &NLM_F_REQUEST.to_ne_bytes(),
        &[0; 8],
        &[command, 1, 0, 0],
    ]
    .concat();
    let (head, rest) = octets.split_at_mut(attribute);
    head.copy_from_slice(&header);
    about.emit(rest);
    Ok(octets)
}
