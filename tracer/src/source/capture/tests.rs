//! Every format in both orders and every resolution, damage at every octet, and any octets at all.

use std::io::Write as _;

use flate2::write::GzEncoder;
use proptest::prelude::*;
use synfin_ebpf::event::Direction;
use synfin_ebpf::wire::Link;

use super::CaptureError;
use super::fixtures::{
    Files, Seen, block, enhanced, interface, option, pcap, plain, read, record, section, u16s, u32s,
};
use super::record::Order;

const ORDERS: [Order; 2] = [Order::Little, Order::Big];
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in ORDERS {
        for (magic, ns) in [(MICROSECONDS, 2_000), (NANOSECONDS, 2)] {
            let file = [
                pcap(order, magic, (2, 4), 1),
                record(order, (1, 2), 7, 60, 60),
                record(order, (1, 3), 8, 40, 1_500),
            ];
            let all = read(&file.concat());
            let cut = Seen {
                len: 40,
                wire_len: 1_500,
                ..Seen::frame(8, 1_000_000_000 + ns / 2 * 3)
            };
            assert_eq!(all.packets, [Seen::frame(7, 1_000_000_000 + ns), cut]);
            assert!(all.warnings.is_empty(), "{:?}", all.warnings);
        }
    }
}

#[test]
fn old_versions_have_the_lengths_the_other_way_round() {
    for order in ORDERS {
        for (version, first, second) in [
            ((2, 2), 1_500, 60),
            ((2, 3), 1_500, 60),
            ((2, 3), 60, 1_500),
            ((2, 4), 60, 1_500),
        ] {
            let file = [
                pcap(order, MICROSECONDS, version, 1),
                u32s(order, &[1, 0, first, second]),
                vec![7; 60],
            ];
            let all = read(&file.concat());
            let seen = Seen {
                wire_len: 1_500,
                ..Seen::frame(7, 1_000_000_000)
            };
            assert_eq!(all.packets, [seen], "{version:?}");
        }
    }
}

#[test]
fn records_with_more_in_their_headers_are_read() {
    let order = Order::Little;
    let file = [
        pcap(order, 0xa1b2_cd34, (2, 4), 1),
        u32s(order, &[1, 0, 60, 60, 2, 0]),
        vec![7; 60],
    ];
    assert_eq!(
        read(&file.concat()).packets,
        [Seen::frame(7, 1_000_000_000)]
    );
}

#[test]
fn the_link_type_of_a_pcap_file_is_without_its_flags() {
    for (link_type, link) in [
        (113, Link::Cooked),
        (101, Link::Ip),
        (0x1400_0001, Link::Ethernet),
    ] {
        let order = Order::Little;
        let file = [
            pcap(order, MICROSECONDS, (2, 4), link_type),
            record(order, (0, 0), 0, 60, 60),
        ];
        assert_eq!(read(&file.concat()).packets[0].link, link);
    }
}

#[test]
fn pcapng_in_both_orders_with_every_kind_of_packet() {
    for order in ORDERS {
        let microseconds = 1_700_000_000_123_456;
        let (high, low) = (
            (microseconds >> 32) as u32,
            (microseconds & 0xffff_ffff) as u32,
        );
        let obsolete = [
            u16s(order, &[0, 9]),
            u32s(order, &[high, low, 60, 60]),
            vec![2; 60],
        ];
        let simple = [u32s(order, &[60]), vec![3; 60]];
        let file = [
            section(order),
            interface(order, 1, 0, &option(order, 2, b"eth7")),
            enhanced(order, 0, microseconds, (1, 60, 60), &[]),
            // Nobody knows it.
            block(order, 0x0bad, &[1, 2, 3, 4]),
            block(order, 2, &obsolete.concat()),
            block(order, 3, &simple.concat()),
        ];
        let all = read(&file.concat());
        // A simple packet has no time: it takes that of the one before.
        let time_ns = microseconds * 1_000;
        let seen = [1, 2, 3].map(|octet| Seen::frame(octet, time_ns));
        assert_eq!(all.packets, seen);
        assert_eq!(all.names, ["eth7"]);
        assert!(all.warnings.is_empty(), "{:?}", all.warnings);
    }
}

#[test]
fn every_interface_has_a_resolution_and_an_offset_of_its_own() {
    for order in ORDERS {
        let offset = |seconds: i64| match order {
            Order::Little => option(order, 14, &seconds.to_le_bytes()),
            Order::Big => option(order, 14, &seconds.to_be_bytes()),
        };
        let resolution = |value| option(order, 9, &[value]);
        let cases = [
            (Vec::new(), 5, 5_000),
            (resolution(0), 5, 5_000_000_000),
            (resolution(3), 5, 5_000_000),
            (resolution(9), 5, 5),
            (resolution(12), 5_999, 5),
            (resolution(0x80), 5, 5_000_000_000),
            (resolution(0x81), 5, 2_500_000_000),
            (resolution(0x8a), 1, 976_562),
            (resolution(0xff), u64::MAX, 0),
            ([resolution(9), offset(2)].concat(), 5, 2_000_000_005),
            ([resolution(0), offset(-2)].concat(), 5, 3_000_000_000),
            // Before the epoch, and past the end of what is told apart.
            ([resolution(9), offset(-2)].concat(), 5, 0),
            (offset(i64::MAX), 5, u64::MAX),
            (resolution(0), u64::MAX, u64::MAX),
        ];
        let mut file = section(order);
        for (options, ..) in &cases {
            file.extend(interface(order, 1, 0, options));
        }
        for (place, (_, time, _)) in (0..).zip(&cases) {
            file.extend(enhanced(order, place, *time, (1, 60, 60), &[]));
        }
        let all = read(&file);
        let times: Vec<_> = all.packets.iter().map(|seen| seen.time_ns).collect();
        let expected = cases.map(|(.., time_ns)| time_ns);
        assert_eq!(times, expected);
        let interfaces: Vec<_> = all.packets.iter().map(|seen| seen.interface).collect();
        assert!(interfaces.is_sorted_by(|a, b| a < b), "{interfaces:?}");
    }
}

#[test]
fn flags_tell_the_direction() {
    for order in ORDERS {
        let flags = |value| option(order, 2, &u32s(order, &[value]));
        let comment = option(order, 1, b"why not");
        let mut file = [section(order), interface(order, 1, 0, &[])].concat();
        for options in [
            flags(0b01),
            flags(0b10),
            [comment, flags(0b1_0110)].concat(),
            flags(0),
            vec![1],
        ] {
            file.extend(enhanced(order, 0, 5, (1, 60, 60), &options));
        }
        let all = read(&file);
        let directions: Vec<_> = all.packets.iter().map(|seen| seen.direction).collect();
        use Direction::{Egress, Ingress};
        assert_eq!(directions, [Ingress, Egress, Egress, Ingress, Ingress]);
    }
}

#[test]
fn the_snap_length_of_its_interface_cuts_a_simple_packet() {
    let order = Order::Little;
    let simple = [u32s(order, &[1_500]), vec![3; 50], vec![0; 2]];
    let file = [
        section(order),
        interface(order, 1, 50, &[]),
        block(order, 3, &simple.concat()),
    ];
    let seen = Seen {
        len: 50,
        wire_len: 1_500,
        ..Seen::frame(3, 0)
    };
    assert_eq!(read(&file.concat()).packets, [seen]);
}

#[test]
fn sections_follow_each_other_in_any_order() {
    let mut file = Vec::new();
    for (order, octet) in [(Order::Big, 1), (Order::Little, 2), (Order::Big, 3)] {
        file.extend(section(order));
        file.extend(interface(order, 1, 0, &[]));
        file.extend(enhanced(order, 0, 7, (octet, 60, 60), &[]));
    }
    let all = read(&file);
    let octets: Vec<_> = all.packets.iter().map(|seen| seen.octet).collect();
    assert_eq!(octets, [1, 2, 3]);
    assert_eq!(all.packets[2].interface, 2);
}

#[test]
fn an_interface_of_an_unknown_link_type_is_left_out_by_name() {
    let order = Order::Little;
    let file = [
        section(order),
        interface(order, 105, 0, &option(order, 2, b"wlan0")),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 1, (1, 60, 60), &[]),
        enhanced(order, 1, 2, (2, 60, 60), &[]),
        interface(order, 105, 0, &option(order, 2, b"wlan1")),
        enhanced(order, 0, 3, (3, 60, 60), &[]),
    ];
    let all = read(&file.concat());
    let octets: Vec<_> = all.packets.iter().map(|seen| seen.octet).collect();
    assert_eq!(octets, [2]);
    assert_eq!(all.unread, [("ieee802_11", 2)]);
    assert_eq!(all.warnings.len(), 1);
    assert!(all.warnings[0].contains("wlan0 have link type 105 (ieee802_11)"));
}

#[test]
fn files_are_merged_by_time_and_taken_in_their_own_order() {
    let a = plain(&[(1, 10), (2, 30), (3, 30), (4, 50)]);
    let b = plain(&[(5, 30), (6, 20), (7, 60)]);
    let c = plain(&[]);
    let files = Files::with(&[a, b, c]);
    let all = files.read().unwrap();
    let octets: Vec<_> = all.packets.iter().map(|seen| seen.octet).collect();
    // 6 is out of order in its file: it comes as soon as that file has nothing earlier.
    assert_eq!(octets, [1, 2, 3, 5, 6, 4, 7]);
    assert_eq!(all.names.len(), 3);
    let interfaces: Vec<_> = all.packets.iter().map(|seen| seen.interface).collect();
    assert_eq!(interfaces[0], interfaces[1]);
    assert_ne!(interfaces[0], interfaces[6]);
}

#[test]
fn compressed_files_are_known_by_their_octets() {
    let file = plain(&[(1, 10), (2, 20)]);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&file).unwrap();
    let zstd = zstd::encode_all(file.as_slice(), 1).unwrap();
    let expected = read(&file).packets;
    assert_eq!(read(&gzip.finish().unwrap()).packets, expected);
    assert_eq!(read(&zstd).packets, expected);
}

#[test]
fn what_is_no_capture_is_named() {
    for (octets, what) in [
        (&b""[..], "is empty"),
        (b"\xd4", "no capture"),
        (b"hello, world\n", "looks like text"),
        (b"\xfd7zXZ\0", "looks like xz"),
        (&plain(&[])[..20], "ends inside its header"),
        (&[0; 64], "begins with zeros"),
    ] {
        let files = Files::with(&[octets]);
        let error = files.read().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert!(error.contains("synfin-capture"), "{error}");
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let open = |paths: &[&str]| super::Captures::open(paths).err();
    let error = open(&["/nowhere/at/all.pcap"]).unwrap();
    assert!(error.to_string().contains("/nowhere/at/all.pcap"));
    assert!(matches!(open(&["/"]), Some(CaptureError::Directory { .. })));
    assert!(matches!(open(&["-", "-"]), Some(CaptureError::Twice)));
}

#[test]
fn a_lie_about_a_length_ends_the_file_there() {
    let order = Order::Little;
    let good = plain(&[(1, 10)]);
    let offset = good.len();
    let bad = [good, u32s(order, &[0, 0, 0x7fff_ffff, 60]), vec![0; 1_000]];
    let all = read(&bad.concat());
    assert_eq!(all.packets.len(), 1);
    assert_eq!(all.warnings.len(), 1);
    let place = format!("at octet {offset};");
    assert!(all.warnings[0].contains(&place), "{:?}", all.warnings);
}

#[test]
fn bad_blocks_end_the_file_there() {
    let order = Order::Little;
    let good = [
        section(order),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 5, (1, 60, 60), &[]),
    ]
    .concat();
    let packet = |body: &[u32]| block(order, 6, &u32s(order, body));
    let mut differing = enhanced(order, 0, 5, (2, 60, 60), &[]);
    let last = differing.len() - 4;
    differing[last] ^= 4;
    for (bad, why) in [
        (u32s(order, &[6, 8, 8]), "impossible length"),
        (u32s(order, &[9, 13, 0]), "impossible length"),
        (u32s(order, &[6, 0x0100_0000, 0]), "longer than any packet"),
        (differing, "two lengths differ"),
        (packet(&[0, 0, 0, 61, 61]), "longer than its block"),
        (packet(&[0, 0, 0, 0]), "impossible length"),
        (
            enhanced(order, 1, 5, (2, 60, 60), &[]),
            "interface that is not described",
        ),
        (
            interface(order, 1, 0, &option(order, 9, &[127])),
            "times that cannot be read",
        ),
        (u32s(order, &[0x0a0d_0d0a, 28, 7]), "mark of order"),
    ] {
        let all = read(&[good.clone(), bad, vec![0; 40]].concat());
        assert_eq!(all.packets.len(), 1, "{why}");
        assert_eq!(all.warnings.len(), 1, "{why}: {:?}", all.warnings);
        assert!(all.warnings[0].contains(why), "{:?}", all.warnings);
        let place = format!("at octet {};", good.len());
        assert!(all.warnings[0].contains(&place), "{:?}", all.warnings);
    }
}

/// Files of both formats with where each of their packets ends.
fn whole_files() -> Vec<(Vec<u8>, Vec<usize>)> {
    let mut files = Vec::new();
    for order in ORDERS {
        let mut file = pcap(order, MICROSECONDS, (2, 4), 1);
        let mut ends = Vec::new();
        for octet in 1..4 {
            file.extend(record(order, (1, 2), octet, 33, 33));
            ends.push(file.len());
        }
        files.push((file, ends));
        let name = option(order, 2, b"eth0");
        let mut file = [section(order), interface(order, 1, 0, &name)].concat();
        let mut ends = Vec::new();
        for octet in 1..4 {
            file.extend(block(order, 4, &[1; 20]));
            file.extend(enhanced(order, 0, 7, (octet, 33, 33), &name));
            ends.push(file.len());
        }
        files.push((file, ends));
    }
    files
}

#[test]
fn a_cut_at_any_octet_leaves_what_comes_before() {
    for (file, ends) in whole_files() {
        for len in 1..=file.len() {
            let files = Files::with(&[&file[..len]]);
            let Ok(all) = files.read() else {
                assert!(len < 24, "{len}");
                continue;
            };
            let whole = ends.iter().filter(|&&end| end <= len).count();
            assert_eq!(all.packets.len(), whole, "{len}");
            assert!(all.warnings.len() <= 1, "{len}: {:?}", all.warnings);
            if ends.iter().any(|&end| len < end && len + 10 > end) {
                assert!(
                    all.warnings[0].contains("in the middle of a record"),
                    "{len}"
                );
            }
        }
    }
}

#[test]
fn a_compressed_file_that_is_cut_leaves_what_comes_before() {
    let packets: Vec<_> = (0..2_000).map(|ms| ((ms % 251) as u8, ms)).collect();
    let file = plain(&packets);
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&file).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(file.as_slice(), 1).unwrap();
    for whole in [gzip, zstd] {
        let all = read(&whole[..whole.len() - 3]);
        assert_eq!(all.warnings.len(), 1, "{:?}", all.warnings);
        assert!(all.warnings[0].contains("cannot be read on"));
        assert!(all.packets.len() > 1_000, "{}", all.packets.len());
        let all = read(&whole);
        assert_eq!(all.packets.len(), 2_000);
    }
}

#[test]
fn a_large_block_that_nobody_knows_takes_no_memory() {
    let order = Order::Big;
    let len = 3_000_000;
    let file = [
        section(order),
        block(order, 0x0bad, &vec![1; len]),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 5, (1, 60, 60), &[]),
    ];
    let all = read(&file.concat());
    assert_eq!(all.packets, [Seen::frame(1, 5_000)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_octets_end_somewhere(
        start in 0_usize..4,
        octets in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let (file, _) = &whole_files()[start];
        // Some of the file, so that reading gets anywhere.
        let files = Files::with(&[[&file[..file.len() / 2], &octets].concat()]);
        let mut captures = super::Captures::open(&files.0).unwrap();
        let mut turns = 0;
        while let Ok(super::Next::Packet(_) | super::Next::Pause) = captures.read_on() {
            turns += 1;
            prop_assert!(turns < 10_000);
        }
    }

    #[test]
    fn a_flipped_octet_never_gives_more_than_there_is(
        start in 0_usize..4,
        place in 0_usize..200,
        flip in 1_u8..,
    ) {
        let (mut file, _) = whole_files().swap_remove(start);
        let place = place % file.len();
        file[place] ^= flip;
        let files = Files::with(&[&file]);
        let Ok(mut captures) = super::Captures::open(&files.0) else { return Ok(()) };
        let mut octets = 0;
        while let Ok(next) = captures.read_on() {
            match next {
                super::Next::Packet(packet) => octets += packet.frame.octets.len(),
                super::Next::Pause => {}
                super::Next::End => break,
            }
        }
        prop_assert!(octets <= file.len());
    }
}
