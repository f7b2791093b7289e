//! The same traffic twice: as synfin traces it live, and as it reads it from the capture that tcpdump
//! made of the same interface at the same time.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};

use anyhow::{Result, bail, ensure};
use synfin_tests::alike::{self, Live};
use synfin_tests::capture::Capture;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::evidence;
use synfin_tests::netns::{Link, NEAR_V4, NEAR_V6};
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tcx, Tool};
use synfin_tests::services::{self, limited, noise};
use synfin_tests::suite::Case;

use crate::programs::{call_nobody, curl, kill_in_mid_transfer, more_than_buffers_hold};

/// Our own servers: one that answers and closes, one whose client finishes first, one that waits.
const ECHO: u16 = 7;
const HALF: u16 = 8;
const OPEN: u16 = 10;
/// Nobody listens here.
const CLOSED: u16 = 9;
const SHORT: usize = 100;
/// HTTP over both protocols, FTP with its data, a client that is killed, two refusals, a half-close, an
/// address that nobody has, and the short ones.
const ENDED: usize = 2 + 2 + 1 + 2 + 1 + 1 + SHORT;
/// Longer than the retries that the traffic has.
const PATIENCE: [&str; 2] = ["--handshake-timeout", "4s"];

pub(crate) fn cases() -> Vec<Case> {
    let tools = ["tcpdump", "nginx", "vsftpd", "curl"].map(Tool);
    let needs = [&[Root, Daemon], &tools[..]].concat();
    let by_tcx = cases![[&needs[..], &[Tcx]].concat();
        lifecycles_by_tcx_are_those_of_a_capture,
        accounts_by_tcx_are_those_of_a_capture,
    ];
    let by_native_xdp = cases![needs; lifecycles_by_native_xdp_are_those_of_a_capture];
    [by_tcx, by_native_xdp].concat()
}

fn lifecycles_by_tcx_are_those_of_a_capture() -> Result<()> {
    live_is_offline(&["--xdp-mode", "tcx"], Live::Lifecycles)
}

fn lifecycles_by_native_xdp_are_those_of_a_capture() -> Result<()> {
    live_is_offline(&["--xdp-mode", "native"], Live::Lifecycles)
}

fn accounts_by_tcx_are_those_of_a_capture() -> Result<()> {
    // Native XDP sees segments before the host makes larger ones of them, and tcpdump after that.
    live_is_offline(&["--xdp-mode", "tcx", "--account"], Live::Accounts)
}

fn live_is_offline(arguments: &[&str], how: Live) -> Result<()> {
    let link = Link::new()?;
    let capture = Capture::start(&link)?;
    let mut tracer = Tracer::json(&link.near, &[&PATIENCE, arguments].concat())?;
    let open = talk(&link)?;
    tracer.await_connections(ENDED)?;
    let captured = capture.stop()?;
    let traced = tracer.stop()?;
    drop(open);
    let file = captured.file.to_string_lossy();
    let words = ["read", "--format", "json", &file];
    let read = daemon::run(&link.near, &[&words[..], &PATIENCE].concat())?;
    let live = record::with_lone_segments(&traced.stdout)?;
    let read = record::with_lone_segments(&read.stdout)?;
    ensure!(live.len() == ENDED + 1, "{} connections", live.len());
    let differences = alike::differences(&live, &read, how);
    if differences.is_empty() {
        return Ok(());
    }
    for (how, records) in [("live", &live), ("from the capture", &read)] {
        let is_apart = |name: &str| differences.iter().any(|text| text.starts_with(name));
        let apart = records.iter().filter(|record| is_apart(&record.name()));
        evidence::note(how, &format!("{:?}", apart.collect::<Vec<_>>()));
    }
    bail!(
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    )
}

/// Everything that programs do to connections. The one that stays open is given.
fn talk(link: &Link) -> Result<(TcpStream, TcpStream)> {
    let open = stay_open(link)?;
    for server in [NEAR_V4, NEAR_V6] {
        download(link, "http", server)?;
    }
    download(link, "ftp", NEAR_V4)?;
    let server = services::http(&link.near, &more_than_buffers_hold())?;
    kill_in_mid_transfer(link)?;
    for server in [NEAR_V4, NEAR_V6] {
        let refused = services::connect(&link.far, server, CLOSED);
        ensure!(refused.is_err(), "it was not refused");
    }
    half_close(link)?;
    services::talk_shortly(link, ECHO, SHORT)?;
    call_nobody(link, "10.1.1.99".parse()?)?;
    drop(server);
    Ok(open)
}

fn stay_open(link: &Link) -> Result<(TcpStream, TcpStream)> {
    let listener = services::listen(&link.near, NEAR_V4, OPEN)?;
    let mut client = services::connect(&link.far, NEAR_V4, OPEN)?;
    let mut server = limited(listener.accept()?.0)?;
    client.write_all(b"hello")?;
    server.read_exact(&mut [0; 5])?;
    Ok((client, server))
}

fn download(link: &Link, scheme: &str, server: IpAddr) -> Result<()> {
    let content = noise(300_000);
    let _server = match scheme {
        "ftp" => services::ftp(&link.near, &content)?,
        _ => services::http(&link.near, &content)?,
    };
    let got = curl(link, scheme, server)?;
    ensure!(got == content, "the file arrived changed");
    Ok(())
}

fn half_close(link: &Link) -> Result<()> {
    let listener = services::listen(&link.near, NEAR_V4, HALF)?;
    let server = link.near.spawn(move || {
        let mut stream = limited(listener.accept()?.0)?;
        let mut request = String::new();
        stream.read_to_string(&mut request)?;
        stream.write_all(b"still here")?;
        Ok(stream.write_all(b", and now no more")?)
    });
    let mut client = services::connect(&link.far, NEAR_V4, HALF)?;
    client.write_all(b"that is all")?;
    client.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    server.finish()
}
