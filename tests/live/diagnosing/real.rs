//! What happens to real stacks.
//!
//! The near host serves and is traced, the far one asks. What is dropped is dropped by rules of nftables: in
//! the near host after synfin has seen it, in the far host before.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::frames::{CLIENT_MAC, Frame, SERVER_MAC};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{self, FAR, FAR_V4, Link, NEAR, NEAR_V4, Namespace};
use synfin_tests::process::succeed;
use synfin_tests::record::Connection;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::suite::Case;
use synfin_tests::wait;

use super::{said, traced};

/// The rules that are made to happen here.
pub(super) const CODES: &[&str] = &[
    "refused",
    "no_answer",
    "syn_lost",
    "synack_lost",
    "synack_repeated",
    "no_ack",
    "wrong_synack",
    "reset_by_client",
    "reset_before_data",
    "reset_in_data",
    "reset_after_own_fin",
    "reset_after_peer_fin",
    "never_closed",
    "fin_unanswered",
    "window_closed",
    "segments_lost",
    "segments_late",
    "no_window_scaling",
];

const PORT: u16 = 8_443;
/// Openings that nobody answers are over after so long.
const SOON: [&str; 2] = ["--handshake-timeout", "2s"];

pub(super) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_port_that_nobody_listens_on,
        a_scan_that_opens_by_halves,
        a_client_that_closes_by_a_reset,
        a_server_that_closes_with_unread_data,
        a_server_that_closes_with_unread_data_after_its_fin,
        a_server_that_closes_with_unread_data_after_the_clients_fin,
        a_server_that_never_closes,
        a_server_that_does_not_read,
        a_server_without_window_scaling,
    ];
    let dropping = cases![&[Root, Daemon, Tool("nft")];
        syns_that_are_dropped,
        a_syn_that_is_dropped_once,
        synacks_that_are_dropped_on_their_way,
        a_full_accept_queue,
        acks_that_never_come,
        a_synack_with_a_wrong_number,
        fins_that_are_dropped,
        data_that_is_dropped_beyond,
        data_that_is_dropped_before,
    ];
    [plain, dropping].concat()
}

fn server() -> SocketAddr {
    (NEAR_V4, PORT).into()
}

fn listener(link: &Link) -> Result<TcpListener> {
    link.near.enter(|| Ok(TcpListener::bind(server())?))
}

fn client(link: &Link) -> Result<TcpStream> {
    client_on(&link.far)
}

fn client_on(host: &Namespace) -> Result<TcpStream> {
    host.enter(|| Ok(TcpStream::connect_timeout(&server(), wait::limit())?))
}

/// A client that waits for nothing, from any port.
fn hasty_client(link: &Link) -> Result<OwnedFd> {
    hasty_client_from(link, 0)
}

fn hasty_client_from(link: &Link, port: u16) -> Result<OwnedFd> {
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

fn address(of: SocketAddr) -> Result<SockaddrIn> {
    match of {
        SocketAddr::V4(of) => Ok(of.into()),
        SocketAddr::V6(_) => anyhow::bail!("{of} is no IPv4 address"),
    }
}

/// Waits until so much has come, and leaves it there.
fn await_data(stream: &TcpStream) -> Result<()> {
    let mut octet = [0];
    let came = stream.peek(&mut octet).context("wait for data")?;
    ensure!(came == 1, "the other end closed");
    Ok(())
}

/// The near host drops what this says after synfin has seen it.
fn drop_in(host: &Namespace, what: &str) -> Result<()> {
    rule(host, "input", what)
}

/// The far host drops what this says before it is on the wire.
fn drop_out(host: &Namespace, what: &str) -> Result<()> {
    rule(host, "output", what)
}

fn rule(host: &Namespace, hook: &str, what: &str) -> Result<()> {
    let table = format!(
        "table inet test {{ chain drops {{ type filter hook {hook} priority 0; {what} counter drop; }}; }}"
    );
    succeed(host.command("nft").arg(table)).map(drop)
}

fn let_pass(host: &Namespace) -> Result<()> {
    succeed(host.command("nft").args(["flush", "ruleset"])).map(drop)
}

/// Waits until so many packets were dropped.
fn await_dropped(host: &Namespace, count: u64) -> Result<()> {
    wait::until("packets that are dropped", || {
        let rules = succeed(host.command("nft").args(["list", "ruleset"]))?;
        let (_, counter) = rules.split_once("counter packets ").context("a counter")?;
        let dropped = counter.split_whitespace().next().context("its count")?;
        Ok((dropped.parse::<u64>()? >= count).then_some(()))
    })
}

fn a_port_that_nobody_listens_on() -> Result<()> {
    let link = Link::new()?;
    let told = traced(&link, &[], |tracer| {
        let refused = client(&link).err().context("somebody listens")?;
        let refused = refused.downcast::<std::io::Error>()?;
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "refused",
        &["refused after ", ": nothing listens on port 8443"],
    )
}

fn syns_that_are_dropped() -> Result<()> {
    let link = Link::new()?;
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &SOON, |tracer| {
        let client = hasty_client(&link)?;
        await_dropped(&link.near, 3)?;
        drop(client);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "no_answer",
        &[
            "no answer to ",
            " SYNs over ",
            ": dropped on the way or host down",
        ],
    )
}

fn a_syn_that_is_dropped_once() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &[], |_| {
        let client = hasty_client(&link)?;
        await_dropped(&link.near, 1)?;
        let_pass(&link.near)?;
        let (server, _) = listener.accept()?;
        drop((client, server));
        Ok(())
    })?;
    said(
        &told,
        "syn_lost",
        &[
            "handshake took ",
            ": the first SYN was lost, the retry answered in ",
        ],
    )
}

fn synacks_that_are_dropped_on_their_way() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    drop_in(&link.far, "tcp sport 8443")?;
    let told = traced(&link, &[], |_| {
        let client = hasty_client(&link)?;
        // Two may be the server's own: the third one answers a SYN that came again.
        await_dropped(&link.far, 3)?;
        let_pass(&link.far)?;
        let (server, _) = listener.accept()?;
        drop((client, server));
        Ok(())
    })?;
    said(
        &told,
        "synack_lost",
        &["client sent its SYN again ", " after the SYN-ACK was here"],
    )
}

fn a_full_accept_queue() -> Result<()> {
    const LATE: [u16; 2] = [41_000, 41_001];
    /// The queue takes one more than it is asked for.
    const ROOM: usize = 3;
    let link = Link::new()?;
    let listener = listener(&link)?;
    listen(&listener, Backlog::new(i32::try_from(ROOM)?)?)?;
    // Some begin before the queue is full, and come when it is.
    drop_out(
        &link.far,
        "tcp sport 41000-41001 tcp flags & (syn | ack) == ack",
    )?;
    let told = traced(&link, &[], |_| {
        let late = LATE.map(|port| hasty_client_from(&link, port));
        let late = late.into_iter().collect::<Result<Vec<_>>>()?;
        await_dropped(&link.far, 2)?;
        let others = (0..=ROOM)
            .map(|_| client(&link))
            .collect::<Result<Vec<_>>>()?;
        let_pass(&link.far)?;
        wait::until("an ACK that finds no room", || {
            let counters = succeed(link.near.command("cat").arg("/proc/net/netstat"))?;
            Ok((counter(&counters, "ListenOverflows")? > 0).then_some(()))
        })?;
        // The server asks again for what it has not taken.
        await_synacks(&link, 2)?;
        drop((late, others));
        Ok(())
    })?;
    said(
        &told,
        "synack_repeated",
        &[
            "server repeats its SYN-ACK after the client's ACK",
            "its accept queue is full",
        ],
    )
}

/// Waits until the near host has sent so many SYN-ACKs again from now on.
fn await_synacks(link: &Link, count: u64) -> Result<()> {
    let sent = || {
        let counters = succeed(link.near.command("cat").arg("/proc/net/netstat"))?;
        counter(&counters, "TCPSynRetrans")
    };
    let before = sent()?;
    wait::until("SYN-ACKs that are sent again", || {
        Ok((sent()? >= before + count).then_some(()))
    })
}

/// A counter of /proc/net/netstat: a line of names, and one of values.
fn counter(text: &str, name: &str) -> Result<u64> {
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.chunks(2) {
        let [names, values] = pair else { continue };
        let place = names.split_whitespace().position(|other| other == name);
        if let Some(value) = place.and_then(|place| values.split_whitespace().nth(place)) {
            return Ok(value.parse()?);
        }
    }
    anyhow::bail!("no counter {name}")
}

fn acks_that_never_come() -> Result<()> {
    let link = Link::new()?;
    let _listener = listener(&link)?;
    drop_out(&link.far, "tcp dport 8443 tcp flags & (syn | ack) == ack")?;
    let told = traced(&link, &SOON, |tracer| {
        let client = client(&link)?;
        await_dropped(&link.far, 2)?;
        // Nor does its FIN: the client is gone.
        drop_out_all(&link.far)?;
        drop(client);
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "no_ack",
        &["no ACK for ", " SYN-ACKs over ", "client gone or forged"],
    )
}

fn drop_out_all(host: &Namespace) -> Result<()> {
    succeed(host.command("nft").arg("add rule inet test drops drop")).map(drop)
}

fn a_synack_with_a_wrong_number() -> Result<()> {
    const CLIENT_PORT: u16 = 40_000;
    let link = Link::new()?;
    // What is made has to be taken by the far host's own stack.
    for (host, device, mac) in [(&link.near, NEAR, SERVER_MAC), (&link.far, FAR, CLIENT_MAC)] {
        let mac = mac.map(|octet| format!("{octet:02x}")).join(":");
        host.ip(&["link", "set", device, "address", &mac])?;
    }
    drop_in(&link.near, "tcp dport 8443")?;
    let told = traced(&link, &[], |tracer| {
        let wire = Wire::of(&link)?;
        let client = hasty_client_from(&link, CLIENT_PORT)?;
        await_dropped(&link.near, 1)?;
        let mut stale = Frame::new(server(), (FAR_V4, CLIENT_PORT).into());
        stale.macs = [SERVER_MAC, CLIENT_MAC];
        let stale = stale.seq(300).ack(1_001).flags(Flags::SYN.with(Flags::ACK));
        wire.egress(&stale.octets())?;
        tracer.await_connections(1)?;
        drop(client);
        Ok(())
    })?;
    said(
        &told,
        "wrong_synack",
        &[
            "client rejected the SYN-ACK: ACK 1001, expected ",
            "stale or spoofed peer",
        ],
    )
}

fn a_scan_that_opens_by_halves() -> Result<()> {
    let link = Link::new()?;
    let _listener = listener(&link)?;
    let near_mac = mac(&link.near, NEAR)?;
    let told = traced(&link, &[], |tracer| {
        // The far host's stack knows nothing of it, and answers the SYN-ACK with a RST.
        let mut syn = Frame::new((FAR_V4, 40_001).into(), server());
        syn.macs = [mac(&link.far, FAR)?, near_mac];
        Wire::of(&link)?.ingress(&syn.seq(7).flags(Flags::SYN).octets())?;
        tracer.await_connections(1)
    })?;
    said(
        &told,
        "reset_by_client",
        &[
            "client answered a valid SYN-ACK with RST after ",
            "a port scan",
        ],
    )
}

fn mac(host: &Namespace, device: &str) -> Result<[u8; 6]> {
    let place = format!("/sys/class/net/{device}/address");
    let text = succeed(host.command("cat").arg(place))?;
    let octets = text
        .trim()
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16));
    let octets: Vec<u8> = octets.collect::<Result<_, _>>()?;
    octets.try_into().ok().context("six octets")
}

fn reset_on_close(stream: &TcpStream) -> Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(stream, sockopt::Linger, &linger)?)
}

fn a_client_that_closes_by_a_reset() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    let told = traced(&link, &[], |tracer| {
        let client = client(&link)?;
        let (server, _) = listener.accept()?;
        reset_on_close(&client)?;
        drop(client);
        tracer.await_connections(1)?;
        drop(server);
        Ok(())
    })?;
    said(
        &told,
        "reset_before_data",
        &[
            "reset by client ",
            " after the handshake, before any data: a health check",
        ],
    )
}

/// What came of data that the server never reads.
fn unread(end: impl FnOnce(&TcpStream, &mut TcpStream) -> Result<()>) -> Result<Vec<Connection>> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    traced(&link, &[], |tracer| {
        let mut client = client(&link)?;
        let (server, _) = listener.accept()?;
        end(&server, &mut client)?;
        await_data(&server)?;
        drop(server);
        tracer.await_connections(1)
    })
}

fn a_server_that_closes_with_unread_data() -> Result<()> {
    let told = unread(|_, client| Ok(client.write_all(b"GET /")?))?;
    said(
        &told,
        "reset_in_data",
        &["reset by server after ", "it closed with unread data"],
    )
}

fn a_server_that_closes_with_unread_data_after_its_fin() -> Result<()> {
    let told = unread(|server, client| {
        server.shutdown(Shutdown::Write)?;
        // The FIN is there before the data go.
        ensure!(client.read(&mut [0])? == 0, "the server sends");
        Ok(client.write_all(b"QUIT")?)
    })?;
    said(
        &told,
        "reset_after_own_fin",
        &[
            "reset by server ",
            " after its own FIN: it closed with unread data",
        ],
    )
}

fn a_server_that_closes_with_unread_data_after_the_clients_fin() -> Result<()> {
    let told = unread(|_, client| {
        client.write_all(b"QUIT")?;
        Ok(client.shutdown(Shutdown::Write)?)
    })?;
    said(
        &told,
        "reset_after_peer_fin",
        &[
            "reset by server ",
            " after the client's FIN: it closed with unread data",
        ],
    )
}

fn a_server_that_never_closes() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    let mut kept = None;
    let told = traced(&link, &[], |_| {
        let client = client(&link)?;
        let (mut server, _) = listener.accept()?;
        drop(client);
        ensure!(server.read(&mut [0])? == 0, "the client sends");
        kept = Some(server);
        Ok(())
    })?;
    said(
        &told,
        "never_closed",
        &["server did not close after the client's FIN", "CLOSE-WAIT"],
    )
}

fn fins_that_are_dropped() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    // It says nothing until the trace is over.
    let mut kept = None;
    let told = traced(&link, &[], |_| {
        let client = client(&link)?;
        let (server, _) = listener.accept()?;
        drop_in(&link.near, "tcp dport 8443")?;
        drop(client);
        await_dropped(&link.near, 3)?;
        kept = Some(server);
        Ok(())
    })?;
    said(
        &told,
        "fin_unanswered",
        &["client's FIN, sent ", " times, was never acknowledged"],
    )
}

/// Sends so much from this host to a server that reads it all.
fn sent(link: &Link, from: &Namespace, options: &[&str], octets: usize) -> Result<Vec<Connection>> {
    let listener = listener(link)?;
    traced(link, options, |tracer| {
        let mut client = client_on(from)?;
        let (mut server, _) = listener.accept()?;
        let sending = from.spawn(move || {
            client.write_all(&vec![0; octets])?;
            Ok(())
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received)?;
        sending.finish()?;
        assert_eq!(received.len(), octets);
        drop(server);
        tracer.await_connections(1)
    })
}

fn a_server_that_does_not_read() -> Result<()> {
    let link = Link::new()?;
    let listener = listener(&link)?;
    let told = traced(&link, &["--account"], |_| {
        let mut client = client(&link)?;
        let (server, _) = listener.accept()?;
        client.set_write_timeout(Some(Duration::from_secs(1)))?;
        let chunk = vec![0; 1 << 20];
        while client.write(&chunk).is_ok() {}
        drop((client, server));
        Ok(())
    })?;
    said(
        &told,
        "window_closed",
        &[
            "server closed its receive window ",
            "its program reads too slowly",
        ],
    )
}

fn data_that_is_dropped_beyond() -> Result<()> {
    let link = Link::new()?;
    drop_in(
        &link.near,
        "tcp dport 8443 meta length > 500 numgen random mod 10 < 2",
    )?;
    let told = sent(&link, &link.far, &["--account"], 1 << 20)?;
    said(
        &told,
        "segments_lost",
        &[
            "of the client's ",
            " segments were sent again",
            "lost beyond here",
        ],
    )
}

fn data_that_is_dropped_before() -> Result<()> {
    let link = Link::new()?;
    // A host that drops what it forwards: of its own a stack would know that it was dropped.
    let beyond = Namespace::new()?;
    netns::connect((&link.far, "inner0"), (&beyond, "beyond0"))?;
    for (host, device, address) in [
        (&link.far, "inner0", "10.2.0.1/24"),
        (&beyond, "beyond0", "10.2.0.2/24"),
    ] {
        host.ip(&["address", "add", address, "dev", device])?;
        host.ip(&["link", "set", device, "up"])?;
    }
    beyond.ip(&["route", "add", "default", "via", "10.2.0.1"])?;
    link.near
        .ip(&["route", "add", "10.2.0.0/24", "via", &FAR_V4.to_string()])?;
    link.far.sysctl("ipv4/ip_forward", "1")?;
    rule(
        &link.far,
        "forward",
        "tcp dport 8443 meta length > 500 numgen random mod 10 < 2",
    )?;
    let told = sent(&link, &beyond, &["--account"], 1 << 20)?;
    said(
        &told,
        "segments_late",
        &[
            "of the client's ",
            " segments came late",
            "lost before here",
        ],
    )
}

fn a_server_without_window_scaling() -> Result<()> {
    let link = Link::new()?;
    link.near.sysctl("ipv4/tcp_window_scaling", "0")?;
    let told = sent(&link, &link.far, &[], 200_000)?;
    said(
        &told,
        "no_window_scaling",
        &["window scaling was offered and not echoed"],
    )
}
