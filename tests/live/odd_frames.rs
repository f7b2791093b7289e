//! Frames that hide a segment well are traced; frames that lie are counted by the name of the lie.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use synfin_ebpf::segment::Flags;
use synfin_tests::carriers::{Carrier, Gre};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer, modes};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN, patch};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{FAR_V6, Link, NEAR_V6};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        a_connection_inside_one_vlan_tag_is_told_with_it,
        a_connection_inside_two_vlan_tags_is_told_with_both,
        the_same_addresses_on_two_vlans_are_two_connections,
        a_connection_behind_ipv4_options_is_told,
        a_connection_behind_ipv6_extension_headers_is_told,
        an_atomic_fragment_is_no_fragment,
        ethernet_padding_is_no_payload,
        every_lie_is_counted_by_its_name,
        a_third_vlan_tag_is_counted_by_its_name,
        a_connection_in_a_tunnel_is_told_with_it,
        a_frame_cut_inside_its_vlan_tag_is_counted_by_its_name,
        lies_on_the_way_out_are_counted_as_well,
    ]
}

fn a_connection_inside_one_vlan_tag_is_told_with_it() -> Result<()> {
    told_as_plain(&talk().around(|frame| frame.tagged(VLAN, 5)), &[5])
}

fn a_connection_inside_two_vlan_tags_is_told_with_both() -> Result<()> {
    let around = |frame: Frame| frame.tagged(SERVICE_VLAN, 100).tagged(VLAN, 7);
    told_as_plain(&talk().around(around), &[100, 7])
}

fn the_same_addresses_on_two_vlans_are_two_connections() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        let wire = Wire::of(&link)?;
        for id in [5, 6] {
            wire.play(&talk().around(|frame| frame.tagged(VLAN, id)))?;
        }
        let (mut connections, _) = tracer.connections(2)?;
        connections.sort_by_key(|connection| connection.vlans.clone());
        let vlans: Vec<_> = connections
            .iter()
            .map(|connection| &connection.vlans[..])
            .collect();
        assert_eq!(vlans, [[5], [6]], "{mode}");
        for connection in &connections {
            assert_eq!(connection.close.kind, "four_way", "{mode}");
            assert!(
                connection.anomalies.is_empty(),
                "{mode}: {:?}",
                connection.anomalies
            );
        }
    }
    Ok(())
}

fn a_connection_in_a_tunnel_is_told_with_it() -> Result<()> {
    let ends = ["192.0.2.1".parse()?, "192.0.2.2".parse()?];
    let keyed = Gre {
        key: Some(77),
        ..Gre::default()
    };
    let [native, tc] = modes();
    for (mode, carrier, kind, id) in [
        (native, Carrier::Vxlan(ends, 4789, 0x1234), "vxlan", 0x1234),
        (tc, Carrier::Vxlan(ends, 8472, 5), "vxlan", 5),
        (tc, Carrier::Gre(ends, keyed), "gre", 77),
    ] {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode, "--vxlan-port", "8472"])?;
        let talk = talk().around(|frame| frame.carried(carrier.clone()));
        Wire::of(&link)?.play(&talk)?;
        let connection = tracer.connection()?;
        let tunnel = connection.tunnel.context("a tunnel")?;
        assert_eq!((tunnel.kind.as_str(), tunnel.id), (kind, id), "{mode}");
        assert_eq!(tunnel.client, Some(ends[0]), "{mode}, {kind}");
        assert_eq!(tunnel.server, Some(ends[1]), "{mode}, {kind}");
        assert_eq!(connection.client.endpoint(), talk.client(), "{mode}");
        assert_eq!(connection.open.outcome, "established", "{mode}");
        assert_eq!(connection.close.kind, "four_way", "{mode}");
    }
    Ok(())
}

fn a_connection_behind_ipv4_options_is_told() -> Result<()> {
    // A router alert and padding (RFC 2113); then as many octets as the header has room for.
    told_as_plain(
        &talk().around(|frame| frame.ip_options(&[148, 4, 0, 0, 1, 1, 1, 0])),
        &[],
    )?;
    told_as_plain(&talk().around(|frame| frame.ip_options(&[1; 40])), &[])
}

fn a_connection_behind_ipv6_extension_headers_is_told() -> Result<()> {
    let chain = [
        Extension::HopByHop(1),
        Extension::Destination(0),
        Extension::Routing,
        Extension::Authentication,
        Extension::Destination(2),
    ];
    told_as_plain(&talk_v6().around(|frame| frame.extensions(&chain)), &[])
}

fn an_atomic_fragment_is_no_fragment() -> Result<()> {
    let atomic = [Extension::Fragment(0, false)];
    told_as_plain(&talk_v6().around(|frame| frame.extensions(&atomic)), &[])
}

fn ethernet_padding_is_no_payload() -> Result<()> {
    told_as_plain(&talk().around(|frame| frame.padded(6)), &[])
}

fn every_lie_is_counted_by_its_name() -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        let wire = Wire::of(&link)?;
        for (_, frame) in lies() {
            wire.ingress(&frame)?;
        }
        counted(tracer, mode)?;
    }
    Ok(())
}

fn lies_on_the_way_out_are_counted_as_well() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    let wire = Wire::of(&link)?;
    for (_, frame) in lies() {
        wire.egress(&frame)?;
    }
    counted(tracer, "egress")
}

fn a_third_vlan_tag_is_counted_by_its_name() -> Result<()> {
    let three = syn()
        .tagged(SERVICE_VLAN, 1)
        .tagged(VLAN, 2)
        .tagged(VLAN, 3)
        .octets();
    for mode in modes() {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        Wire::of(&link)?.ingress(&three)?;
        let output = tracer.stop()?;
        assert_eq!(
            daemon::count(&output, "too_many_vlan_tags"),
            Some(1),
            "{mode}"
        );
        assert_eq!(output.stdout, "", "{mode}");
    }
    Ok(())
}

fn a_frame_cut_inside_its_vlan_tag_is_counted_by_its_name() -> Result<()> {
    let link = Link::silent()?;
    // The stack drops such a frame before a TC program could see it.
    let tracer = Tracer::json(&link.near, &["--xdp-mode", "native"])?;
    let wire = Wire::of(&link)?;
    let tagged = syn().tagged(VLAN, 5).octets();
    wire.ingress_unseen(tagged.get(..15).unwrap_or_default())?;
    // What comes after it on the same wire has passed the program after it.
    wire.ingress(&syn().octets())?;
    let output = tracer.stop()?;
    assert_eq!(daemon::count(&output, "truncated_link"), Some(1));
    Ok(())
}

/// The conversation is told in both modes as if nothing were around it, except for the VLAN tags.
fn told_as_plain(conversation: &Conversation, vlans: &[u16]) -> Result<()> {
    for mode in modes() {
        let link = Link::silent()?;
        let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
        Wire::of(&link)?.play(conversation)?;
        let connection = tracer.connection()?;
        assert_eq!(connection.vlans, vlans, "{mode}");
        assert_eq!(
            connection.client.endpoint(),
            conversation.client(),
            "{mode}"
        );
        assert_eq!(
            connection.server.endpoint(),
            conversation.server(),
            "{mode}"
        );
        assert_eq!(connection.open.outcome, "established", "{mode}");
        assert_eq!(connection.close.kind, "four_way", "{mode}");
        assert_eq!(connection.close.by.as_deref(), Some("client"), "{mode}");
        let bytes = (connection.client.bytes, connection.server.bytes);
        assert_eq!(bytes, (Some(5), Some(3)), "{mode}");
        assert_eq!(connection.completeness, 31, "{mode}");
        assert!(
            connection.anomalies.is_empty(),
            "{mode}: {:?}",
            connection.anomalies
        );
    }
    Ok(())
}

fn counted(tracer: Tracer, what: &str) -> Result<()> {
    let output = tracer.stop()?;
    ensure!(
        output.stdout.is_empty(),
        "{what}: a lie was told: {}",
        output.stdout
    );
    let lies = lies();
    for (name, _) in &lies {
        let told = u64::try_from(lies.iter().filter(|(other, _)| other == name).count())?;
        assert_eq!(daemon::count(&output, name), Some(told), "{what}: {name}");
    }
    Ok(())
}

/// Frames that are dropped from the analysis, each with the name of its counter.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let (plain, v6) = (
        syn(),
        Frame::new(v6(FAR_V6, 1), v6(NEAR_V6, 2)).flags(Flags::SYN),
    );
    let (network, transport) = (plain.network(), plain.transport());
    let lie = |offset: usize, octets: &[u8]| {
        let mut frame = plain.octets();
        patch(&mut frame, offset, octets);
        frame
    };
    let cut = |frame: &Frame, len: usize| frame.octets().get(..len).unwrap_or_default().to_vec();
    let short_fragment = || {
        let mut frame = plain.clone().fragment(0, true).octets();
        // Eight octets of TCP: the ports and SEG.SEQ.
        frame.truncate(transport + 8);
        patch(&mut frame, network + 2, &28_u16.to_be_bytes());
        frame
    };
    let without_header = || {
        let mut frame = plain.octets();
        frame.truncate(transport + 8);
        patch(&mut frame, network + 2, &28_u16.to_be_bytes());
        frame
    };
    vec![
        ("truncated_network", cut(&plain, network + 9)),
        ("truncated_network", cut(&v6, network + 6)),
        ("bad_ip_version", lie(network, &[0x65])),
        ("bad_ip_header_length", lie(network, &[0x44])),
        // More than the frame has, and less than the IP header.
        ("bad_ip_length", lie(network + 2, &[0xff, 0xff])),
        ("bad_ip_length", lie(network + 2, &[0, 19])),
        ("bad_ip_length", cut(&plain, transport + 19)),
        (
            "too_many_extensions",
            v6.clone()
                .extensions(&[Extension::Destination(0); 9])
                .octets(),
        ),
        ("later_fragment", plain.clone().fragment(64, true).octets()),
        (
            "later_fragment",
            v6.extensions(&[Extension::Fragment(64, false)]).octets(),
        ),
        ("tiny_fragment", short_fragment()),
        ("truncated_transport", without_header()),
        // Below five words, and past the end of the packet.
        ("bad_data_offset", lie(transport + 12, &[0x40])),
        ("bad_data_offset", lie(transport + 12, &[0xf0])),
    ]
}

fn syn() -> Frame {
    Frame::new(v4(2, 40_000), v4(1, 80)).flags(Flags::SYN)
}

fn talk() -> Conversation {
    conversation(v4(2, 40_000), v4(1, 80))
}

fn talk_v6() -> Conversation {
    conversation(v6(FAR_V6, 40_000), v6(NEAR_V6, 80))
}

fn conversation(client: SocketAddr, server: SocketAddr) -> Conversation {
    // The client's numbers wrap between its payload and its FIN.
    Conversation::between((client, u32::MAX - 3), (server, 0))
        .open()
        .data(Sender::Client, 5)
        .data(Sender::Server, 3)
        .close(Sender::Client)
}

fn v4(last: u8, port: u16) -> SocketAddr {
    ([10, 1, 1, last], port).into()
}

fn v6(address: std::net::IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}
