//! What goes wrong between opening and close, between real stacks.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::Result;
use synfin_tests::cases;
use synfin_tests::netns::{self, FAR, FAR_V4, Link, Namespace};
use synfin_tests::record::Connection;
use synfin_tests::requirement::Requirement::{Daemon, Root, Tool};
use synfin_tests::suite::Case;

use super::hosts::{client, client_on, drop_in, listener, rule};
use super::{said, traced};

/// The rules that are made to happen here.
pub(super) const CODES: &[&str] = &[
    "window_closed",
    "segments_lost",
    "segments_late",
    "no_window_scaling",
];

/// Of the segments with data.
const EACH_TWENTIETH: &str = "tcp dport 8443 meta length > 500 numgen inc mod 20 == 0";

pub(super) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_server_that_does_not_read,
        a_server_without_window_scaling,
    ];
    let dropping = cases![&[Root, Daemon, Tool("nft")];
        data_that_is_dropped_beyond,
        data_that_is_dropped_before,
    ];
    [plain, dropping].concat()
}

/// Has a host send every segment by itself, so that there are many.
fn one_by_one(host: &Namespace, device: &str) -> Result<()> {
    host.ip(&["link", "set", device, "gso_max_segs", "1"])
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
    drop_in(&link.near, EACH_TWENTIETH)?;
    one_by_one(&link.far, FAR)?;
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
    one_by_one(&beyond, "beyond0")?;
    beyond.ip(&["route", "add", "default", "via", "10.2.0.1"])?;
    link.near
        .ip(&["route", "add", "10.2.0.0/24", "via", &FAR_V4.to_string()])?;
    link.far.sysctl("ipv4/ip_forward", "1")?;
    rule(&link.far, "forward", EACH_TWENTIETH)?;
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
