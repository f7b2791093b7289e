//! A connection to the kernel over netlink (rtnetlink(7)): requests, one after the other, each of which
//! waits for its answer.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

/// The kernel never puts more into a datagram (`netlink_dump`).
pub(super) const DATAGRAM_MAX: usize = 1 << 16;
/// Messages begin at multiples of this (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        Self::listening(0)
    }

    /// Hears, too, what the kernel tells by itself to these groups, a bit each.
    pub(super) fn listening(groups: u32) -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    /// Has something done.
    pub(super) fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, flags | NLM_F_ACK).map(drop)
    }

    /// Asks for a list; `None` is what could not be read, which the kernel may know and we do not.
    pub(super) fn list(
        &self,
        message: RouteNetlinkMessage,
    ) -> io::Result<Vec<Option<RouteNetlinkMessage>>> {
        self.exchange(message, NLM_F_DUMP)
    }

    fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<Option<RouteNetlinkMessage>>> {
        self.send(message, flags, 0)?;
        let mut answers = Vec::new();
        let mut datagram = vec![0; DATAGRAM_MAX];
        loop {
            let len = self.receive(&mut datagram, MsgFlags::empty())?;
            for message in messages(datagram.get(..len).unwrap_or_default()) {
                match NetlinkMessage::deserialize(message.into_inner()) {
                    Ok(message) => match message.payload {
                        NetlinkPayload::Done(_) => return Ok(answers),
                        NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                        NetlinkPayload::Error(error) => return Err(error.to_io()),
                        NetlinkPayload::InnerMessage(answer) => answers.push(Some(answer)),
                        _ => {}
                    },
                    Err(_) => answers.push(None),
                }
            }
        }
    }

    /// Sends a request, whose answers bear its number.
    pub(super) fn send(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        number: u32,
    ) -> io::Result<()> {
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), message.into());
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = number;
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        send(self.0.as_raw_fd(), &octets, MsgFlags::empty())?;
        Ok(())
    }

    /// Takes one datagram, and gives its length.
    pub(super) fn receive(&self, datagram: &mut [u8], flags: MsgFlags) -> nix::Result<usize> {
        recv(self.0.as_raw_fd(), datagram, flags)
    }
}

/// The messages of a datagram, up to one that is not whole.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(datagram).ok()?;
        let len = usize::try_from(message.length()).ok()?;
        let (first, _) = datagram.split_at_checked(len)?;
        datagram = datagram
            .get(len.next_multiple_of(ALIGNMENT)..)
            .unwrap_or_default();
        NetlinkBuffer::new_checked(first).ok()
    })
}

/// What the kernel answers instead of what was asked for: an errno below zero, or 0 where nothing is wrong.
pub(super) fn refusal(payload: &[u8]) -> io::Error {
    let errno = payload
        .first_chunk()
        .map_or(0, |octets| i32::from_ne_bytes(*octets));
    io::Error::from_raw_os_error(errno.wrapping_neg())
}
