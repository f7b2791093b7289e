//! Two hosts with real stacks, and packets that are dropped between them.
//!
//! The near host serves and is traced, the far one asks. What is dropped is dropped by rules of nftables: in
//! the near host after synfin has seen it, in the far host before.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use synfin_tests::netns::{FAR_V4, Link, NEAR_V4, Namespace};
use synfin_tests::process::succeed;
use synfin_tests::wait;

const PORT: u16 = 8_443;

pub(super) fn server() -> SocketAddr {
    (NEAR_V4, PORT).into()
}

pub(super) fn listener(link: &Link) -> Result<TcpListener> {
    link.near.enter(|| Ok(TcpListener::bind(server())?))
}

pub(super) fn client(link: &Link) -> Result<TcpStream> {
    client_on(&link.far)
}

pub(super) fn client_on(host: &Namespace) -> Result<TcpStream> {
    host.enter(|| Ok(TcpStream::connect_timeout(&server(), wait::limit())?))
}

/// A client that waits for nothing, from any port.
pub(super) fn hasty_client(link: &Link) -> Result<OwnedFd> {
    hasty_client_from(link, 0)
}

pub(super) fn hasty_client_from(link: &Link, port: u16) -> Result<OwnedFd> {
    link.far.enter(|| {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        bind(socket.as_raw_fd(), &address((FAR_V4, port).into())?)?;
        match connect(socket.as_raw_fd(), &address(server())?) {
            Ok(()) | Err(nix::Error::EINPROGRESS) => Ok(socket),
            Err(errno) => Err(errno.into()),
        }
    })
}

pub(super) fn address(of: SocketAddr) -> Result<SockaddrIn> {
    match of {
        SocketAddr::V4(of) => Ok(of.into()),
        SocketAddr::V6(_) => anyhow::bail!("{of} is no IPv4 address"),
    }
}

/// Waits until so much has come, and leaves it there.
pub(super) fn await_data(stream: &TcpStream) -> Result<()> {
    let mut octet = [0];
    let came = stream.peek(&mut octet).context("wait for data")?;
    ensure!(came == 1, "the other end closed");
    Ok(())
}

/// The near host drops what this says after synfin has seen it.
pub(super) fn drop_in(host: &Namespace, what: &str) -> Result<()> {
    rule(host, "input", what)
}

/// The far host drops what this says before it is on the wire.
pub(super) fn drop_out(host: &Namespace, what: &str) -> Result<()> {
    rule(host, "output", what)
}

pub(super) fn rule(host: &Namespace, hook: &str, what: &str) -> Result<()> {
    let table = format!(
        "table inet test {{ chain drops {{ type filter hook {hook} priority 0; {what} counter drop; }}; }}"
    );
    succeed(host.command("nft").arg(table)).map(drop)
}

pub(super) fn let_pass(host: &Namespace) -> Result<()> {
    succeed(host.command("nft").args(["flush", "ruleset"])).map(drop)
}

/// Waits until so many packets were dropped.
pub(super) fn await_dropped(host: &Namespace, count: u64) -> Result<()> {
    wait::until("packets that are dropped", || {
        let rules = succeed(host.command("nft").args(["list", "ruleset"]))?;
        let (_, counter) = rules.split_once("counter packets ").context("a counter")?;
        let dropped = counter.split_whitespace().next().context("its count")?;
        Ok((dropped.parse::<u64>()? >= count).then_some(()))
    })
}
