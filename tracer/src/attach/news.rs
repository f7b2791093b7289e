//! What the kernel tells of its interfaces (rtnetlink(7)): what it lists when asked, and what it tells by
//! itself. Both come through one socket, and so in the order in which they happened.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NlasIterator, ParseableParametrized as _,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::MsgFlags;

use super::Device;
use super::netlink::{DATAGRAM_MAX, Netlink, messages, refusal};

/// The bit of the group of all messages of links.
const LINKS: u32 = 1 << (libc::RTNLGRP_LINK - 1);
/// Octets of a link's header, struct ifinfomsg.
const LINK_HEADER_LEN: usize = 16;

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

/// Where the news come from.
#[derive(Debug)]
pub(super) struct Watch {
    netlink: Netlink,
    /// What has come and is not taken yet.
    news: VecDeque<News>,
    datagram: Vec<u8>,
    /// The number of the listing that goes on.
    listing: Option<u32>,
    /// It has to be done again: something changed or was missed meanwhile.
    again: bool,
    number: u32,
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }
}

impl Watch {
    /// Asks for a listing; what changes after that is told, too.
    pub(super) fn new() -> io::Result<Self> {
        Self::of_groups(LINKS)
    }

    /// All interfaces that there are.
    pub(super) fn list() -> io::Result<Vec<Device>> {
        let mut watch = Self::of_groups(0)?;
        let mut devices = Vec::new();
        loop {
            match watch.next() {
                None => watch.wait()?,
                Some(News::Listing) => devices.clear(),
                Some(News::Link { device, .. }) => devices.push(device),
                Some(News::Gone { .. }) => {}
                Some(News::Listed) => return Ok(devices),
            }
        }
    }

    fn of_groups(groups: u32) -> io::Result<Self> {
        let mut watch = Self {
            netlink: Netlink::listening(groups)?,
            news: VecDeque::new(),
            datagram: vec![0; DATAGRAM_MAX],
            listing: None,
            again: false,
            number: 0,
        };
        watch.ask()?;
        Ok(watch)
    }

    /// What came first of what was read.
    pub(super) fn next(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Whether all that was read has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// Waits for news and reads what has come at once.
    fn wait(&mut self) -> io::Result<()> {
        let mut watched = [PollFd::new(self.netlink.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => self.read().map(drop),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads what has come at once; tells whether anything had.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        match self.netlink.receive(&mut self.datagram, flags) {
            Ok(len) if len <= self.datagram.len() => self.take(len)?,
            // More was told than there was room for (netlink(7)).
            Ok(_) | Err(Errno::ENOBUFS) => self.list_again()?,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(true)
    }

    fn ask(&mut self) -> io::Result<()> {
        self.number = self.number.wrapping_add(1);
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.netlink.send(request, NLM_F_DUMP, self.number)?;
        self.listing = Some(self.number);
        self.again = false;
        Ok(())
    }

    /// Asks for another listing, after the one that may go on: there is one at a time.
    fn list_again(&mut self) -> io::Result<()> {
        if self.listing.is_some() {
            self.again = true;
            return Ok(());
        }
        self.news.push_back(News::Listing);
        self.ask()
    }

    fn take(&mut self, len: usize) -> io::Result<()> {
        let datagram = std::mem::take(&mut self.datagram);
        let taken = self.take_all(datagram.get(..len).unwrap_or_default());
        self.datagram = datagram;
        taken
    }

    fn take_all(&mut self, datagram: &[u8]) -> io::Result<()> {
        for message in messages(datagram) {
            let asked_for = Some(message.sequence_number()) == self.listing;
            match message.message_type() {
                NLMSG_DONE if asked_for => {
                    self.listing = None;
                    if self.again {
                        self.list_again()?;
                    } else {
                        self.news.push_back(News::Listed);
                    }
                }
                NLMSG_ERROR if asked_for => return Err(refusal(message.payload())),
                kind => {
                    // It was not listed in one piece.
                    self.again |= asked_for && message.flags() & NLM_F_DUMP_INTR != 0;
                    self.news.extend(of_link(kind, message.payload()));
                }
            }
        }
        Ok(())
    }
}

/// What a message tells of a link. What cannot be read of it is left out: new kernels tell more.
fn of_link(kind: u16, payload: &[u8]) -> Option<News> {
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
