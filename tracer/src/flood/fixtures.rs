//! Openings for tests, as the programs report them.

use synfin_ebpf::event::{ABI_VERSION, Event, NO_EVENT, NO_SIDE, Side, Why};
use synfin_ebpf::segment::{Address, Flags};

pub(crate) const ISS: u32 = 1_000;
pub(crate) const IRS: u32 = 2_000;
/// Whom all of them ask.
pub(crate) const SERVER: [u8; 4] = [10, 0, 0, 2];
/// Between one segment of an opening and the next, in ns.
const STEP_NS: u64 = 1_000;

/// One opening: who asks which port, and when it begins in ns.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    client: [u8; 4],
    client_port: u16,
    server: [u8; 4],
    port: u16,
    at_ns: u64,
    /// What is added to the numbers.
    numbers: u32,
}

impl Opening {
    pub(crate) const fn new(client: [u8; 4], client_port: u16, port: u16, at_ns: u64) -> Self {
        Self {
            client,
            client_port,
            server: SERVER,
            port,
            at_ns,
            numbers: 0,
        }
    }

    /// The same asked of another server.
    pub(crate) const fn of(self, server: [u8; 4]) -> Self {
        Self { server, ..self }
    }

    /// The same with other numbers.
    pub(crate) const fn numbered(self, numbers: u32) -> Self {
        Self { numbers, ..self }
    }

    const fn iss(&self) -> u32 {
        ISS + self.numbers
    }

    const fn irs(&self) -> u32 {
        IRS + self.numbers
    }

    pub(crate) fn syn(&self) -> Event {
        Event {
            seq: self.iss(),
            sender: side(self.iss(), self.at_ns, 0),
            ..self.by_client(0, Flags::SYN)
        }
    }

    /// The SYN once more, so much later.
    pub(crate) fn syn_again(&self, later_ns: u64) -> Event {
        let mut event = self.syn();
        event.time_ns += later_ns;
        event.sender.syns = 2;
        event
    }

    pub(crate) fn syn_ack(&self) -> Event {
        Event {
            seq: self.irs(),
            ack: self.iss() + 1,
            why: Why::ACKS_SYN.0,
            ..self.both(self.by_server(1, Flags::SYN.with(Flags::ACK)))
        }
    }

    /// The SYN-ACK once more, so much later.
    pub(crate) fn syn_ack_again(&self, later_ns: u64) -> Event {
        let mut event = self.syn_ack();
        event.time_ns += later_ns;
        event.sender.syns = 2;
        event.why = 0;
        event
    }

    pub(crate) fn ack(&self) -> Event {
        Event {
            seq: self.iss() + 1,
            ack: self.irs() + 1,
            why: Why::ACKS_SYN.with(Why::FIRST_ACK).0,
            ..self.both(self.by_client(2, Flags::ACK))
        }
    }

    /// The server answers the SYN with RST.
    pub(crate) fn refusal(&self) -> Event {
        Event {
            ack: self.iss() + 1,
            receiver: side(self.iss(), self.at_ns, 0),
            ..self.by_server(1, Flags::RST.with(Flags::ACK))
        }
    }

    /// The client answers the SYN-ACK with RST, or gives a connection up that it never used.
    pub(crate) fn abort(&self) -> Event {
        Event {
            seq: self.iss() + 1,
            ..self.both(self.by_client(3, Flags::RST))
        }
    }

    /// The client's FIN, when nothing was sent.
    pub(crate) fn fin(&self) -> Event {
        let mut event = self.ack();
        event.time_ns += STEP_NS;
        event.flags |= Flags::FIN.0;
        event.why = 0;
        event
    }

    fn by_client(&self, step: u64, flags: Flags) -> Event {
        Event {
            source: Address::v4(self.client).octets(),
            source_port: self.client_port,
            destination: Address::v4(self.server).octets(),
            destination_port: self.port,
            ..self.event(step, flags)
        }
    }

    fn by_server(&self, step: u64, flags: Flags) -> Event {
        Event {
            source: Address::v4(self.server).octets(),
            source_port: self.port,
            destination: Address::v4(self.client).octets(),
            destination_port: self.client_port,
            direction: 1,
            ..self.event(step, flags)
        }
    }

    fn event(&self, step: u64, flags: Flags) -> Event {
        Event {
            time_ns: self.at_ns + step * STEP_NS,
            flags: flags.0,
            interface: 1,
            window: 64_240,
            abi: ABI_VERSION,
            ..NO_EVENT
        }
    }

    /// With the opening of both sides, as the programs remember it.
    fn both(&self, event: Event) -> Event {
        let client = side(self.iss(), self.at_ns, 0);
        let server = side(self.irs(), self.at_ns + STEP_NS, Side::SYN_ACK);
        let (sender, receiver) = if event.source_port == self.port {
            (server, client)
        } else {
            (client, server)
        };
        Event {
            sender,
            receiver,
            ..event
        }
    }
}

fn side(iss: u32, opened_ns: u64, known: u8) -> Side {
    Side {
        iss,
        opened_ns,
        known: Side::SYN | known,
        syns: 1,
        ..NO_SIDE
    }
}
