//! What is traced: ports, hosts, directions and interfaces.

use anyhow::Result;
use synfin_tests::cases;
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR, Namespace, connect};
use synfin_tests::record;
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

use crate::talks::whole;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_port_selects_the_connections_that_have_it_on_either_side,
        ports_may_be_listed_and_repeated,
        a_host_selects_by_ipv4_address,
        a_host_selects_by_ipv6_address,
        a_host_selects_by_network,
        a_port_and_a_host_select_what_has_both,
        without_a_selection_everything_is_told,
        ingress_alone_is_asymmetric_and_invents_nothing,
        two_interfaces_are_told_apart,
        auto_takes_tcx_on_a_veth_and_says_so,
    ]
}

/// Client and server of each connection that every selection sees.
const TALKS: [(&str, &str); 6] = [
    ("10.1.1.2:40000", "10.1.1.1:80"),
    ("10.1.1.2:443", "10.1.1.1:40001"),
    ("10.1.2.2:40002", "10.1.1.1:80"),
    ("192.0.2.7:40003", "10.9.9.9:8080"),
    ("[fd00::2]:40004", "[fd00::1]:80"),
    ("[2001:db8::5]:40005", "[fd00::1]:8080"),
];

fn a_port_selects_the_connections_that_have_it_on_either_side() -> Result<()> {
    selected(&["--port", "80"], &[0, 2, 4])?;
    selected(&["--port", "443"], &[1])?;
    selected(&["--port", "9"], &[])
}

fn ports_may_be_listed_and_repeated() -> Result<()> {
    selected(&["--port", "443,8080"], &[1, 3, 5])?;
    selected(&["--port", "443", "--port", "8080"], &[1, 3, 5])
}

fn a_host_selects_by_ipv4_address() -> Result<()> {
    selected(&["--host", "10.1.1.2"], &[0, 1])?;
    selected(&["--host", "10.9.9.9"], &[3])
}

fn a_host_selects_by_ipv6_address() -> Result<()> {
    selected(&["--host", "fd00::1"], &[4, 5])?;
    selected(&["--host", "2001:db8::5"], &[5])
}

fn a_host_selects_by_network() -> Result<()> {
    selected(&["--host", "10.1.0.0/16"], &[0, 1, 2])?;
    selected(
        &["--host", "192.0.2.0/24", "--host", "2001:db8::/32"],
        &[3, 5],
    )?;
    // All of IPv4, and none of IPv6.
    selected(&["--host", "0.0.0.0/0"], &[0, 1, 2, 3])?;
    selected(&["--host", "::/0"], &[4, 5])
}

fn a_port_and_a_host_select_what_has_both() -> Result<()> {
    selected(&["--port", "80", "--host", "10.1.2.2"], &[2])
}

fn without_a_selection_everything_is_told() -> Result<()> {
    selected(&[], &[0, 1, 2, 3, 4, 5])
}

fn ingress_alone_is_asymmetric_and_invents_nothing() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--direction", "ingress", "--xdp-mode", mode])?;
        // The client's segments come in; what the server says goes out unseen.
        Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
        let output = tracer.stop()?;
        let connections = record::connections(&output.stdout)?;
        assert_eq!(connections.len(), 1, "{mode}");
        for connection in connections {
            assert!(connection.asymmetric, "{mode}");
            assert_eq!(connection.client.isn, Some(1_000), "{mode}");
            assert_eq!(connection.client.bytes, Some(5), "{mode}");
            assert_eq!(connection.server.options, None, "{mode}");
            assert_eq!(connection.open.rtt_ns.syn_to_synack, None, "{mode}");
            assert!(
                connection.segments.iter().all(|step| step.from == "client"),
                "{mode}"
            );
            assert_ne!(
                connection.open.outcome, "no_reply",
                "{mode}: the client goes on"
            );
            assert_eq!(daemon::count(&output, daemon::SEGMENTS), Some(5), "{mode}");
        }
    }
    Ok(())
}

fn two_interfaces_are_told_apart() -> Result<()> {
    let (near, far) = (Namespace::new()?, Namespace::new()?);
    for (ours, theirs) in [("near0", "far0"), ("near1", "far1")] {
        connect((&near, ours), (&far, theirs))?;
        near.ip(&["link", "set", ours, "up"])?;
        far.ip(&["link", "set", theirs, "up"])?;
    }
    let words = ["trace", "-i", "near0", "-i", "near1", "--format", "json"];
    let tracer = Tracer::start(&mut daemon::command(&near, &words), 2)?;
    let wire = |ours, theirs| Wire::between((&near, ours), (&far, theirs));
    wire("near0", "far0")?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    wire("near1", "far1")?.play(&whole("10.1.1.2:40001", "10.1.1.1:80"))?;
    let (mut connections, output) = tracer.connections(2)?;
    connections.sort_by_key(|connection| connection.client.port);
    let told = connections
        .iter()
        .map(|one| (one.client.port, one.interface.as_str()));
    assert!(told.eq([(40_000, "near0"), (40_001, "near1")]));
    for interface in ["near0", "near1"] {
        let line = format!("synfin: tracing {interface}: ");
        assert!(
            output.stderr.lines().any(|told| told.starts_with(&line)),
            "{line}"
        );
    }
    Ok(())
}

fn auto_takes_tcx_on_a_veth_and_says_so() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    let told = tracer.stderr();
    let line = told
        .lines()
        .find(|line| line.starts_with("synfin: tracing"))
        .unwrap_or_default();
    assert!(
        line.contains(&format!("{NEAR}: TCX ingress, TCX egress")),
        "{line}"
    );
    assert!(line.contains("auto"), "{line}");
    tracer.stop()?;
    Ok(())
}

/// Only the connections of these places in [`TALKS`] are told.
fn selected(arguments: &[&str], places: &[usize]) -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, arguments)?;
    let wire = Wire::of(&link)?;
    for (client, server) in TALKS {
        wire.play(&whole(client, server))?;
    }
    let output = tracer.stop()?;
    let mut told: Vec<String> = record::connections(&output.stdout)?
        .iter()
        .map(|connection| connection.name())
        .collect();
    let mut meant: Vec<String> = TALKS
        .into_iter()
        .enumerate()
        .filter(|(place, _)| places.contains(place))
        .map(|(_, (client, server))| format!("{client} → {server}"))
        .collect();
    told.sort();
    meant.sort();
    assert_eq!(told, meant, "{arguments:?}");
    Ok(())
}
