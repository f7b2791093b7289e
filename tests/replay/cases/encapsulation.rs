//! What is around a segment: tags, fragments, extension headers, padding, and lengths left out.

use serde_json::json;
use synfin_ebpf::counters::Counter;
use synfin_ebpf::wire::Reject;
use synfin_tests::carriers::{Carrier, Gre, Inner, VXLAN_PORT};
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN, patch};

use super::Y;
use crate::story::{MODES, Sighting, both, exactly, one, sightings, story};
use crate::talk;

fn whole() -> Conversation {
    talk()
        .open()
        .data(Client, 26)
        .data(Server, 94)
        .close(Server)
}

/// The same between two IPv6 addresses.
fn v6() -> Conversation {
    let address = |text: &str| text.parse().expect("an address");
    Conversation::between(
        (address("[fd00::2]:52144"), 7),
        (address("[fd00::1]:21"), Y),
    )
    .open()
    .data(Client, 26)
    .data(Server, 94)
    .close(Server)
}

#[test]
fn case_50_the_same_addresses_in_two_vlans_are_two_connections() {
    let tagged = |id: u16| sightings(&whole().around(|frame| frame.tagged(VLAN, id)));
    let stacked = whole().around(|frame| frame.tagged(SERVICE_VLAN, 5).tagged(VLAN, 6));
    let (one, other, stacked) = (tagged(5), tagged(6), sightings(&stacked));
    // Frame by frame in turns.
    let seen: Vec<Sighting> = one
        .into_iter()
        .zip(other)
        .zip(stacked)
        .flat_map(|((one, other), stacked)| [one, other, stacked])
        .collect();
    for mode in MODES {
        let mut told = story(&seen, mode).told;
        told.sort_by_key(|told| told.at("/vlans").to_string());
        let told: [_; 3] = exactly(told);
        let vlans = [json!([5, 6]), json!([5]), json!([6])];
        let words = ["VLAN 6 inside VLAN 5", "VLAN 5", "VLAN 6"];
        for ((told, vlans), words) in told.iter().zip(vlans).zip(words) {
            told.field("/vlans", vlans)
                .field("/open/outcome", "established")
                .field("/close/kind", "four_way")
                .unknown("/previous")
                .odd(&[])
                .says(words);
        }
    }
}

#[test]
fn case_51_of_what_is_in_a_tunnel_the_inner_connection_is_told() {
    let ends = ["192.0.2.7", "198.51.100.9"].map(|end| end.parse().expect("an address"));
    let gre = |key, inner| {
        let gre = Gre {
            key,
            inner,
            ..Gre::default()
        };
        Carrier::Gre(ends, gre)
    };
    let tunnels = [
        (
            Carrier::Vxlan(ends, VXLAN_PORT, 4096),
            "vxlan",
            Some(4096),
            "VXLAN 4096",
        ),
        (
            Carrier::Geneve(ends, 77, 2, Inner::Frame),
            "geneve",
            Some(77),
            "Geneve 77",
        ),
        (
            Carrier::Geneve(ends, 78, 0, Inner::Packet),
            "geneve",
            Some(78),
            "Geneve 78",
        ),
        (gre(Some(9), Inner::Packet), "gre", Some(9), "GRE"),
        // Without a key it is told apart by a hash of its ends.
        (gre(None, Inner::Frame), "gre", None, "GRE"),
        (Carrier::Ip(ends), "ip_in_ip", None, "IP in IP"),
    ];
    for (carrier, kind, id, words) in tunnels {
        for talk in [whole(), v6()] {
            let carried = talk.around(|frame| frame.carried(carrier.clone()));
            for told in both(&carried) {
                told.field("/tunnel/kind", kind)
                    .field("/tunnel/client", "192.0.2.7")
                    .field("/tunnel/server", "198.51.100.9")
                    .field("/client/port", 52144)
                    .field("/open/outcome", "established")
                    .field("/close/kind", "four_way")
                    .field("/client/bytes", 26)
                    .field("/server/bytes", 94)
                    .odd(&[])
                    .says(words)
                    .says("(192.0.2.7 → 198.51.100.9)");
                if let Some(id) = id {
                    told.field("/tunnel/id", id);
                }
            }
        }
    }
    // The same addresses outside, and in two tunnels, are three connections.
    let carried = |id| {
        let carrier = Carrier::Vxlan(ends, VXLAN_PORT, id);
        sightings(&whole().around(|frame| frame.carried(carrier.clone())))
    };
    let seen = [sightings(&whole()), carried(1), carried(2)].concat();
    for mode in MODES {
        let told: [_; 3] = exactly(story(&seen, mode).told);
        for (told, id) in told.iter().zip([json!(null), json!(1), json!(2)]) {
            assert_eq!(*told.at("/tunnel").get("id").unwrap_or(&json!(null)), id);
            told.field("/close/kind", "four_way").unknown("/previous");
        }
    }
}

#[test]
fn case_52_of_a_fragmented_segment_the_first_fragment_counts() {
    let fragmented = talk()
        .open()
        .say(Client, |frame| frame.payload(1000).fragment(0, true))
        .aside(Client, |frame| frame.payload(480).fragment(1000, false))
        .close(Client);
    // A first fragment that ends inside the TCP header hides the ports' flags.
    let tiny = talk()
        .open()
        .aside(Client, |frame| frame.fragment(0, true))
        .close(Client);
    for mode in MODES {
        let later = story(&sightings(&fragmented), mode);
        assert_eq!(later.counters[Reject::LaterFragment.index()], 1);
        one(later.told)
            .field("/close/kind", "four_way")
            .field("/client/bytes", 1000)
            .odd(&[]);
        let mut seen = sightings(&tiny);
        // Twenty octets of IP header, eight of TCP.
        patch(&mut seen[3].octets, 14 + 2, &[0, 28]);
        let tiny = story(&seen, mode);
        assert_eq!(tiny.counters[Reject::TinyFragment.index()], 1);
        one(tiny.told).field("/close/kind", "four_way").odd(&[]);
    }
}

#[test]
fn case_53_extension_headers_are_stepped_over_up_to_a_bound() {
    let chains = [
        // An atomic fragment is whole (RFC 6946).
        vec![Extension::Fragment(0, false)],
        vec![
            Extension::HopByHop(0),
            Extension::Destination(1),
            Extension::Routing,
            Extension::Fragment(0, false),
            Extension::Authentication,
            Extension::Destination(0),
        ],
    ];
    for chain in chains {
        for told in both(&v6().around(|frame| frame.extensions(&chain))) {
            told.field("/client/addr", "fd00::2")
                .field("/open/outcome", "established")
                .field("/close/kind", "four_way")
                .field("/client/bytes", 26)
                .odd(&[]);
        }
    }
    let long = v6().around(|frame| frame.extensions(&[Extension::Destination(0); 7]));
    let later = v6().around(|frame| frame.extensions(&[Extension::Fragment(1480, true)]));
    for mode in MODES {
        for (talk, reject) in [
            (&long, Reject::TooManyExtensions),
            (&later, Reject::LaterFragment),
        ] {
            let story = story(&sightings(talk), mode);
            assert_eq!(story.counters[reject.index()], 11);
            assert!(story.told.is_empty());
        }
    }
}

#[test]
fn case_54_a_super_segment_has_the_length_of_its_buffer() {
    let sent = talk().open().data(Server, 60_000).close(Server);
    let mut seen = sightings(&sent);
    for sighting in &mut seen {
        // A total length of zero, and the checksum left to the device.
        let transport = 14 + 20;
        patch(&mut sighting.octets, transport + 16, &[0, 0]);
        patch(&mut sighting.octets, 14 + 2, &[0, 0]);
    }
    for mode in MODES {
        let told = one(story(&seen, mode).told);
        told.field("/close/kind", "four_way")
            .field("/server/bytes", 60_000)
            .field("/segments/3/len", 60_000)
            .odd(&[])
            .says("len=60000");
        if told.is_counted() {
            told.field("/server/account/payload_bytes", 60_000);
        }
    }
}

#[test]
fn case_55_padding_is_no_payload() {
    for told in both(&whole().around(|frame: Frame| frame.padded(6))) {
        told.field("/client/bytes", 26)
            .field("/server/bytes", 94)
            .field("/open/ack_via_data", false)
            .field("/segments/2/len", 0)
            .odd(&[]);
        if told.is_counted() {
            told.field("/client/account/payload_bytes", 26)
                .unknown("/close/gap_bytes");
        }
    }
}

#[test]
fn case_56_frames_cut_short_or_lying_are_counted_by_reason() {
    type Lie = fn(&mut Vec<u8>);
    let lies: [(Reject, Lie); 7] = [
        (Reject::TruncatedLink, |octets| octets.truncate(13)),
        (Reject::TruncatedNetwork, |octets| octets.truncate(14 + 9)),
        (Reject::BadIpVersion, |octets| patch(octets, 14, &[0x65])),
        (Reject::BadIpHeaderLength, |octets| {
            patch(octets, 14, &[0x44])
        }),
        (Reject::BadIpLength, |octets| patch(octets, 14 + 2, &[0xff])),
        (Reject::TruncatedTransport, |octets| {
            patch(octets, 14 + 2, &[0, 39]);
        }),
        (Reject::BadDataOffset, |octets| {
            patch(octets, 14 + 20 + 12, &[0x40]);
        }),
    ];
    for mode in MODES {
        for (reject, lie) in lies {
            // A frame that is left out of the analysis changes nothing.
            let mut seen = sightings(&whole());
            let mut lying = seen[4].clone();
            lie(&mut lying.octets);
            seen.insert(4, lying);
            let story = story(&seen, mode);
            assert_eq!(story.counters[reject.index()], 1, "{reject:?}");
            assert_eq!(story.counters[Counter::Segments.index()], 11);
            one(story.told)
                .field("/close/kind", "four_way")
                .field("/client/bytes", 26)
                .odd(&[]);
        }
    }
}
