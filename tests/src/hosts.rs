//! Two hosts that reach each other over a device of any kind, and short connections between them.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};

use crate::netns::{FAR, FAR_V4, Link, NEAR, NEAR_V4, Namespace};
use crate::services::{self, limited};
use crate::tun;

/// Addresses inside of a tunnel.
const INSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 2, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 2, 2, 2)),
];

/// The client's and the server's address and port.
pub type Ends = (SocketAddr, SocketAddr);

/// Two hosts; one of them may be both.
#[derive(Debug)]
pub struct Hosts {
    // Dropped before the namespaces that its ends are in.
    _tun: Option<tun::Wire>,
    /// Where the device is.
    pub near: Namespace,
    far: Option<Namespace>,
    /// The device.
    pub device: &'static str,
    addresses: [IpAddr; 2],
}

impl Hosts {
    /// One end of a veth pair.
    ///
    /// # Errors
    /// Where it cannot be made, as with all that follow.
    pub fn veth() -> Result<Self> {
        let Link { near, far } = Link::new()?;
        Ok(Self::over(NEAR, [NEAR_V4, FAR_V4], near, far))
    }

    /// A bridge that the end of a veth pair is a port of.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn bridge() -> Result<Self> {
        Self::on_top("br0", &["link", "add", "br0", "type", "bridge"], true)
    }

    /// A macvlan device on the end of a veth pair.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn macvlan() -> Result<Self> {
        let add = [
            "link", "add", "link", NEAR, "name", "mac0", "type", "macvlan",
        ];
        Self::on_top("mac0", &add, false)
    }

    /// A bond of the end of one veth pair.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn bond() -> Result<Self> {
        let add = [
            "link",
            "add",
            "bond0",
            "type",
            "bond",
            "mode",
            "active-backup",
        ];
        Self::on_top("bond0", &add, true)
    }

    /// A VXLAN device over a veth pair.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn vxlan() -> Result<Self> {
        let Link { near, far } = Link::new()?;
        let [a, b] = [NEAR_V4, FAR_V4].map(|address| address.to_string());
        for (namespace, base, own, peer, inside) in [
            (&near, NEAR, &a, &b, INSIDE[0]),
            (&far, FAR, &b, &a, INSIDE[1]),
        ] {
            let kind = [
                "link", "add", "vx0", "type", "vxlan", "id", "7", "dev", base,
            ];
            let over = ["local", own, "remote", peer, "dstport", "4789"];
            namespace.ip(&[&kind[..], &over].concat())?;
            address(namespace, "vx0", inside)?;
        }
        Ok(Self::over("vx0", INSIDE, near, far))
    }

    /// Loopback.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn loopback() -> Result<Self> {
        Ok(Self {
            _tun: None,
            near: Namespace::new()?,
            far: None,
            device: "lo",
            addresses: [IpAddr::V4(Ipv4Addr::LOCALHOST); 2],
        })
    }

    /// A TUN device.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn tun() -> Result<Self> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        let wire = tun::Wire::lay((&near, NEAR), (&far, FAR))?;
        address(&near, NEAR, NEAR_V4)?;
        address(&far, FAR, FAR_V4)?;
        let hosts = Self::over(NEAR, [NEAR_V4, FAR_V4], near, far);
        Ok(Self {
            _tun: Some(wire),
            ..hosts
        })
    }

    /// A device on top of the near end of a veth pair, which has no address then.
    fn on_top(device: &'static str, add: &[&str], enslave: bool) -> Result<Self> {
        let Link { near, far } = Link::new()?;
        near.ip(&["address", "flush", "dev", NEAR])?;
        // It would answer for the address of the device on top, and take its frames.
        near.sysctl(&format!("ipv4/conf/{NEAR}/arp_ignore"), "1")?;
        near.ip(add)?;
        if enslave {
            // A bond takes only what is down.
            near.ip(&["link", "set", NEAR, "down"])?;
            near.ip(&["link", "set", NEAR, "master", device])?;
            near.ip(&["link", "set", NEAR, "up"])?;
        }
        address(&near, device, NEAR_V4)?;
        Ok(Self::over(device, [NEAR_V4, FAR_V4], near, far))
    }

    fn over(device: &'static str, addresses: [IpAddr; 2], near: Namespace, far: Namespace) -> Self {
        Self {
            _tun: None,
            near,
            far: Some(far),
            device,
            addresses,
        }
    }

    /// So many connections to the near host, and as many from it, one after the other: each with a
    /// question and an answer, closed by the server first. Afterwards all is said, the last ACK as well.
    ///
    /// # Errors
    /// Where a connection does not go as it should.
    pub fn talk(&self, each_way: usize) -> Result<BTreeSet<Ends>> {
        let far = self.far.as_ref().unwrap_or(&self.near);
        let [near_address, far_address] = self.addresses;
        let mut made = BTreeSet::new();
        for (client, server, server_address, port) in [
            (far, &self.near, near_address, 7_001),
            (&self.near, far, far_address, 7_002),
        ] {
            let listener = services::listen(server, server_address, port)?;
            let answers = server.spawn(move || {
                for _ in 0..each_way {
                    let mut stream = limited(listener.accept()?.0)?;
                    let mut question = [0; 8];
                    stream.read_exact(&mut question)?;
                    stream.write_all(&question)?;
                }
                Ok(())
            });
            for _ in 0..each_way {
                let mut stream = services::connect(client, server_address, port)?;
                made.insert((stream.local_addr()?, stream.peer_addr()?));
                stream.write_all(b"question")?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer)?;
                ensure!(answer == b"question", "the answer was {answer:?}");
            }
            answers.finish()?;
        }
        services::await_closed(&self.near)?;
        services::await_closed(far)?;
        Ok(made)
    }

    /// Segments that they have sent again so far.
    ///
    /// # Errors
    /// Where they are not counted.
    pub fn sent_again(&self) -> Result<u64> {
        let far = self.far.as_ref().map_or(Ok(0), Namespace::sent_again);
        Ok(self.near.sent_again()? + far?)
    }
}

fn address(namespace: &Namespace, device: &str, address: IpAddr) -> Result<()> {
    let address = format!("{address}/24");
    namespace.ip(&["address", "add", &address, "dev", device])?;
    namespace.ip(&["link", "set", device, "up"])
}
