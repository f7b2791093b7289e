//! A host that is flooded from addresses that nobody has: it listens, and what it answers goes back over
//! the wire, to a host that drops it.

use std::net::{SocketAddr, TcpListener};

use anyhow::Result;
use synfin_ebpf::segment::Flags;

use crate::frames::{CLIENT_MAC, Frame, SERVER_MAC, SYN_OPTIONS};
use crate::netns::{FAR, FAR_V4, Link, NEAR, NEAR_V4};
use crate::services;

/// The port that is flooded.
const PORT: u16 = 80;

/// The wire, with the victim at its near end.
#[derive(Debug)]
pub struct Victim {
    /// The wire.
    pub link: Link,
    _listener: TcpListener,
}

impl Victim {
    /// Makes the near end of a wire a victim.
    ///
    /// # Errors
    /// Where it cannot be set up, or the port is taken.
    pub fn new(link: Link) -> Result<Self> {
        for (host, interface, [a, b, c, d, e, f]) in
            [(&link.near, NEAR, SERVER_MAC), (&link.far, FAR, CLIENT_MAC)]
        {
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            host.ip(&["link", "set", interface, "address", &mac])?;
            for all in ["all", interface] {
                host.sysctl(&format!("ipv4/conf/{all}/rp_filter"), "0")?;
            }
        }
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

/// A SYN to the victim.
#[must_use]
pub fn syn(from: SocketAddr) -> Frame {
    let victim = SocketAddr::new(NEAR_V4, PORT);
    let frame = Frame::new(from, victim).flags(Flags::SYN);
    frame.options(&SYN_OPTIONS)
}
