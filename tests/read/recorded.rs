//! What the tests record themselves: a real server and 5,000 connections to it, as they crossed the
//! wire, and as worse and worse observers would have seen them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use synfin_tests::capture::{Capture, Captured};
use synfin_tests::cases;
use synfin_tests::mangle::Mangle;
use synfin_tests::netns::{Link, NEAR_V4, NEAR_V6};
use synfin_tests::packets;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::scratch::Scratch;
use synfin_tests::services::{self, FILE, limited, noise};
use synfin_tests::streams::{self, Compared};
use synfin_tests::suite::Case;
use synfin_tests::tshark;
use synfin_tests::wait::limit;

use crate::told;

const CLIENTS: usize = 50;
const EACH: usize = 100;

pub(crate) fn cases() -> Vec<Case> {
    cases![[Root, Daemon, Tool("tcpdump"), Tool("tshark"), Tool("nginx")];
        five_thousand_connections_are_told_as_tshark_sees_them_however_badly_they_were_captured,
    ]
}

fn five_thousand_connections_are_told_as_tshark_sees_them_however_badly_they_were_captured()
-> Result<()> {
    let captured = record()?;
    let whole = compare(&captured.file)?;
    ensure!(whole.streams == CLIENTS * EACH, "{} streams", whole.streams);
    let packets = packets::read(&captured.file)?;
    let scratch = Scratch::new()?;
    let none = Mangle::default();
    let snap_len = Some(90);
    let all = Mangle {
        lost: 50,
        doubled: 50,
        late: 50,
        snap_len,
    };
    let observers = [
        ("with losses", Mangle { lost: 20, ..none }),
        (
            "with copies",
            Mangle {
                doubled: 20,
                ..none
            },
        ),
        ("out of order", Mangle { late: 20, ..none }),
        ("cut short", Mangle { snap_len, ..none }),
        ("badly", all),
    ];
    let mut all = vec![("as it was", whole)];
    for (seed, (how, mangle)) in (1..).zip(observers) {
        let file = scratch.file("mangled.pcap");
        packets::write(&mangle.apply(&packets, seed), &file)?;
        all.push((how, compare(&file)?));
    }
    let mut differences = Vec::new();
    for (how, compared) in &all {
        let (streams, legs, rules) = (compared.streams, compared.legs, compared.rules);
        eprintln!("captured {how}: {streams} streams, {legs} legs; known errors {rules:?}");
        let found = compared.differences.iter();
        differences.extend(found.map(|difference| format!("captured {how}: {difference}")));
    }
    if differences.is_empty() {
        return Ok(());
    }
    bail!(
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    )
}

fn compare(capture: &Path) -> Result<Compared> {
    Ok(streams::compare(
        &told(capture)?,
        &tshark::streams(capture)?,
    ))
}

/// Has clients fetch a file over connections that end in every way that a program can bring about.
fn record() -> Result<Captured> {
    let link = Link::new()?;
    // Ports enough that no connection takes another one's place.
    link.far.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
    let _server = services::http(&link.near, &noise(3_000))?;
    let capture = Capture::start(&link)?;
    link.far.enter(|| {
        let client = |client: usize| (0..EACH).try_for_each(|number| connect(client + number));
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| scope.spawn(move || client(number)))
                .collect();
            let mut ends = clients.into_iter().map(|client| client.join());
            ends.try_for_each(|end| end.unwrap_or_else(|_| bail!("a client panicked")))
        })
    })?;
    capture.stop()
}

fn connect(number: usize) -> Result<()> {
    let server = if (number / 10).is_multiple_of(2) {
        NEAR_V4
    } else {
        NEAR_V6
    };
    let address = |port| SocketAddr::new(server, port);
    if number % 10 == 9 {
        let refused = TcpStream::connect_timeout(&address(9), limit());
        ensure!(refused.is_err(), "it was not refused");
        return Ok(());
    }
    let stream = TcpStream::connect_timeout(&address(80), limit()).context("connect")?;
    let mut stream = limited(stream)?;
    if number % 10 == 8 {
        // Without a word.
        return Ok(());
    }
    // The server closes after one answer.
    write!(stream, "GET /{FILE} HTTP/1.0\r\n\r\n")?;
    match number % 10 {
        7 => {
            // To close with unread data is to reset (RFC 2525 §2.17).
            stream.peek(&mut [0]).context("peek")?;
            return Ok(());
        }
        6 => stream.shutdown(Shutdown::Write)?,
        _ => {}
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.len() > 3_000, "{} octets", answer.len());
    Ok(())
}
