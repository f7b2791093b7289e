//! Requests to the kernel over netlink, one after the other and without a runtime: what was attached
//! is let go of where nothing can be awaited.

use std::io;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// The kernel never puts more into a datagram (`netlink_dump`).
const DATAGRAM_MAX: usize = 1 << 16;
/// Messages begin at multiples of this (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

/// A connection to the kernel.
#[derive(Debug)]
pub(super) struct Netlink(Socket);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        socket.connect(&SocketAddr::new(0, 0))?;
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
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), message.into());
        message.header.flags = NLM_F_REQUEST | flags;
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.0.send(&octets, 0)?;
        let mut answers = Vec::new();
        loop {
            let mut datagram = Vec::with_capacity(DATAGRAM_MAX);
            self.0.recv(&mut datagram, 0)?;
            let mut rest = datagram.as_slice();
            while let Some(len) = first_len(rest) {
                let (first, others) = rest.split_at(len.min(rest.len()));
                rest = others
                    .get(len.next_multiple_of(ALIGNMENT) - len..)
                    .unwrap_or_default();
                match NetlinkMessage::deserialize(first).map(|message| message.payload) {
                    Ok(NetlinkPayload::Done(_)) => return Ok(answers),
                    Ok(NetlinkPayload::Error(error)) if error.code.is_none() => return Ok(answers),
                    Ok(NetlinkPayload::Error(error)) => return Err(error.to_io()),
                    Ok(NetlinkPayload::InnerMessage(answer)) => answers.push(Some(answer)),
                    Ok(_) => {}
                    Err(_) => answers.push(None),
                }
            }
        }
    }
}

/// The length that a message begins with; `None` where there is none any more.
fn first_len(messages: &[u8]) -> Option<usize> {
    let len = u32::from_ne_bytes(*messages.first_chunk()?);
    usize::try_from(len).ok().filter(|len| *len > 0)
}
