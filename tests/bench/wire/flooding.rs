//! What floods are made of, and a wire that takes frames made in the kernel, past the far end's stack.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use synfin_ebpf::segment::Flags;
use synfin_tests::frames::Frame;
use synfin_tests::netns::{FAR, Link, NEAR, Namespace};
use synfin_tests::process::succeed;
use synfin_tests::victim::{self, Victim};

use crate::place;
use crate::programs::Senders;

/// An address behind the wire that nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 77);

/// Millions of addresses and thousands of ports.
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

/// A victim on such a wire.
pub(crate) fn victim() -> Result<Victim> {
    let victim = Victim::new(Link::queued(2)?)?;
    let link = &victim.link;
    for (host, interface) in [(&link.near, NEAR), (&link.far, FAR)] {
        // Without it veth takes no frames that are made in the kernel.
        succeed(host.command("ethtool").args(["-K", interface, "gro", "on"]))?;
        steer(host, interface)?;
    }
    Ok(victim)
}

/// Gives each CPU a queue of its own: what a CPU sends is taken in on that CPU, so that a flood's queue
/// is emptied as fast as it is filled.
fn steer(host: &Namespace, interface: &str) -> Result<()> {
    for (queue, cpus) in [(0, 1 << place::CLIENT), (1, 1 << place::SERVER)] {
        let path = format!("/sys/class/net/{interface}/queues/tx-{queue}/xps_cpus");
        let script = format!("echo {cpus:x} > {path}");
        succeed(host.command("sh").args(["-c", &script]))?;
    }
    Ok(())
}

/// A SYN to the victim.
pub(crate) fn syn() -> Frame {
    victim::syn(anyone())
}

/// A data segment to nobody, so that nothing answers it.
pub(crate) fn data() -> Frame {
    let nobody = SocketAddr::from((NOBODY, 80));
    let frame = Frame::new(anyone(), nobody).seq(5).ack(7).payload(100);
    let flags = frame.flags.with(Flags::PSH);
    frame.flags(flags)
}

/// An end that is another one in each frame.
fn anyone() -> SocketAddr {
    SocketAddr::from(([64, 0, 0, 0], 0x4000))
}
