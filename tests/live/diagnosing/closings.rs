//! Ends of connections between real stacks.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use anyhow::{Result, ensure};
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use synfin_tests::cases;
use synfin_tests::netns::Link;
use synfin_tests::record::Connection;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::suite::Case;

use super::hosts::{await_data, await_dropped, client, drop_in, listener};
use super::{said, traced};

/// The rules that are made to happen here.
pub(super) const CODES: &[&str] = &[
    "reset_before_data",
    "reset_in_data",
    "reset_after_own_fin",
    "reset_after_peer_fin",
    "never_closed",
    "fin_unanswered",
];

pub(super) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_client_that_closes_by_a_reset,
        a_server_that_closes_with_unread_data,
        a_server_that_closes_with_unread_data_after_its_fin,
        a_server_that_closes_with_unread_data_after_the_clients_fin,
        a_server_that_never_closes,
    ];
    let dropping = cases![&[Root, Daemon, Tool("nft")]; fins_that_are_dropped];
    [plain, dropping].concat()
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
