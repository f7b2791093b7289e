//! What two hosts say to one another, frame by frame, with numbers that follow from what was said.

use std::net::SocketAddr;

use synfin_ebpf::segment::Flags;

use crate::frames::{CLIENT_MAC, Frame, SERVER_MAC, SYN_OPTIONS};

/// Who sends a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// The active opener.
    Client,
    /// The passive opener.
    Server,
}

impl Sender {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// `client` or `server`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// A conversation, to be added to until it is played.
///
/// Every segment carries the sender's next number and acknowledges all that the peer has said.
#[derive(Clone, Debug)]
pub struct Conversation {
    client: Speaker,
    server: Speaker,
    said: Vec<Said>,
    /// When the next frame is seen, in ns.
    next_ns: u64,
}

/// Time between two frames without a [`Conversation::wait`], in ns.
const STEP_NS: u64 = 1_000_000;

#[derive(Clone, Debug)]
struct Said {
    at_ns: u64,
    sender: Sender,
    frame: Frame,
}

#[derive(Clone, Debug)]
struct Speaker {
    address: SocketAddr,
    next: u32,
}

impl Conversation {
    /// One between these two, with these initial sequence numbers.
    #[must_use]
    pub fn between(client: (SocketAddr, u32), server: (SocketAddr, u32)) -> Self {
        let speaker = |(address, next)| Speaker { address, next };
        Self {
            client: speaker(client),
            server: speaker(server),
            said: Vec::new(),
            next_ns: STEP_NS,
        }
    }

    /// The client's SYN.
    #[must_use]
    pub fn syn(self) -> Self {
        self.say(Sender::Client, |frame| {
            Frame { ack: 0, ..frame }
                .flags(Flags::SYN)
                .options(&SYN_OPTIONS)
        })
    }

    /// The server's SYN-ACK.
    #[must_use]
    pub fn syn_ack(self) -> Self {
        self.say(Sender::Server, |frame| {
            frame
                .flags(Flags::SYN.with(Flags::ACK))
                .options(&SYN_OPTIONS)
        })
    }

    /// SYN, SYN-ACK and ACK.
    #[must_use]
    pub fn open(self) -> Self {
        self.syn().syn_ack().ack(Sender::Client)
    }

    /// An ACK without payload.
    #[must_use]
    pub fn ack(self, sender: Sender) -> Self {
        self.say(sender, |frame| frame)
    }

    /// So many octets of payload, and the peer's ACK.
    #[must_use]
    pub fn data(self, sender: Sender, len: usize) -> Self {
        self.say(sender, |frame| {
            frame.flags(Flags::PSH.with(Flags::ACK)).payload(len)
        })
        .ack(sender.peer())
    }

    /// A FIN.
    #[must_use]
    pub fn fin(self, sender: Sender) -> Self {
        self.say(sender, |frame| frame.flags(Flags::FIN.with(Flags::ACK)))
    }

    /// Both FINs and their ACKs, four segments.
    #[must_use]
    pub fn close(self, active: Sender) -> Self {
        let passive = active.peer();
        self.fin(active).ack(passive).fin(passive).ack(active)
    }

    /// A RST at the sender's next number.
    #[must_use]
    pub fn rst(self, sender: Sender) -> Self {
        self.say(sender, |frame| frame.flags(Flags::RST.with(Flags::ACK)))
    }

    /// Any segment: an ACK with the right numbers, changed at will. What it says then counts.
    #[must_use]
    pub fn say(mut self, sender: Sender, change: impl FnOnce(Frame) -> Frame) -> Self {
        let frame = change(self.plain(sender));
        // SYN and FIN occupy a sequence number each (RFC 9293 §3.4).
        let control = u32::from(frame.flags.syn()) + u32::from(frame.flags.fin());
        let len = u32::try_from(frame.payload.len()).expect("a payload of a frame's size");
        let own = match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        own.next = frame.seq.wrapping_add(len).wrapping_add(control);
        self.add(sender, frame)
    }

    /// Any segment that does not count: one that is forged, late, or a probe.
    #[must_use]
    pub fn aside(self, sender: Sender, change: impl FnOnce(Frame) -> Frame) -> Self {
        let frame = change(self.plain(sender));
        self.add(sender, frame)
    }

    /// An ACK with the right numbers.
    fn plain(&self, sender: Sender) -> Frame {
        let (own, peer, macs) = match sender {
            Sender::Client => (&self.client, &self.server, [CLIENT_MAC, SERVER_MAC]),
            Sender::Server => (&self.server, &self.client, [SERVER_MAC, CLIENT_MAC]),
        };
        let plain = Frame::new(own.address, peer.address)
            .seq(own.next)
            .ack(peer.next);
        let ident = number(self.said.len());
        Frame {
            macs,
            ident,
            ..plain
        }
    }

    fn add(mut self, sender: Sender, frame: Frame) -> Self {
        let at_ns = self.next_ns;
        self.next_ns += STEP_NS;
        self.said.push(Said {
            at_ns,
            sender,
            frame,
        });
        self
    }

    /// Lets so much time pass before the next frame, in ms.
    #[must_use]
    pub fn wait(mut self, ms: u64) -> Self {
        self.next_ns += ms * 1_000_000 - STEP_NS;
        self
    }

    /// The last segment once more, sent again.
    #[must_use]
    pub fn again(self) -> Self {
        let ident = number(self.said.len());
        match self.said.last().cloned() {
            Some(last) => self.add(
                last.sender,
                Frame {
                    ident,
                    ..last.frame
                },
            ),
            None => self,
        }
    }

    /// The last segment once more, seen again.
    #[must_use]
    pub fn copied(self) -> Self {
        match self.said.last().cloned() {
            Some(last) => self.add(last.sender, last.frame),
            None => self,
        }
    }

    /// Changes every frame that was added so far, to put something around it.
    #[must_use]
    pub fn around(mut self, change: impl Fn(Frame) -> Frame) -> Self {
        let said = self.said.into_iter();
        self.said = said
            .map(|said| Said {
                frame: change(said.frame),
                ..said
            })
            .collect();
        self
    }

    /// The frames in their order.
    pub fn frames(&self) -> impl Iterator<Item = (Sender, &Frame)> {
        self.said.iter().map(|said| (said.sender, &said.frame))
    }

    /// When each frame is seen, in ns.
    pub fn times_ns(&self) -> impl Iterator<Item = u64> {
        self.said.iter().map(|said| said.at_ns)
    }

    /// The client's address.
    #[must_use]
    pub const fn client(&self) -> SocketAddr {
        self.client.address
    }

    /// The server's address.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server.address
    }
}

/// The identification of a conversation's frame of this number; none is 0, which says nothing.
fn number(frames: usize) -> u16 {
    u16::try_from(frames % 60_000).map_or(1, |number| number + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_what_was_said() {
        let talk = Conversation::between(
            (([10, 1, 1, 2], 52144).into(), 2_452_765_130),
            (([10, 1, 1, 1], 21).into(), 1_996_069_412),
        )
        .open()
        .data(Sender::Server, 94)
        .data(Sender::Client, 26)
        .close(Sender::Server);
        let numbers: Vec<_> = talk
            .frames()
            .map(|(_, frame)| (frame.seq, frame.ack))
            .collect();
        let (x, y) = (2_452_765_131, 1_996_069_413);
        let expected = [
            (x - 1, 0),
            (y - 1, x),
            (x, y),
            (y, x),
            (x, y + 94),
            (x, y + 94),
            (y + 94, x + 26),
            (y + 94, x + 26),
            (x + 26, y + 95),
            (x + 26, y + 95),
            (y + 95, x + 27),
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn numbers_wrap() {
        let address = ([10, 1, 1, 2], 1).into();
        let talk = Conversation::between((address, u32::MAX), (address, 0)).open();
        let acks: Vec<_> = talk.frames().map(|(_, frame)| frame.ack).collect();
        assert_eq!(acks, [0, 0, 1]);
    }
}
