//! What the packets of an interface begin with (tcpdump.org/linktypes.html).

use synfin_ebpf::event::Direction;
use synfin_ebpf::octets::Octets as _;
use synfin_ebpf::wire::Link;

/// Linux's mark of a packet that leaves the host, in the cooked headers.
const OUTGOING: u8 = 4;

/// What the parser makes of a link type; `None` where it knows nothing of it.
pub(super) const fn link(number: u32) -> Option<Link> {
    match number {
        0 => Some(Link::Null),
        1 => Some(Link::Ethernet),
        9 | 50 => Some(Link::Ppp),
        // Raw IP has had a number of its own on some systems, and has one for each version.
        12 | 14 | 101 | 228 | 229 => Some(Link::Ip),
        51 => Some(Link::Pppoe),
        108 => Some(Link::Loop),
        113 => Some(Link::Cooked),
        276 => Some(Link::Cooked2),
        _ => None,
    }
}

/// Which way a packet went, where its link-layer header tells.
#[inline(always)]
pub(super) fn direction(link: Link, octets: &[u8]) -> Option<Direction> {
    let kind = match link {
        Link::Cooked => octets.read::<2>(0)?[1],
        Link::Cooked2 => octets.read::<1>(10)?[0],
        _ => return None,
    };
    Some(match kind {
        OUTGOING => Direction::Egress,
        _ => Direction::Ingress,
    })
}

/// The name of a link type that the parser knows nothing of.
pub(super) const fn name(number: u32) -> &'static str {
    match number {
        3 => "ax25",
        6 => "ieee802_5",
        7 => "arcnet_bsd",
        8 => "slip",
        10 => "fddi",
        100 => "atm_rfc1483",
        104 => "c_hdlc",
        105 => "ieee802_11",
        107 => "frelay",
        114 => "ltalk",
        117 => "pflog",
        119 => "ieee802_11_prism",
        122 => "ip_over_fc",
        123 => "sunatm",
        127 => "ieee802_11_radiotap",
        129 => "arcnet_linux",
        138 => "apple_ip_over_ieee1394",
        143 => "docsis",
        144 => "linux_irda",
        147..=162 => "user",
        163 => "ieee802_11_avs",
        166 => "ppp_pppd",
        169 => "gprs_llc",
        177 => "linux_lapd",
        182 => "mfr",
        187 | 201 => "bluetooth_hci",
        189 | 220 => "usb_linux",
        192 => "ppi",
        195 | 215 | 230 => "ieee802_15_4",
        197 => "erf",
        202 => "ax25_kiss",
        204 => "ppp_with_dir",
        205 => "c_hdlc_with_dir",
        206 => "frelay_with_dir",
        224 | 225 => "fc_2",
        226 => "ipnet",
        227 => "can_socketcan",
        231 => "dbus",
        239 => "nflog",
        240 | 241 => "netanalyzer",
        242 => "ipoib",
        243 => "mpeg_2_ts",
        247 => "infiniband",
        248 => "sctp",
        249 => "usbpcap",
        251 | 256 => "bluetooth_le_ll",
        252 => "wireshark_upper_pdu",
        253 => "netlink",
        254 => "bluetooth_linux_monitor",
        258 => "pktap",
        259 => "epon",
        271 => "vsock",
        274 => "ethernet_mpacket",
        _ => "unnamed_link_type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_type_is_read_or_has_a_name() {
        for number in [0, 1, 9, 12, 14, 50, 51, 101, 108, 113, 228, 229, 276] {
            assert!(link(number).is_some(), "{number}");
            assert_eq!(name(number), "unnamed_link_type", "{number}");
        }
        assert_eq!((link(105), name(105)), (None, "ieee802_11"));
        assert_eq!((link(9_999), name(9_999)), (None, "unnamed_link_type"));
    }

    #[test]
    fn the_cooked_headers_tell_which_way() {
        let outgoing = [0, 4, 0, 1, 0, 6];
        assert_eq!(direction(Link::Cooked, &outgoing), Some(Direction::Egress));
        assert_eq!(direction(Link::Cooked, &[0, 0]), Some(Direction::Ingress));
        let outgoing = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6];
        assert_eq!(direction(Link::Cooked2, &outgoing), Some(Direction::Egress));
        assert_eq!(direction(Link::Cooked2, &outgoing[..10]), None);
        assert_eq!(direction(Link::Ethernet, &outgoing), None);
    }
}
