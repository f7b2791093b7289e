//! What the kernel tells of its interfaces (rtnetlink(7)): what it lists when asked, and what it tells by
//! itself. Both come through one socket, and so in the order in which they happened.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NetlinkPayload, NlasIterator, ParseableParametrized as _,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily as Family, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv,
    send, socket,
};

use super::Device;

/// What one reading gives at most: the kernel puts no more into one answer.
const MOST: usize = 1 << 17;
/// The bit of the group of all messages of links.
const LINKS: u32 = 1 << (libc::RTNLGRP_LINK - 1);
/// Octets of a link's header, struct ifinfomsg.
const LINK_HEADER_LEN: usize = 16;
/// Messages begin at multiples of this.
const ALIGNED: usize = 4;

/// News of interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Every interface that there is follows.
    Listing,
    /// An interface, as it is now.
    Link {
        /// The interface.
        device: Device,
        /// It is up.
        up: bool,
    },
    /// An interface is not here any more.
    Gone {
        /// Its index.
        index: u32,
        /// It is in another namespace now.
        moved: bool,
    },
    /// Every interface was told of since the listing began.
    Listed,
}

/// The socket.
pub(super) struct Netlink {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The number of the listing that goes on.
    listing: Option<u32>,
    /// It has to be done again: something changed or was missed meanwhile.
    again: bool,
    sequence: u32,
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Netlink {
    /// Asks for a listing; what changes after that is told, too.
    pub(super) fn watch() -> io::Result<Self> {
        Self::open(LINKS)
    }

    /// All interfaces that there are.
    pub(super) fn list() -> io::Result<Vec<Device>> {
        let mut netlink = Self::open(0)?;
        let (mut devices, mut news) = (Vec::new(), Vec::new());
        loop {
            netlink.read(&mut news)?;
            for news in news.drain(..) {
                match news {
                    News::Listing => devices.clear(),
                    News::Link { device, .. } => devices.push(device),
                    News::Gone { .. } => {}
                    News::Listed => return Ok(devices),
                }
            }
        }
    }

    fn open(groups: u32) -> io::Result<Self> {
        let socket = socket(
            Family::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        let mut netlink = Self {
            socket,
            buffer: vec![0; MOST],
            listing: None,
            again: false,
            sequence: 0,
        };
        netlink.ask()?;
        Ok(netlink)
    }

    /// Waits for news and takes what has come at once.
    pub(super) fn read(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        match recv(
            self.socket.as_raw_fd(),
            &mut self.buffer,
            MsgFlags::MSG_TRUNC,
        ) {
            Ok(len) if len <= self.buffer.len() => self.take(len, news),
            // More was told than there was room for (netlink(7)).
            Ok(_) | Err(Errno::ENOBUFS) => self.list_again(news),
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(request));
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        send(self.socket.as_raw_fd(), &octets, MsgFlags::empty())?;
        self.listing = Some(self.sequence);
        self.again = false;
        Ok(())
    }

    /// Asks for another listing, after the one that may go on: there is one at a time.
    fn list_again(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        if self.listing.is_some() {
            self.again = true;
            return Ok(());
        }
        news.push(News::Listing);
        self.ask()
    }

    fn take(&mut self, len: usize, news: &mut Vec<News>) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let taken = self.take_all(buffer.get(..len).unwrap_or_default(), news);
        self.buffer = buffer;
        taken
    }

    fn take_all(&mut self, mut octets: &[u8], news: &mut Vec<News>) -> io::Result<()> {
        while let Ok(message) = NetlinkBuffer::new_checked(&octets) {
            let len = message.length() as usize;
            let asked_for = Some(message.sequence_number()) == self.listing;
            match message.message_type() {
                NLMSG_DONE if asked_for => {
                    self.listing = None;
                    if self.again {
                        self.list_again(news)?;
                    } else {
                        news.push(News::Listed);
                    }
                }
                NLMSG_ERROR if asked_for => return Err(refusal(message.payload())),
                kind => {
                    // It was not listed in one piece.
                    self.again |= asked_for && message.flags() & NLM_F_DUMP_INTR != 0;
                    news.extend(link_news(kind, message.payload()));
                }
            }
            let next = len.next_multiple_of(ALIGNED);
            octets = octets.get(next..).unwrap_or_default();
        }
        Ok(())
    }
}

/// What the kernel answers instead of a listing: an errno below zero.
fn refusal(payload: &[u8]) -> io::Error {
    let errno = payload
        .first_chunk()
        .map_or(0, |octets| i32::from_ne_bytes(*octets));
    io::Error::from_raw_os_error(errno.wrapping_neg())
}

/// What a message tells of a link. What cannot be read of it is left out: new kernels tell more.
fn link_news(kind: u16, payload: &[u8]) -> Option<News> {
    let header = LinkHeader::parse(payload).ok()?;
    // With another family a bridge tells of its ports.
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let family = header.interface_family;
    let attributes = NlasIterator::new(payload.get(LINK_HEADER_LEN..)?)
        .flatten()
        .filter_map(|attribute| LinkAttribute::parse_with_param(&attribute, family).ok());
    let mut message = LinkMessage::default();
    message.header = header;
    message.attributes = attributes.collect();
    match kind {
        libc::RTM_NEWLINK => Some(News::Link {
            device: Device::new(&message),
            up: message.header.flags.contains(LinkFlags::Up),
        }),
        libc::RTM_DELLINK => Some(News::Gone {
            index: message.header.index,
            moved: (message.attributes.iter())
                .any(|attribute| matches!(attribute, LinkAttribute::NewNetnsId(_))),
        }),
        _ => None,
    }
}
