//! Real programs talk over a wire; tshark watches it as well, and has to agree on every connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use synfin_tests::capture::Capture;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::judge;
use synfin_tests::netns::{FAR, FAR_V4, Link, NEAR_V4, NEAR_V6, Namespace, Task};
use synfin_tests::process::{Background, Output, succeed};
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tcx, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::services::{self, FILE, limited, noise};
use synfin_tests::suite::Case;
use synfin_tests::verdict::Verdict;
use synfin_tests::wait::{self, limit};

pub(crate) fn cases() -> Vec<Case> {
    let judged = [Root, Daemon, Tool("tcpdump"), Tool("tshark")];
    let with = |tools: &[&'static str]| {
        let tools = tools.iter().map(|tool| Tool(tool));
        judged.into_iter().chain(tools).collect::<Vec<_>>()
    };
    [
        cases![with(&["vsftpd", "curl"]);
            an_ftp_session_has_a_control_and_a_data_connection_over_ipv4,
            an_ftp_session_has_a_control_and_a_data_connection_over_ipv6,
        ],
        cases![with(&["nginx", "curl"]);
            an_http_request_is_told_from_the_servers_side,
            an_http_request_is_told_from_the_clients_side,
            an_http_request_over_ipv6_by_native_xdp,
            a_client_killed_in_mid_transfer_resets_the_connection,
        ],
        cases![judged;
            a_server_that_closes_first_is_the_active_closer,
            a_closed_port_refuses_over_ipv4,
            a_closed_port_refuses_over_ipv6,
            an_address_that_nobody_has_does_not_reply,
            an_address_that_nobody_has_does_not_reply_over_ipv6,
            a_half_close_is_told_with_its_length,
            a_client_that_aborts_resets_the_connection,
            a_connection_that_is_still_open_is_told_as_such,
            a_connection_that_was_there_before_is_unobserved_until_its_close,
            a_thousand_short_connections_are_all_told_by_native_xdp,
        ],
        cases![[&judged[..], &[Tcx]].concat();
            a_thousand_short_connections_are_all_told_by_tcx,
        ],
    ]
    .concat()
}

fn an_ftp_session_has_a_control_and_a_data_connection_over_ipv4() -> Result<()> {
    an_ftp_session(NEAR_V4)
}

fn an_ftp_session_has_a_control_and_a_data_connection_over_ipv6() -> Result<()> {
    an_ftp_session(NEAR_V6)
}

fn an_ftp_session(server: IpAddr) -> Result<()> {
    let content = noise(100_000);
    let link = Link::new()?;
    let _server = services::ftp(&link.near, &content)?;
    let watched = Watched::start(link, &[])?;
    let got = curl(&watched.link, "ftp", server)?;
    ensure!(got == content, "the file arrived changed");
    let connections = watched.judged(2)?;
    let control = only(&connections, |connection| connection.server.port == 21)?;
    let data = only(&connections, |connection| connection.server.port != 21)?;
    assert_eq!(control.server.addr, server);
    assert_eq!(data.client.addr, control.client.addr);
    assert_eq!(data.server.bytes, Some(100_000));
    Ok(())
}

fn an_http_request_is_told_from_the_servers_side() -> Result<()> {
    an_http_request(NEAR_V4, "auto")
}

fn an_http_request_over_ipv6_by_native_xdp() -> Result<()> {
    an_http_request(NEAR_V6, "native")
}

fn an_http_request(server: IpAddr, mode: &str) -> Result<()> {
    let content = noise(300_000);
    let link = Link::new()?;
    let _server = services::http(&link.near, &content)?;
    let watched = Watched::start(link, &["--xdp-mode", mode])?;
    let got = curl(&watched.link, "http", server)?;
    ensure!(got == content, "the file arrived changed");
    let connections = watched.judged(1)?;
    let http = only(&connections, |_| true)?;
    assert_eq!((http.server.addr, http.server.port), (server, 80));
    assert_eq!(http.open.outcome, "established");
    assert_eq!(http.close.by.as_deref(), Some("client"));
    assert!(http.server.bytes > Some(300_000), "{:?}", http.server.bytes);
    Ok(())
}

fn an_http_request_is_told_from_the_clients_side() -> Result<()> {
    let content = noise(300_000);
    let link = Link::new()?;
    let _server = services::http(&link.far, &content)?;
    let watched = Watched::start(link, &[])?;
    let file = Scratch::new()?;
    let url = format!("http://{FAR_V4}/{FILE}");
    fetch(&watched.link.near, &file, &url)?;
    ensure!(
        fs::read(file.file(FILE))? == content,
        "the file arrived changed"
    );
    let connections = watched.judged(1)?;
    let http = only(&connections, |_| true)?;
    assert_eq!((http.client.addr, http.server.addr), (NEAR_V4, FAR_V4));
    assert_eq!(http.close.by.as_deref(), Some("client"));
    Ok(())
}

fn a_server_that_closes_first_is_the_active_closer() -> Result<()> {
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V4, 13)?;
    let server = link.near.spawn(move || {
        let mut stream = limited(listener.accept()?.0)?;
        Ok(stream.write_all(b"half past nine")?)
    });
    let watched = Watched::start(link, &[])?;
    let mut client = services::connect(&watched.link.far, NEAR_V4, 13)?;
    let mut time = String::new();
    client.read_to_string(&mut time)?;
    drop(client);
    server.finish()?;
    assert_eq!(time, "half past nine");
    let connections = watched.judged(1)?;
    let daytime = only(&connections, |_| true)?;
    assert_eq!(daytime.close.by.as_deref(), Some("server"));
    assert_eq!(
        (daytime.client.bytes, daytime.server.bytes),
        (Some(0), Some(14))
    );
    assert_eq!(daytime.server.state, "TIME-WAIT");
    assert_eq!(daytime.client.state, "CLOSED");
    Ok(())
}

fn a_client_killed_in_mid_transfer_resets_the_connection() -> Result<()> {
    let link = Link::new()?;
    let _server = services::http(&link.near, &more_than_buffers_hold())?;
    let watched = Watched::start(link, &[])?;
    kill_in_mid_transfer(&watched.link)?;
    let connections = watched.judged(1)?;
    let http = only(&connections, |_| true)?;
    assert_eq!(http.open.outcome, "established");
    assert_eq!(http.close.kind, "reset");
    assert_eq!(http.close.by.as_deref(), Some("client"));
    assert_eq!(http.close.cause.as_deref(), Some("in_data"));
    Ok(())
}

/// More than the buffers of both ends hold, so that a transfer cannot be over before a kill.
pub(crate) fn more_than_buffers_hold() -> Vec<u8> {
    noise(32 << 20)
}

/// Has a client on the far side fetch the file, and kills it while there is more to read.
pub(crate) fn kill_in_mid_transfer(link: &Link) -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file(FILE);
    let mut command = link.far.command("curl");
    command
        .args(["--silent", "--limit-rate", "100k", "--output"])
        .arg(&file);
    let mut client = Background::start(command.arg(format!("http://{NEAR_V4}/{FILE}")))?;
    wait::until("the transfer to begin", || {
        let file = fs::metadata(&file);
        Ok(file.is_ok_and(|file| file.len() > 0).then_some(()))
    })?;
    // What it has not read makes its end a reset (RFC 2525 §2.17): it stops reading before it dies.
    client.signal(Signal::SIGSTOP)?;
    wait::until("data that the client does not read", || {
        let unread = link.far.enter(|| Ok(services::unread_from(80)))?;
        Ok((unread > 0).then_some(()))
    })?;
    client.kill()?;
    Ok(())
}

fn a_closed_port_refuses_over_ipv4() -> Result<()> {
    a_closed_port_refuses(NEAR_V4)
}

fn a_closed_port_refuses_over_ipv6() -> Result<()> {
    a_closed_port_refuses(NEAR_V6)
}

fn a_closed_port_refuses(server: IpAddr) -> Result<()> {
    let watched = Watched::start(Link::new()?, &[])?;
    ensure!(
        services::connect(&watched.link.far, server, 9).is_err(),
        "it was not refused"
    );
    let connections = watched.judged(1)?;
    let refused = only(&connections, |_| true)?;
    assert_eq!(refused.open.outcome, "refused");
    assert!(refused.open.refused_after_ns.is_some());
    assert_eq!(refused.server.isn, None);
    assert_eq!(refused.server.options, None);
    assert_eq!(refused.open.rtt_ns.syn_to_synack, None);
    Ok(())
}

fn an_address_that_nobody_has_does_not_reply() -> Result<()> {
    nobody_replies("10.1.1.99".parse()?)
}

fn an_address_that_nobody_has_does_not_reply_over_ipv6() -> Result<()> {
    nobody_replies("fd00::99".parse()?)
}

fn nobody_replies(nobody: IpAddr) -> Result<()> {
    let watched = Watched::start(Link::new()?, &["--handshake-timeout", "4s"])?;
    call_nobody(&watched.link, nobody)?;
    let (connections, verdicts, _) = watched.judged_with(1)?;
    let silent = only(&connections, |_| true)?;
    assert_eq!(silent.open.outcome, "no_reply");
    assert_eq!(silent.server.isn, None);
    assert_eq!(silent.close.kind, "none");
    let [verdict] = verdicts.as_slice() else {
        panic!("{} verdicts", verdicts.len());
    };
    assert!(
        silent.open.syn_retries >= 2,
        "{} retries",
        silent.open.syn_retries
    );
    let captured = verdict
        .syn_times_ns
        .windows(2)
        .map(|pair| pair[1] - pair[0]);
    for (told, captured) in silent.open.backoff_ns.iter().zip(captured) {
        let apart = (i128::from(*told) - captured).abs();
        ensure!(
            apart < 500_000_000,
            "a backoff told as {told} ns was captured as {captured} ns"
        );
    }
    assert_eq!(silent.open.backoff_ns.len(), verdict.syn_times_ns.len() - 1);
    assert_eq!(silent.open.rtt_ns.total, None);
    Ok(())
}

/// Has the far side send a SYN and two more to an address that nobody has.
pub(crate) fn call_nobody(link: &Link, nobody: IpAddr) -> Result<()> {
    let far = &link.far;
    let neighbour = [
        "neighbour",
        "add",
        &nobody.to_string(),
        "lladdr",
        "02:00:00:00:00:99",
    ];
    far.ip(&[&neighbour[..], &["dev", FAR, "nud", "permanent"]].concat())?;
    // The second retry after twice the time of the first, as RFC 6298 has it; before Linux 6.5 it always was.
    let linear = "ipv4/tcp_syn_linear_timeouts";
    if Path::new("/proc/sys/net").join(linear).exists() {
        far.sysctl(linear, "0")?;
    }
    let wait = Duration::from_millis(3_500);
    let attempt =
        far.enter(|| Ok(TcpStream::connect_timeout(&SocketAddr::new(nobody, 80), wait).is_ok()))?;
    ensure!(!attempt, "somebody replied");
    Ok(())
}

fn a_half_close_is_told_with_its_length() -> Result<()> {
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V4, 7)?;
    let server: Task<Duration> = link.near.spawn(move || {
        let mut stream = limited(listener.accept()?.0)?;
        let mut request = String::new();
        stream.read_to_string(&mut request)?;
        // From here to the server's FIN its side alone is open.
        let begin = Instant::now();
        stream.write_all(b"still here")?;
        thread::sleep(Duration::from_millis(300));
        stream.write_all(b", and now no more")?;
        Ok(begin.elapsed())
    });
    let watched = Watched::start(link, &[])?;
    let mut client = services::connect(&watched.link.far, NEAR_V4, 7)?;
    client.write_all(b"that is all")?;
    client.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    drop(client);
    assert_eq!(answer, "still here, and now no more");
    let at_least = server.finish()?;
    let connections = watched.judged(1)?;
    let half = only(&connections, |_| true)?;
    assert_eq!(
        (half.close.kind.as_str(), half.close.by.as_deref()),
        ("four_way", Some("client"))
    );
    assert_eq!((half.client.bytes, half.server.bytes), (Some(11), Some(27)));
    let told = half
        .close
        .half_close_ns
        .context("how long the half-close was")?;
    assert!(
        u128::from(told) >= at_least.as_nanos(),
        "{told} ns where {at_least:?} passed"
    );
    assert!(told <= half.duration_ns);
    Ok(())
}

fn a_client_that_aborts_resets_the_connection() -> Result<()> {
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V6, 7)?;
    let watched = Watched::start(link, &[])?;
    let client = services::connect(&watched.link.far, NEAR_V6, 7)?;
    let mut server = limited(listener.accept()?.0)?;
    server.write_all(b"never read")?;
    let mut one = [0];
    client.peek(&mut one)?;
    // To close with unread data is to reset (RFC 2525 §2.17).
    drop(client);
    let read = server.read(&mut one);
    ensure!(read.is_err(), "the server read {read:?} where a reset was");
    let connections = watched.judged(1)?;
    let reset = only(&connections, |_| true)?;
    assert_eq!(
        (reset.close.kind.as_str(), reset.close.by.as_deref()),
        ("reset", Some("client"))
    );
    Ok(())
}

fn a_connection_that_is_still_open_is_told_as_such() -> Result<()> {
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V4, 7)?;
    let watched = Watched::start(link, &[])?;
    let mut client = services::connect(&watched.link.far, NEAR_V4, 7)?;
    let mut server = limited(listener.accept()?.0)?;
    client.write_all(b"hello")?;
    let mut octets = [0; 5];
    server.read_exact(&mut octets)?;
    let (connections, _, _) = watched.judged_with(0)?;
    let open = only(&connections, |_| true)?;
    assert_eq!(open.open.outcome, "established");
    assert_eq!(
        (open.close.kind.as_str(), open.close.by.as_deref()),
        ("none", None)
    );
    assert_eq!(
        (open.client.state.as_str(), open.server.state.as_str()),
        ("ESTABLISHED", "ESTABLISHED")
    );
    Ok(())
}

fn a_connection_that_was_there_before_is_unobserved_until_its_close() -> Result<()> {
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V4, 7)?;
    let mut client = services::connect(&link.far, NEAR_V4, 7)?;
    let mut server = limited(listener.accept()?.0)?;
    let watched = Watched::start(link, &[])?;
    // Without data: that of a connection whose opening was not seen is not looked at.
    client.shutdown(Shutdown::Write)?;
    let mut nothing = Vec::new();
    server.read_to_end(&mut nothing)?;
    drop(server);
    client.read_to_end(&mut nothing)?;
    let connections = watched.judged(1)?;
    let late = only(&connections, |_| true)?;
    assert_eq!((late.server.addr, late.server.port), (NEAR_V4, 7));
    assert_eq!(late.open.outcome, "unobserved");
    assert_eq!(late.open.confidence, "inferred");
    assert_eq!((late.client.isn, late.server.isn), (None, None));
    assert_eq!(late.client.options, None);
    assert_eq!(late.close.by.as_deref(), Some("client"));
    assert!(["three_way", "four_way"].contains(&late.close.kind.as_str()));
    Ok(())
}

fn a_thousand_short_connections_are_all_told_by_tcx() -> Result<()> {
    a_thousand_short_connections("tcx")
}

fn a_thousand_short_connections_are_all_told_by_native_xdp() -> Result<()> {
    a_thousand_short_connections("native")
}

fn a_thousand_short_connections(mode: &str) -> Result<()> {
    const CLIENTS: usize = 50;
    const EACH: usize = 20;
    let link = Link::new()?;
    let listener = services::listen(&link.near, NEAR_V4, 7)?;
    let server = link.near.spawn(move || {
        for _ in 0..CLIENTS * EACH {
            let mut stream = limited(listener.accept()?.0)?;
            let mut question = [0; 8];
            stream.read_exact(&mut question)?;
            stream.write_all(&question)?;
        }
        Ok(())
    });
    let watched = Watched::start(link, &["--xdp-mode", mode])?;
    watched.link.far.enter(|| {
        let client = || -> Result<()> {
            for _ in 0..EACH {
                let address = SocketAddr::new(NEAR_V4, 7);
                let mut stream = limited(TcpStream::connect_timeout(&address, limit())?)?;
                stream.write_all(b"question")?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer)?;
                ensure!(answer == b"question", "the answer was {answer:?}");
            }
            Ok(())
        };
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let mut ends = clients.into_iter().map(|client| client.join());
            ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a client panicked")))
        })
    })?;
    server.finish()?;
    let (connections, _, output) = watched.judged_with(CLIENTS * EACH)?;
    assert_eq!(connections.len(), CLIENTS * EACH);
    for lost in ["ring_full", "table_full"] {
        assert_eq!(daemon::count(&output, lost).unwrap_or(0), 0, "{lost}");
    }
    for connection in &connections {
        assert_eq!(
            (connection.client.bytes, connection.server.bytes),
            (Some(8), Some(8))
        );
        assert_eq!(connection.close.by.as_deref(), Some("server"));
    }
    Ok(())
}

/// A wire that synfin and tcpdump watch.
struct Watched {
    tracer: Tracer,
    capture: Capture,
    // Dropped last: the others are inside.
    link: Link,
}

impl Watched {
    fn start(link: Link, arguments: &[&str]) -> Result<Self> {
        let capture = Capture::start(&link)?;
        let tracer = Tracer::json(&link.near, arguments)?;
        Ok(Self {
            tracer,
            capture,
            link,
        })
    }

    /// Waits for so many connections, and has tshark agree with what was told of them.
    fn judged(self, count: usize) -> Result<Vec<Connection>> {
        let (connections, _, _) = self.judged_with(count)?;
        assert_eq!(connections.len(), count, "connections");
        Ok(connections)
    }

    fn judged_with(mut self, count: usize) -> Result<(Vec<Connection>, Vec<Verdict>, Output)> {
        self.tracer.await_connections(count)?;
        let captured = self.capture.stop()?;
        let output = self.tracer.stop()?;
        let connections = record::connections(&output.stdout)?;
        let verdicts = judge::agree(&connections, &captured)?;
        Ok((connections, verdicts, output))
    }
}

/// Fetches the file from a server on the near side.
pub(crate) fn curl(link: &Link, scheme: &str, server: IpAddr) -> Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let host = match server {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    fetch(&link.far, &scratch, &format!("{scheme}://{host}/{FILE}"))?;
    Ok(fs::read(scratch.file(FILE))?)
}

fn fetch(from: &Namespace, into: &Scratch, url: &str) -> Result<()> {
    let mut command = from.command("curl");
    command.args(["--silent", "--show-error", "--globoff", "--output"]);
    succeed(command.arg(into.file(FILE)).arg(url)).map(drop)
}

/// The one connection that is meant.
fn only(connections: &[Connection], meant: impl Fn(&Connection) -> bool) -> Result<&Connection> {
    let mut found = connections.iter().filter(|connection| meant(connection));
    let one = found.next().context("the connection was not told")?;
    ensure!(
        found.next().is_none(),
        "more than one such connection was told"
    );
    Ok(one)
}
