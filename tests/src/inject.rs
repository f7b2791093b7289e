//! Frames onto a wire as they are, past the stacks of both ends.

use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike, bind, recv,
    send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::conversation::{Conversation, Sender};
use crate::netns::{FAR, Link, NEAR, Namespace};
use crate::wait::limit;

/// Room for the largest frame that a socket gives.
const FRAME_MAX: usize = 1 << 17;

/// Between the frames of a conversation, so that each has its place in time on any number of CPUs.
const BETWEEN_FRAMES: Duration = Duration::from_millis(2);

/// Both ends of a wire.
#[derive(Debug)]
pub struct Wire {
    near: Port,
    far: Port,
}

impl Wire {
    /// Takes hold of both ends of a link.
    ///
    /// # Errors
    /// Where the sockets cannot be made.
    pub fn of(link: &Link) -> Result<Self> {
        Self::between((&link.near, NEAR), (&link.far, FAR))
    }

    /// Takes hold of two ends of any wire.
    ///
    /// # Errors
    /// Where the sockets cannot be made.
    pub fn between(near: (&Namespace, &str), far: (&Namespace, &str)) -> Result<Self> {
        let open = |(namespace, interface): (&Namespace, &str)| {
            let interface = interface.to_owned();
            namespace.enter(move || Port::open(&interface))
        };
        Ok(Self {
            near: open(near)?,
            far: open(far)?,
        })
    }

    /// Sends a frame that comes into the near end, and waits until it has arrived.
    ///
    /// # Errors
    /// Where it cannot be sent, or does not arrive as it was sent.
    pub fn ingress(&self, frame: &[u8]) -> Result<()> {
        self.near.drain();
        self.far.send(frame)?;
        self.near
            .await_frame(frame)
            .context("a frame into the near end")
    }

    /// Sends a frame out of the near end, and waits until it has arrived at the far one.
    ///
    /// # Errors
    /// Where it cannot be sent, or does not arrive as it was sent.
    pub fn egress(&self, frame: &[u8]) -> Result<()> {
        self.far.drain();
        self.near.send(frame)?;
        self.far
            .await_frame(frame)
            .context("a frame out of the near end")
    }

    /// Sends a frame towards the near end, where it may be that no socket ever sees it.
    ///
    /// # Errors
    /// Where it cannot be sent.
    pub fn ingress_unseen(&self, frame: &[u8]) -> Result<()> {
        self.far.send(frame)
    }

    /// Sends a frame towards the near end, where it may be dropped for want of room: the far interface
    /// counts that.
    ///
    /// # Errors
    /// Where it cannot be sent for another reason.
    pub fn ingress_or_drop(&self, frame: &[u8]) -> Result<()> {
        let outcome = self.far.send(frame);
        outcome.or_else(|error| match error.downcast_ref() {
            Some(Errno::ENOBUFS) => Ok(()),
            _ => Err(error),
        })
    }

    /// Plays a conversation of which both sides come into the near end, as a mirror port shows it: nobody
    /// waits for the frames, but for the last one.
    ///
    /// # Errors
    /// Where a frame cannot be sent, or the last one does not arrive.
    pub fn mirror(&self, conversations: &[Conversation]) -> Result<()> {
        let frames = conversations.iter().flat_map(Conversation::frames);
        let frames: Vec<_> = frames.map(|(_, frame)| frame.octets()).collect();
        let Some((last, others)) = frames.split_last() else {
            return Ok(());
        };
        others.iter().try_for_each(|frame| self.far.send(frame))?;
        self.ingress(last)
    }

    /// Plays a conversation: the client is beyond the wire, the server on the near side.
    ///
    /// # Errors
    /// Where a frame does not arrive.
    pub fn play(&self, conversation: &Conversation) -> Result<()> {
        for (sender, frame) in conversation.frames() {
            let octets = frame.octets();
            match sender {
                Sender::Client => self.ingress(&octets)?,
                Sender::Server => self.egress(&octets)?,
            }
            thread::sleep(BETWEEN_FRAMES);
        }
        Ok(())
    }
}

/// A socket that sends and sees every frame of one interface, except its own.
#[derive(Debug)]
struct Port {
    socket: OwnedFd,
}

impl Port {
    /// Opens it in the namespace of the calling thread.
    fn open(interface: &str) -> Result<Self> {
        let socket = socket(
            AddressFamily::Packet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::EthAll,
        )
        .context("open a packet socket")?;
        bind(socket.as_raw_fd(), &link_address(interface)?)
            .with_context(|| format!("bind a packet socket to {interface}"))?;
        let limit = TimeVal::seconds(i64::try_from(limit().as_secs())?);
        setsockopt(&socket, sockopt::ReceiveTimeout, &limit).context("limit the waiting")?;
        Ok(Self { socket })
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        let sent = send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .with_context(|| format!("send a frame of {} octets", frame.len()))?;
        ensure!(
            sent == frame.len(),
            "{sent} octets of {} were sent",
            frame.len()
        );
        Ok(())
    }

    /// Forgets what came before, so that there is room for what comes.
    fn drain(&self) {
        let mut octet = [0];
        while recv(self.socket.as_raw_fd(), &mut octet, MsgFlags::MSG_DONTWAIT).is_ok() {}
    }

    fn await_frame(&self, frame: &[u8]) -> Result<()> {
        let deadline = Instant::now() + limit();
        let mut buffer = vec![0; FRAME_MAX];
        while Instant::now() < deadline {
            let len = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())
                .context("it did not arrive")?;
            if buffer.get(..len).is_some_and(|seen| is_same(seen, frame)) {
                return Ok(());
            }
        }
        bail!("it did not arrive within {} s", limit().as_secs());
    }
}

/// Whether a frame that a socket gave is the one that was sent. The kernel takes the outer VLAN tag
/// off a frame before a socket sees it.
fn is_same(seen: &[u8], sent: &[u8]) -> bool {
    const TAG: std::ops::Range<usize> = 12..16;
    let untagged = || {
        let tag = sent.get(TAG)?;
        matches!(tag, [0x81, 0, ..] | [0x88, 0xa8, ..])
            .then(|| [sent.get(..TAG.start), sent.get(TAG.end..)].map(Option::unwrap_or_default))
            .map(|parts| parts.concat())
    };
    seen == sent || untagged().is_some_and(|untagged| seen == untagged)
}

fn link_address(interface: &str) -> Result<LinkAddr> {
    let index = nix::net::if_::if_nametoindex(interface)
        .with_context(|| format!("find the interface {interface}"))?;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: u16::try_from(libc::ETH_P_ALL)?.to_be(),
        sll_ifindex: i32::try_from(index)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the pointer is to a whole `sockaddr_ll` of the length that is given with it, which
    // lives until the function has copied it.
    let address = unsafe { LinkAddr::from_raw(ptr::from_ref(&address).cast(), Some(len)) };
    address.context("make the address of an interface")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_the_same_with_its_outer_tag_taken_off() {
        let tagged: Vec<u8> = [&[9; 12][..], &[0x81, 0, 0, 5], &[8, 0, 1, 2]].concat();
        let untagged: Vec<u8> = [&[9; 12][..], &[8, 0, 1, 2]].concat();
        assert!(is_same(&untagged, &tagged));
        assert!(is_same(&tagged, &tagged));
        assert!(!is_same(&tagged, &untagged));
    }
}
