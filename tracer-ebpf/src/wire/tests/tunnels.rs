//! TCP inside of tunnels, by every way in and cut at every place.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What begins with this EtherType.
type Typed = (u16, Vec<u8>);

/// What a test puts around a packet.
type Around = fn(Typed) -> Typed;

fn v4_with(protocol: u8, payload: &[u8]) -> Typed {
    let mut packet = ipv4(1, 0, payload);
    packet[9] = protocol;
    packet[16..20].copy_from_slice(&[192, 0, 2, 1]);
    packet[12..16].copy_from_slice(&[192, 0, 2, 9]);
    (0x0800, packet)
}

fn v6_with(protocol: u8, payload: &[u8]) -> Typed {
    let mut packet = ipv6(&[(60, 0, 0)], payload);
    packet[40] = protocol;
    (0x86dd, packet)
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xc0, 1][..], &port.to_be_bytes(), &[0; 4], payload].concat()
}

fn framed((ether_type, packet): Typed) -> Vec<u8> {
    ethernet(&[], ether_type, &packet)
}

fn vxlan(port: u16, inner: Typed) -> Vec<u8> {
    let head = [8, 0, 0, 0, 0x12, 0x34, 0x56, 0xff];
    udp(port, &[&head[..], &framed(inner)].concat())
}

fn geneve(words: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut head = vec![words, 0x40];
    head.extend(ether_type.to_be_bytes());
    head.extend([0x65, 0x43, 0x21, 0]);
    head.resize(8 + 4 * usize::from(words), 9);
    udp(6081, &[&head, payload].concat())
}

fn gre(flags: u16, fields: &[u8], (ether_type, payload): Typed) -> Vec<u8> {
    let head = [flags.to_be_bytes(), ether_type.to_be_bytes()].concat();
    [&head, fields, &payload].concat()
}

fn ip_protocol(ether_type: u16) -> u8 {
    match ether_type {
        0x0800 => 4,
        0x86dd => 41,
        _ => 137,
    }
}

fn mpls((_, packet): Typed) -> Typed {
    let labels = [0, 0, 0x10, 64, 0, 0, 0x20, 64, 0, 0, 0x31, 64];
    (0x8847, [&labels[..], &packet].concat())
}

fn pppoe((ether_type, packet): Typed) -> Typed {
    let protocol = match ether_type {
        0x0800 => 0x21,
        0x86dd => 0x57,
        _ => 0x81,
    };
    let high = u8::from(protocol == 0x81) * 2;
    let head = [0x11, 0, 0x0a, 0x0b, 0, 0, high, protocol];
    (0x8864, [&head[..], &packet].concat())
}

/// Every way in, and the tunnel that comes of it; a hash stands for itself as zero.
const WAYS: [(Around, Option<(Tunnel, u32)>); 22] = [
    (mpls, None),
    (pppoe, Some((Tunnel::Pppoe, 0x0a0b))),
    (|inner| pppoe(mpls(inner)), Some((Tunnel::Pppoe, 0x0a0b))),
    (
        |inner| v4_with(17, &vxlan(4789, inner)),
        Some((Tunnel::Vxlan, 0x12_3456)),
    ),
    (
        |inner| v6_with(17, &vxlan(8472, inner)),
        Some((Tunnel::Vxlan, 0x12_3456)),
    ),
    (
        |inner| v4_with(17, &geneve(0, 0x6558, &framed(inner))),
        Some((Tunnel::Geneve, 0x65_4321)),
    ),
    (
        |inner| v6_with(17, &geneve(3, 0x6558, &framed(inner))),
        Some((Tunnel::Geneve, 0x65_4321)),
    ),
    (
        |(ether_type, packet)| v4_with(17, &geneve(63, ether_type, &packet)),
        Some((Tunnel::Geneve, 0x65_4321)),
    ),
    (
        |inner| v4_with(47, &gre(0, &[], inner)),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |inner| v6_with(47, &gre(0x8000, &[1; 4], inner)),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |inner| v4_with(47, &gre(0x2000, &[0, 0, 7, 7], inner)),
        Some((Tunnel::Gre, 0x707)),
    ),
    (
        |inner| v4_with(47, &gre(0x1000, &[1; 4], inner)),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |inner| {
            let fields = [1, 1, 0, 0, 0, 0, 7, 7, 1, 1, 1, 1];
            v6_with(47, &gre(0xb000, &fields, inner))
        },
        Some((Tunnel::Gre, 0x707)),
    ),
    (
        |inner| v4_with(47, &gre(0, &[], (0x6558, framed(inner)))),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |inner| v6_with(47, &gre(0, &[], mpls(inner))),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |(ether_type, packet)| v4_with(ip_protocol(ether_type), &packet),
        Some((Tunnel::IpInIp, 0)),
    ),
    (
        |(ether_type, packet)| v6_with(ip_protocol(ether_type), &packet),
        Some((Tunnel::IpInIp, 0)),
    ),
    (
        |inner| v4_with(137, &mpls(inner).1),
        Some((Tunnel::IpInIp, 0)),
    ),
    (
        |inner| mpls(v4_with(47, &gre(0, &[], mpls(inner)))),
        Some((Tunnel::Gre, 0)),
    ),
    (
        |inner| {
            let tagged = [&[0x60, 5][..], &inner.0.to_be_bytes(), &inner.1].concat();
            v4_with(17, &vxlan(4789, (0x8100, tagged)))
        },
        Some((Tunnel::Vxlan, 0x12_3456)),
    ),
    (
        |inner| pppoe(v4_with(41, &v6_with(17, &vxlan(4789, inner)).1)),
        Some((Tunnel::Vxlan, 0x12_3456)),
    ),
    (
        |inner| v4_with(17, &vxlan(4789, pppoe(inner))),
        Some((Tunnel::Pppoe, 0x0a0b)),
    ),
];

fn inner(version: Version) -> Typed {
    match version {
        Version::V4 => (0x0800, ipv4(2, 0, &SYN)),
        Version::V6 => (0x86dd, ipv6(&[(0, 0, 0), (44, 0, 0)], &SYN)),
    }
}

/// Frames of all ways with both versions inside, and what is expected.
fn frames() -> impl Iterator<Item = (Vec<u8>, Version, Option<(Tunnel, u32)>)> {
    WAYS.into_iter().flat_map(|(around, tunnel)| {
        [Version::V4, Version::V6].map(|version| (framed(around(inner(version))), version, tunnel))
    })
}

fn through(frame: &[u8]) -> Result<Option<Located>, Reject> {
    let tunnels = Tunnels::with_vxlan_ports(&[8472]).unwrap();
    locate(frame, Link::Ethernet, Scope::default(), &tunnels, |words| {
        words
    })
}

#[test]
fn every_way_in_leads_to_the_inner_segment_and_its_scope() {
    for (index, (frame, version, tunnel)) in frames().enumerate() {
        let located = through(&frame).unwrap();
        let located = located.unwrap_or_else(|| panic!("nothing found in way {}", index / 2));
        assert_eq!(located.version, version, "{index}");
        let segment = located.segment(frame.as_slice()).unwrap();
        assert_eq!((segment.seq, segment.len), (Seq(9), 0), "{index}");
        let [source, _] = located.endpoints(frame.as_slice()).unwrap();
        assert_eq!(source.port, 52144, "{index}");
        let found = located.scope.tunnel();
        match tunnel {
            Some((kind, 0)) => assert_eq!(found.map(|(kind, _)| kind), Some(kind), "{index}"),
            tunnel => assert_eq!(found, tunnel, "{index}"),
        }
        assert_eq!(Located::unpack(located.pack()), located);
    }
}

#[test]
fn where_tunnels_are_off_nothing_in_them_is_tcp() {
    for (frame, ..) in frames() {
        let located = locate(
            frame.as_slice(),
            Link::Ethernet,
            Scope::default(),
            &Tunnels::OFF,
            |_| panic!("the short way forgets nothing"),
        );
        assert_eq!(located, Ok(None));
    }
}

#[test]
fn every_truncation_is_refused() {
    for (index, (frame, ..)) in frames().enumerate() {
        for len in 0..frame.len() {
            match through(&frame[..len]) {
                Ok(None) | Err(_) => {}
                Ok(Some(_)) => panic!("way {}, {len} octets", index / 2),
            }
        }
    }
}

#[test]
fn a_capture_that_ends_early_knows_it() {
    for (index, (frame, ..)) in frames().enumerate() {
        for len in 0..frame.len() {
            let cut = Captured {
                octets: &frame[..len],
                wire_len: frame.len(),
            };
            match look(&cut, Link::Ethernet, Scope::default()) {
                // The port that is VXLAN's by option is not by default.
                Ok(None) => {}
                Err(reject) => assert!(reject.truncated(), "{index}, {len}: {reject:?}"),
                // The data offset is there, and perhaps not all that follows.
                Ok(Some(located)) => match located.segment(&cut) {
                    Ok(segment) => assert_eq!(segment.seq, Seq(9), "{index}, {len}"),
                    Err(reject) => assert!(reject.truncated(), "{index}, {len}: {reject:?}"),
                },
            }
        }
    }
}

#[test]
fn the_ends_of_the_innermost_tunnel_between_addresses_are_told() {
    let outer = |frame: &[u8]| through(frame).unwrap().unwrap().outer(frame);
    let v4 = Some([Address::v4([192, 0, 2, 9]), Address::v4([192, 0, 2, 1])]);
    let v6 = Some([Address::v6([0xfd; 16]), Address::v6([0xfe; 16])]);
    let syn = || inner(Version::V4);
    assert_eq!(outer(&framed(syn())), None);
    assert_eq!(outer(&framed(mpls(syn()))), None);
    assert_eq!(outer(&framed(pppoe(syn()))), None);
    let in_v4 = v4_with(17, &vxlan(4789, pppoe(syn())));
    assert_eq!(outer(&framed(in_v4.clone())), v4);
    assert_eq!(outer(&framed(v6_with(4, &in_v4.1))), v4);
    let in_v6 = v6_with(47, &gre(0, &[], mpls(syn())));
    assert_eq!(outer(&framed(v4_with(41, &in_v6.1))), v6);
}

#[test]
fn both_directions_of_a_tunnel_without_identifier_have_one_scope() {
    let scope = |turned: bool, ends: [u8; 2]| {
        let mut packet = v4_with(4, &inner(Version::V4).1);
        for (at, end) in [12, 16].into_iter().zip(ends) {
            packet.1[at..at + 4].copy_from_slice(&[10, 0, 0, end]);
        }
        if turned {
            let (source, destination) = packet.1[12..20].split_at_mut(4);
            source.swap_with_slice(destination);
        }
        through(&framed(packet)).unwrap().unwrap().scope
    };
    assert_eq!(scope(false, [1, 2]), scope(true, [1, 2]));
    assert_ne!(scope(false, [1, 2]), scope(false, [1, 3]));
}

#[test]
fn tags_inside_and_outside_are_two_in_all() {
    let tagged = |(ether_type, packet): Typed, id: u8| -> Typed {
        let head = [&[0, id][..], &ether_type.to_be_bytes()].concat();
        (0x8100, [head, packet].concat())
    };
    let syn = || inner(Version::V4);
    let one = v4_with(17, &vxlan(4789, tagged(syn(), 6)));
    let located = through(&framed(tagged(one.clone(), 5))).unwrap().unwrap();
    assert!(located.scope.vlans().eq([5, 6]));
    assert_eq!(located.scope.tunnel(), Some((Tunnel::Vxlan, 0x12_3456)));
    assert_eq!(
        through(&framed(tagged(tagged(one, 5), 4))),
        Err(Reject::TooManyVlanTags)
    );
}

#[test]
fn three_tunnels_one_inside_the_other_are_gone_into_and_a_fourth_is_not() {
    let nested = |depth: usize| {
        let ways = [4, 0, 1].iter().cycle().take(depth);
        ways.fold(inner(Version::V6), |inner, way| match way {
            4 => v4_with(ip_protocol(inner.0), &inner.1),
            0 => v6_with(47, &gre(0, &[], inner)),
            _ => v4_with(17, &vxlan(4789, inner)),
        })
    };
    assert!(through(&framed(nested(3))).unwrap().is_some());
    assert_eq!(through(&framed(nested(4))), Err(Reject::TunnelTooDeep));
}

#[test]
fn a_stack_of_labels_without_end_is_left() {
    let labels = [0, 0, 0x10, 64].repeat(100);
    assert_eq!(
        through(&ethernet(&[], 0x8847, &labels)),
        Err(Reject::TunnelTooDeep)
    );
}

#[test]
fn tunnels_that_are_none_are_refused_by_name() {
    let syn = || inner(Version::V4);
    let patched = |(ether_type, mut packet): Typed, at: usize, octet: u8| {
        packet[at] = octet;
        through(&ethernet(&[], ether_type, &packet))
    };
    // Behind an IPv4 header with one word of options, and the UDP header.
    let (carried, behind_udp) = (24, 32);
    let vxlan = v4_with(17, &vxlan(4789, syn()));
    assert_eq!(patched(vxlan, behind_udp, 0), Err(Reject::BadTunnel));
    let geneve = v4_with(17, &geneve(0, 0x0800, &syn().1));
    assert_eq!(patched(geneve, behind_udp, 0x40), Err(Reject::BadTunnel));
    let plain = || v4_with(47, &gre(0, &[], syn()));
    assert_eq!(patched(plain(), carried + 1, 1), Err(Reject::BadTunnel));
    assert_eq!(patched(plain(), carried, 0x40), Err(Reject::BadTunnel));
    assert_eq!(patched(pppoe(syn()), 0, 0x12), Err(Reject::BadTunnel));
    assert_eq!(patched(pppoe(syn()), 1, 9), Ok(None));
}

#[test]
fn a_tunnel_header_is_not_read_from_behind_its_packet() {
    for (ether_type, packet, end) in [
        (0x0800, v4_with(17, &vxlan(4789, inner(Version::V4))).1, 39),
        (
            0x0800,
            v4_with(47, &gre(0x2000, &[0; 4], inner(Version::V4))).1,
            31,
        ),
    ] {
        let mut packet = packet;
        packet[2..4].copy_from_slice(&u16::to_be_bytes(end));
        assert_eq!(
            through(&ethernet(&[], ether_type, &packet)),
            Err(Reject::TruncatedTunnel)
        );
    }
}

#[test]
fn what_else_a_tunnel_may_carry_is_not_tcp() {
    for frame in [
        // A pseudo-wire: no version of IP behind the last label.
        ethernet(&[], 0x8847, &[0, 0, 0x11, 64, 0, 0, 0, 0]),
        framed(v4_with(17, &udp(53, &[0; 40]))),
        framed(v4_with(17, &vxlan(4789, (0x0806, vec![0; 28])))),
        framed(v4_with(17, &vxlan(4789, (0x0011, vec![0; 28])))),
        framed(v4_with(17, &geneve(0, 0x22f3, &[0; 40]))),
        framed(v4_with(47, &gre(0, &[], (0x88be, vec![0; 40])))),
        framed(v4_with(4, &v4_with(1, &[0; 40]).1)),
        framed(v6_with(41, &v6_with(58, &[0; 40]).1)),
        // Link control of PPP.
        ethernet(&[], 0x8864, &[0x11, 0, 0, 1, 0, 2, 0xc0, 0x21]),
    ] {
        assert_eq!(through(&frame), Ok(None), "{frame:02x?}");
    }
}

#[test]
fn a_first_fragment_of_the_outer_packet_has_the_whole_length_inside() {
    let segment = [&SYN[..], &[7; 100]].concat();
    let (_, mut outer) = v4_with(47, &gre(0, &[], (0x0800, ipv4(0, 0, &segment))));
    outer[6] = 0x20;
    outer.truncate(outer.len() - 64);
    let total = u16::try_from(outer.len()).unwrap();
    outer[2..4].copy_from_slice(&total.to_be_bytes());
    let frame = ethernet(&[], 0x0800, &outer);
    assert_eq!(through(&frame).unwrap().unwrap().len, 100);
    outer[7] = 1;
    let later = ethernet(&[], 0x0800, &outer);
    assert_eq!(through(&later), Err(Reject::LaterFragment));
}

#[test]
fn a_pppoe_frame_may_begin_without_ethernet() {
    let (_, frame) = pppoe(v4_with(
        41,
        &v6_with(47, &gre(0, &[], inner(Version::V4))).1,
    ));
    let located = look(frame.as_slice(), Link::Pppoe, Scope::default()).unwrap();
    assert_eq!(located.unwrap().version, Version::V4);
    let (_, frame) = pppoe(v4_with(
        41,
        &v6_with(4, &v4_with(41, &inner(Version::V6).1).1).1,
    ));
    assert_eq!(
        look(frame.as_slice(), Link::Pppoe, Scope::default()),
        Err(Reject::TunnelTooDeep)
    );
}

proptest! {
    /// Whatever stands in a frame, it is located or refused, by any link type and through any tunnel.
    #[test]
    fn changed_frames_are_located_or_refused(
        way in 0..WAYS.len() * 2,
        link in prop_oneof![
            4 => Just(Link::Ethernet),
            1 => Just(Link::Cooked),
            1 => Just(Link::Cooked2),
            1 => Just(Link::Ip),
            1 => Just(Link::Null),
            1 => Just(Link::Loop),
            1 => Just(Link::Ppp),
            1 => Just(Link::Pppoe),
        ],
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in any::<prop::sample::Index>(),
        hidden in 0..40_usize,
    ) {
        let (mut frame, ..) = frames().nth(way).unwrap();
        for (at, octet) in changes {
            let at = at.index(frame.len());
            frame[at] = octet;
        }
        let len = frame.len() - cut.index(frame.len()) / 2;
        let frame = Captured { octets: &frame[..len], wire_len: len + hidden };
        if let Ok(Some(located)) = look(&frame, link, Scope::default()) {
            prop_assert_eq!(Located::unpack(located.pack()), located);
            let _ = located.outer(&frame);
            let _ = located.hash(&frame);
            let _ = located.segment(&frame);
            let _ = located.endpoints(&frame);
        }
    }

    /// The same from octets that nobody meant.
    #[test]
    fn any_octets_in_a_tunnel_are_located_or_refused(
        ether_type in prop_oneof![
            Just(0x0800_u16), Just(0x86dd), Just(0x8847), Just(0x8864), any::<u16>()
        ],
        protocol in prop_oneof![Just(17_u8), Just(47), Just(4), Just(41), Just(137)],
        octets in proptest::collection::vec(any::<u8>(), 0..300),
        port in prop_oneof![Just(4789_u16), Just(6081)],
    ) {
        let payload = if protocol == 17 { udp(port, &octets) } else { octets };
        for frame in [
            ethernet(&[], ether_type, &payload),
            framed(v4_with(protocol, &payload)),
            framed(v6_with(protocol, &payload)),
        ] {
            if let Ok(Some(located)) = look(frame.as_slice(), Link::Ethernet, Scope::default()) {
                prop_assert!(located.segment(frame.as_slice()).is_ok());
            }
        }
    }
}
