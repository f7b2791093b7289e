//! Events for tests: a connection's segments in the words of a conversation.

use synfin_ebpf::event::{ABI_VERSION, Event, NO_EVENT};
use synfin_ebpf::segment::{Address, Flags};

/// The client's and the server's address.
const ADDRESSES: [[u8; 4]; 2] = [[10, 1, 1, 2], [10, 1, 1, 1]];
/// Their ports.
const PORTS: [u16; 2] = [52144, 21];

/// An event of the client, without flags and numbers.
pub(crate) fn event() -> Event {
    from(0)
}

/// An event of the client.
pub(crate) fn client() -> Event {
    from(0)
}

/// An event of the server.
pub(crate) fn server() -> Event {
    from(1)
}

fn from(sender: usize) -> Event {
    let receiver = 1 - sender;
    Event {
        source: Address::v4(ADDRESSES[sender]).octets(),
        destination: Address::v4(ADDRESSES[receiver]).octets(),
        source_port: PORTS[sender],
        destination_port: PORTS[receiver],
        interface: 1,
        window: 64240,
        abi: ABI_VERSION,
        direction: u8::from(sender == 1),
        ..NO_EVENT
    }
}

/// Writes an event as a segment is spoken of: `seq(7).ack(9).flags(SYN)`.
pub(crate) trait Say: Sized {
    /// At this time, in microseconds.
    fn at(self, us: u64) -> Self;
    /// SEG.SEQ.
    fn seq(self, seq: u32) -> Self;
    /// SEG.ACK, with the ACK flag.
    fn ack(self, ack: u32) -> Self;
    /// Payload octets.
    fn len(self, len: u32) -> Self;
    /// Adds SYN.
    fn syn(self) -> Self;
    /// Adds FIN.
    fn fin(self) -> Self;
    /// Adds RST.
    fn rst(self) -> Self;
}

impl Say for Event {
    fn at(mut self, us: u64) -> Self {
        self.time_ns = us * 1000;
        self
    }

    fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    fn ack(mut self, ack: u32) -> Self {
        self.ack = ack;
        self.flags |= Flags::ACK.0;
        self
    }

    fn len(mut self, len: u32) -> Self {
        self.len = len;
        self
    }

    fn syn(mut self) -> Self {
        self.flags |= Flags::SYN.0;
        self
    }

    fn fin(mut self) -> Self {
        self.flags |= Flags::FIN.0;
        self
    }

    fn rst(mut self) -> Self {
        self.flags |= Flags::RST.0;
        self
    }
}
