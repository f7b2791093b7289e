//! Frames and where their TCP header is found, or why not.

mod tunnels;

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::octets::Captured;
use crate::segment::{Address, Flags, MAX_OPTIONS, Tunnel};
use crate::seq::Seq;

const SYN: [u8; 24] = [
    0xcb, 0xb0, 0x00, 0x15, 0, 0, 0, 9, 0, 0, 0, 0, 0x60, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5,
    0xb4,
];

fn ethernet(tags: &[u16], ether_type: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend([0x81, 0x00]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(ether_type.to_be_bytes());
    frame.extend(packet);
    frame
}

/// A packet with `options` words of IP options and this fragment field.
fn ipv4(options: u8, fragment: u16, segment: &[u8]) -> Vec<u8> {
    let header_len = 20 + usize::from(options) * 4;
    let total = u16::try_from(header_len + segment.len()).unwrap();
    let mut packet = vec![0x45 + options, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, 6, 0, 0, 10, 1, 1, 2, 10, 1, 1, 1]);
    packet.resize(header_len, 1);
    packet.extend(segment);
    packet
}

/// A packet whose extension headers are given as (type, length field, third and fourth octet).
fn ipv6(extensions: &[(u8, u8, u16)], segment: &[u8]) -> Vec<u8> {
    let types = extensions.iter().map(|(kind, ..)| *kind).chain([6]);
    let mut body = Vec::new();
    for ((kind, len, field), next) in extensions.iter().zip(types.clone().skip(1)) {
        let octets = match kind {
            44 => 8,
            51 => (usize::from(*len) + 2) * 4,
            _ => (usize::from(*len) + 1) * 8,
        };
        let start = body.len();
        body.extend([next, *len]);
        body.extend(field.to_be_bytes());
        body.resize(start + octets, 0);
    }
    body.extend(segment);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    packet.push(types.clone().next().unwrap());
    packet.push(64);
    packet.extend([0xfd; 16]);
    packet.extend([0xfe; 16]);
    packet.extend(body);
    packet
}

/// Through all tunnels.
fn look<F: Octets + ?Sized>(
    frame: &F,
    link: Link,
    scope: Scope,
) -> Result<Option<Located>, Reject> {
    locate(frame, link, scope, &Tunnels::ON, |words| words)
}

fn found(frame: &[u8]) -> Located {
    look(frame, Link::Ethernet, Scope::default())
        .unwrap()
        .unwrap()
}

fn refused(frame: &[u8]) -> Reject {
    look(frame, Link::Ethernet, Scope::default()).unwrap_err()
}

/// The number of octets of options, and their place as it is after the copy.
fn copied_options<F: Octets + ?Sized>(located: &Located, frame: &F) -> (u8, [u8; MAX_OPTIONS]) {
    let mut options = [0; MAX_OPTIONS];
    let len = located.copy_options(frame, |index, octets| {
        options[8 * index..8 * index + 8].copy_from_slice(&octets.to_ne_bytes());
    });
    (len, options)
}

#[test]
fn a_syn_over_ipv4_with_its_numbers_and_options() {
    let frame = ethernet(&[], 0x0800, &ipv4(0, 0, &SYN));
    let located = found(&frame);
    let segment = located.segment(frame.as_slice()).unwrap();
    assert_eq!(segment.seq, Seq(9));
    assert_eq!(segment.flags, Flags::SYN);
    assert_eq!((segment.window, segment.len), (64240, 0));
    let [source, destination] = located.endpoints(frame.as_slice()).unwrap();
    assert_eq!(
        (source.address, source.port),
        (Address::v4([10, 1, 1, 2]), 52144)
    );
    assert_eq!(
        (destination.address, destination.port),
        (Address::v4([10, 1, 1, 1]), 21)
    );
    let (len, options) = copied_options(&located, frame.as_slice());
    assert_eq!((len, located.options_len), (4, 4));
    assert_eq!(options[..5], [2, 4, 5, 0xb4, 0]);
}

#[test]
fn of_options_that_a_capture_cuts_the_whole_ones_are_copied() {
    let options = [&[2, 4, 5, 0xb4, 4, 2, 8, 10][..], &[7; 8], &[1, 3, 3, 10]].concat();
    let mut syn = [&SYN[..20], &options].concat();
    syn[12] = 10 << 4;
    let frame = ethernet(&[], 0x0800, &ipv4(0, 0, &syn));
    let located = found(&frame);
    let begin = frame.len() - options.len();
    for (kept, whole) in [
        (0, 0),
        (3, 0),
        (4, 4),
        (5, 4),
        (6, 6),
        (15, 6),
        (16, 16),
        (17, 17),
        (19, 17),
        (20, 20),
    ] {
        let cut = Captured {
            octets: &frame[..begin + kept],
            wire_len: frame.len(),
        };
        let (len, copied) = copied_options(&located, &cut);
        assert_eq!(usize::from(len), whole, "{kept}");
        assert_eq!(copied[..whole], options[..whole]);
    }
}

#[test]
fn ip_options_are_stepped_over_and_padding_is_no_payload() {
    let mut frame = ethernet(&[], 0x0800, &ipv4(10, 0, &SYN));
    frame.extend([0; 6]);
    let located = found(&frame);
    assert_eq!(located.len, 0);
    assert_eq!(located.segment(frame.as_slice()).unwrap().seq, Seq(9));
}

#[test]
fn payload_counts_from_the_header_to_the_end_of_the_packet() {
    let segment = [&SYN[..], &[7; 100]].concat();
    assert_eq!(
        found(&ethernet(&[], 0x0800, &ipv4(0, 0, &segment))).len,
        100
    );
    assert_eq!(found(&ethernet(&[], 0x86dd, &ipv6(&[], &segment))).len, 100);
}

#[test]
fn two_tags_make_the_scope_and_a_third_is_refused() {
    let packet = ipv4(0, 0, &SYN);
    let scope = found(&ethernet(&[7, 0x2fff], 0x0800, &packet)).scope;
    assert!(scope.vlans().eq([7, 0xfff]));
    let three = ethernet(&[1, 2, 3], 0x0800, &packet);
    assert_eq!(refused(&three), Reject::TooManyVlanTags);
}

#[test]
fn a_tag_that_the_device_took_off_is_the_outer_one() {
    let frame = ethernet(&[8], 0x0800, &ipv4(0, 0, &SYN));
    let located = look(frame.as_slice(), Link::Ethernet, Scope::default().tagged(7));
    assert!(located.unwrap().unwrap().scope.vlans().eq([7, 8]));
    let frame = ethernet(&[8, 9], 0x0800, &ipv4(0, 0, &SYN));
    let refused = look(frame.as_slice(), Link::Ethernet, Scope::default().tagged(7));
    assert_eq!(refused.unwrap_err(), Reject::TooManyVlanTags);
}

#[test]
fn six_extension_headers_are_followed_and_a_seventh_is_not() {
    let six = [
        (0, 1, 0),
        (60, 0, 0),
        (43, 2, 0),
        (44, 0, 0),
        (51, 4, 0),
        (135, 0, 0),
    ];
    let frame = ethernet(&[], 0x86dd, &ipv6(&six, &SYN));
    assert_eq!(found(&frame).segment(frame.as_slice()).unwrap().seq, Seq(9));
    let seven = [&six[..], &[(60, 0, 0)]].concat();
    let frame = ethernet(&[], 0x86dd, &ipv6(&seven, &SYN));
    assert_eq!(refused(&frame), Reject::TooManyExtensions);
}

#[test]
fn later_fragments_carry_no_ports_and_first_ones_may_be_too_short() {
    let first = ethernet(&[], 0x0800, &ipv4(0, 0x2000, &SYN));
    assert_eq!(found(&first).len, 0);
    let later = ethernet(&[], 0x0800, &ipv4(0, 1, &SYN));
    assert_eq!(refused(&later), Reject::LaterFragment);
    let tiny = ethernet(&[], 0x0800, &ipv4(0, 0x2000, &SYN[..8]));
    assert_eq!(refused(&tiny), Reject::TinyFragment);
    let later = ethernet(&[], 0x86dd, &ipv6(&[(44, 0, 8)], &SYN));
    assert_eq!(refused(&later), Reject::LaterFragment);
    let tiny = ethernet(&[], 0x86dd, &ipv6(&[(44, 0, 1)], &SYN[..8]));
    assert_eq!(refused(&tiny), Reject::TinyFragment);
}

#[test]
fn a_length_of_zero_is_a_super_segment_as_long_as_the_buffer() {
    let segment = [&SYN[..], &[7; 100]].concat();
    for (ether_type, mut packet, field) in [
        (0x0800, ipv4(0, 0, &segment), 2),
        (0x86dd, ipv6(&[], &segment), 4),
    ] {
        packet[field..field + 2].fill(0);
        assert_eq!(found(&ethernet(&[], ether_type, &packet)).len, 100);
    }
}

#[test]
fn headers_that_lie_are_refused_by_name() {
    let patched = |ether_type, mut packet: Vec<u8>, offset: usize, octet| {
        packet[offset] = octet;
        refused(&ethernet(&[], ether_type, &packet))
    };
    let (v4, v6) = (ipv4(0, 0, &SYN), ipv6(&[], &SYN));
    assert_eq!(patched(0x0800, v4.clone(), 0, 0x65), Reject::BadIpVersion);
    assert_eq!(patched(0x86dd, v6.clone(), 0, 0x45), Reject::BadIpVersion);
    assert_eq!(
        patched(0x0800, v4.clone(), 0, 0x44),
        Reject::BadIpHeaderLength
    );
    assert_eq!(patched(0x0800, v4.clone(), 3, 19), Reject::BadIpLength);
    assert_eq!(patched(0x0800, v4.clone(), 2, 1), Reject::BadIpLength);
    assert_eq!(patched(0x86dd, v6.clone(), 4, 1), Reject::BadIpLength);
    assert_eq!(
        patched(0x0800, v4.clone(), 3, 39),
        Reject::TruncatedTransport
    );
    assert_eq!(
        patched(0x0800, v4.clone(), 20 + 12, 0x40),
        Reject::BadDataOffset
    );
    assert_eq!(patched(0x0800, v4, 20 + 12, 0x70), Reject::BadDataOffset);
}

#[test]
fn other_protocols_are_no_rejects() {
    let mut udp = ipv4(0, 0, &SYN);
    udp[9] = 17;
    for frame in [
        ethernet(&[], 0x0806, &[0; 28]),
        ethernet(&[], 0x0800, &udp),
        ethernet(&[], 0x86dd, &ipv6(&[(59, 0, 0)], &SYN)),
        ethernet(&[], 0x86dd, &ipv6(&[(50, 0, 0)], &SYN)),
    ] {
        assert!(
            look(frame.as_slice(), Link::Ethernet, Scope::default())
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn every_truncation_is_refused_as_truncated_or_as_a_lie() {
    let tagged = ethernet(&[1, 2], 0x0800, &ipv4(2, 0, &SYN));
    let extended = ethernet(&[], 0x86dd, &ipv6(&[(0, 0, 0), (44, 0, 0)], &SYN));
    for frame in [tagged, extended] {
        for len in 0..frame.len() {
            let reject = refused(&frame[..len]);
            assert!(
                reject.truncated() || reject == Reject::BadIpLength,
                "{len}: {reject:?}"
            );
        }
    }
}

#[test]
fn a_short_snap_length_is_no_lie_about_the_length() {
    let segment = [&SYN[..], &[7; 100]].concat();
    let frame = ethernet(&[], 0x0800, &ipv4(0, 0, &segment));
    let cut = Captured {
        octets: &frame[..60],
        wire_len: frame.len(),
    };
    assert_eq!(
        look(&cut, Link::Ethernet, Scope::default())
            .unwrap()
            .unwrap()
            .len,
        100
    );
}

#[test]
fn both_directions_have_one_hash_and_other_ports_another() {
    let turned = |frame: &[u8], addresses: usize, address_len: usize, tcp: usize| {
        let mut turned = frame.to_vec();
        let (source, destination) = (addresses, addresses + address_len);
        turned[source..destination].copy_from_slice(&frame[destination..destination + address_len]);
        turned[destination..destination + address_len].copy_from_slice(&frame[source..destination]);
        turned[tcp..tcp + 2].copy_from_slice(&frame[tcp + 2..tcp + 4]);
        turned[tcp + 2..tcp + 4].copy_from_slice(&frame[tcp..tcp + 2]);
        turned
    };
    let hash = |frame: &[u8]| found(frame).hash(frame).unwrap();
    let v4 = ethernet(&[], 0x0800, &ipv4(0, 0, &SYN));
    assert_eq!(hash(&v4), hash(&turned(&v4, 26, 4, 34)));
    let v6 = ethernet(&[], 0x86dd, &ipv6(&[], &SYN));
    assert_eq!(hash(&v6), hash(&turned(&v6, 22, 16, 54)));
    let mut other = v4.clone();
    other[35] ^= 1;
    assert_ne!(hash(&v4), hash(&other));
}

#[test]
fn what_is_packed_comes_out_again() {
    let v4 = ethernet(&[7, 9], 0x0800, &ipv4(3, 0, &SYN));
    let v6 = ethernet(&[], 0x86dd, &ipv6(&[(0, 255, 0), (44, 0, 0)], &SYN));
    for frame in [v4, v6] {
        let located = found(&frame);
        assert_eq!(Located::unpack(located.pack()), located);
    }
}

/// A header of each link type in front of a packet of this version.
fn linked(version: Version, packet: &[u8]) -> Vec<(Link, Vec<u8>)> {
    let v4 = version == Version::V4;
    let (ether_type, protocol) = if v4 {
        ([8, 0], [0, 0x21])
    } else {
        ([0x86, 0xdd], [0, 0x57])
    };
    let mut cooked = vec![7; 14];
    cooked.extend(ether_type);
    let mut cooked_2 = ether_type.to_vec();
    cooked_2.resize(20, 7);
    let families: &[u8] = if v4 { &[2] } else { &[10, 24, 28, 30] };
    let pppoe = [&[0x11, 0, 0x12, 0x34, 0, 99][..], &protocol].concat();
    let mut heads = vec![
        (Link::Ethernet, [&[2; 12][..], &ether_type].concat()),
        (Link::Cooked, cooked),
        (Link::Cooked2, cooked_2),
        (Link::Ip, Vec::new()),
        (Link::Ppp, protocol.to_vec()),
        (Link::Ppp, vec![protocol[1]]),
        (Link::Ppp, [&[0xff, 0x03][..], &protocol].concat()),
        (Link::Ppp, vec![0xff, 0x03, protocol[1]]),
        (Link::Pppoe, pppoe),
    ];
    for family in families {
        heads.push((Link::Null, vec![*family, 0, 0, 0]));
        heads.push((Link::Null, vec![0, 0, 0, *family]));
        heads.push((Link::Loop, vec![0, 0, 0, *family]));
    }
    let frames = heads.into_iter();
    frames
        .map(|(link, head)| (link, [&head, packet].concat()))
        .collect()
}

#[test]
fn every_link_type_leads_to_the_segment_and_every_truncation_is_refused() {
    for (version, packet) in [
        (Version::V4, ipv4(1, 0, &SYN)),
        (Version::V6, ipv6(&[(0, 0, 0)], &SYN)),
    ] {
        for (link, frame) in linked(version, &packet) {
            let located = look(frame.as_slice(), link, Scope::default());
            let located = located.unwrap().unwrap();
            assert_eq!(located.version, version, "{link:?}");
            let segment = located.segment(frame.as_slice()).unwrap();
            assert_eq!((segment.seq, segment.len), (Seq(9), 0), "{link:?}");
            let session = (link == Link::Pppoe).then_some((Tunnel::Pppoe, 0x1234));
            assert_eq!(located.scope.tunnel(), session);
            for len in 0..frame.len() {
                let reject = look(&frame[..len], link, Scope::default()).unwrap_err();
                assert!(
                    reject.truncated() || reject == Reject::BadIpLength,
                    "{link:?}, {len}: {reject:?}"
                );
            }
        }
    }
}

#[test]
fn cooked_frames_may_carry_tags() {
    let packet = [&[0x20, 7, 8, 0][..], &ipv4(0, 0, &SYN)].concat();
    let head = |len: usize, at: usize| {
        let mut head = vec![0; len];
        head[at..at + 2].copy_from_slice(&[0x81, 0]);
        [&head, &packet[..]].concat()
    };
    for (link, frame) in [(Link::Cooked, head(16, 14)), (Link::Cooked2, head(20, 0))] {
        let located = look(frame.as_slice(), link, Scope::default());
        assert!(located.unwrap().unwrap().scope.vlans().eq([7]));
    }
}

#[test]
fn what_a_link_carries_beside_ip_is_not_tcp() {
    for (link, head) in [
        (Link::Cooked, &[0; 14][..]),
        (Link::Cooked2, &[0x08, 0x06][..]),
        (Link::Null, &[0, 0, 0, 7]),
        (Link::Null, &[7, 0, 0, 0]),
        (Link::Loop, &[2, 0, 0, 0]),
        (Link::Ppp, &[0xc0, 0x21]),
        (Link::Pppoe, &[0x11, 0x09, 0, 0, 0, 0]),
        (Link::Pppoe, &[0x11, 0, 0, 7, 0, 9, 0xc0, 0x21]),
    ] {
        let frame = [head, &ipv4(0, 0, &SYN)].concat();
        let located = look(frame.as_slice(), link, Scope::default());
        assert_eq!(located, Ok(None), "{link:?}");
    }
    let frame = [0x50; 40];
    assert_eq!(
        look(frame.as_slice(), Link::Ip, Scope::default()),
        Err(Reject::BadIpVersion)
    );
}

proptest! {
    /// No octets make the parser panic, and what it finds lies inside the frame.
    #[test]
    fn any_octets_are_located_or_refused(
        ether_type in prop_oneof![Just(0x0800_u16), Just(0x86dd), Just(0x8100), any::<u16>()],
        packet in proptest::collection::vec(any::<u8>(), 0..200),
        version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(6_u8), Just(0), Just(44), Just(60), any::<u8>()],
    ) {
        let mut packet = packet;
        for (place, octet) in [(0, version), (6, protocol), (9, protocol)] {
            if let Some(at) = packet.get_mut(place) {
                *at = octet;
            }
        }
        let frame = ethernet(&[], ether_type, &packet);
        if let Ok(Some(located)) = look(frame.as_slice(), Link::Ethernet, Scope::default()) {
            prop_assert!(located.len as usize <= frame.len());
            prop_assert!(located.segment(frame.as_slice()).is_ok());
            prop_assert!(located.endpoints(frame.as_slice()).is_ok());
            prop_assert!(located.hash(frame.as_slice()).is_ok());
            let (len, _) = copied_options(&located, frame.as_slice());
            prop_assert_eq!(len, located.options_len);
        }
        // The short way finds the same, where it finds something.
        for (link, octets) in [(Link::Ethernet, &frame), (Link::Ip, &packet)] {
            let (octets, scope, off) = (octets.as_slice(), Scope::default(), &Tunnels::OFF);
            let short = plain(octets, link, scope, off);
            let long = locate(octets, link, scope, off, |words| words);
            match short {
                Plain::Tcp(located) => prop_assert_eq!(long, Ok(Some(located))),
                Plain::NotTcp => prop_assert_eq!(long, Ok(None)),
                Plain::Other => {}
            }
        }
    }
    /// The same behind every link type.
    #[test]
    fn any_octets_behind_any_link_are_located_or_refused(
        link in prop_oneof![
            Just(Link::Ethernet),
            Just(Link::Cooked),
            Just(Link::Cooked2),
            Just(Link::Ip),
            Just(Link::Null),
            Just(Link::Loop),
            Just(Link::Ppp),
            Just(Link::Pppoe),
        ],
        octets in proptest::collection::vec(any::<u8>(), 0..120),
        wire_len in 0..200_usize,
    ) {
        let wire_len = wire_len.max(octets.len());
        let frame = Captured { octets: &octets, wire_len };
        if let Ok(Some(located)) = look(&frame, link, Scope::default()) {
            prop_assert!(located.len as usize <= wire_len);
        }
    }
}
