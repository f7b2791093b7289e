//! A wire whose near end is flooded: frames made in the kernel go into it past the far end's stack.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Result;
use synfin_ebpf::segment::Flags;
use synfin_tests::frames::{CLIENT_MAC, Frame, SERVER_MAC, SYN_OPTIONS};
use synfin_tests::netns::{FAR, FAR_V4, Link, NEAR, NEAR_V4, Namespace};
use synfin_tests::process::succeed;
use synfin_tests::services;

use crate::cpus;
use crate::programs::Senders;

/// The port that is flooded.
const PORT: u16 = 80;
/// An address behind the wire that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 77);

/// Everywhere: a quarter of a billion of addresses and ports that are no host's.
pub(crate) const EVERYWHERE: Senders = Senders {
    addresses: (0x4000_0000, 0x03ff_ffff),
    ports: (0x4000, 0x3fff),
};
/// One end.
pub(crate) const ONE: Senders = Senders {
    addresses: (0x4000_0000, 0),
    ports: (0x4000, 0),
};
/// So many ends: 2¹⁶.
pub(crate) const MANY: Senders = Senders {
    addresses: (0x4000_0000, 0xffff),
    ports: (0x4000, 0),
};

/// The wire, and who listens at its near end.
pub(crate) struct Victim {
    pub(crate) link: Link,
    _listener: TcpListener,
}

impl Victim {
    pub(crate) fn new() -> Result<Self> {
        let link = Link::queued(2)?;
        for (host, interface, [a, b, c, d, e, f]) in
            [(&link.near, NEAR, SERVER_MAC), (&link.far, FAR, CLIENT_MAC)]
        {
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            host.ip(&["link", "set", interface, "address", &mac])?;
            // Without it veth takes no frames that are made in the kernel.
            succeed(host.command("ethtool").args(["-K", interface, "gro", "on"]))?;
            steer(host, interface)?;
            for all in ["all", interface] {
                host.sysctl(&format!("ipv4/conf/{all}/rp_filter"), "0")?;
            }
        }
        // What is answered goes back over the wire, to a host that drops it.
        let far = FAR_V4.to_string();
        link.near.ip(&["route", "add", "default", "via", &far])?;
        // A second answer to the same SYN would come whenever its time is.
        link.near.sysctl("ipv4/tcp_synack_retries", "0")?;
        Ok(Self {
            _listener: services::listen(&link.near, NEAR_V4, PORT)?,
            link,
        })
    }
}

/// Gives each CPU a queue of its own: what a CPU sends is taken in on that CPU, so that a flood's queue
/// is emptied as fast as it is filled.
fn steer(host: &Namespace, interface: &str) -> Result<()> {
    for (queue, cpus) in [(0, 1 << cpus::CLIENT), (1, 1 << cpus::SERVER)] {
        let path = format!("/sys/class/net/{interface}/queues/tx-{queue}/xps_cpus");
        let script = format!("echo {cpus:x} > {path}");
        succeed(host.command("sh").args(["-c", &script]))?;
    }
    Ok(())
}

/// A SYN to the listener.
pub(crate) fn syn() -> Frame {
    let victim = SocketAddr::new(NEAR_V4, PORT);
    Frame::new(anyone(), victim)
        .flags(Flags::SYN)
        .options(&SYN_OPTIONS)
}

/// A data segment to nobody, so that nothing answers it.
pub(crate) fn data() -> Frame {
    let nobody = SocketAddr::new(NOBODY.into(), PORT);
    let frame = Frame::new(anyone(), nobody).seq(5).ack(7).payload(100);
    let flags = frame.flags.with(Flags::PSH);
    frame.flags(flags)
}

/// An end that is another one in each frame.
fn anyone() -> SocketAddr {
    SocketAddr::from(([64, 0, 0, 0], 0x4000))
}
