//! The TCP ports that Zeek takes for servers' with its default scripts.

/// Those of the protocols that it has scripts for, in order.
#[rustfmt::skip]
const LIKELY_SERVERS: [u16; 49] = [
    21, 22, 25, 53, 79, 80, 81, 88, 135, 139, 143, 389, 443, 445, 465, 502, 514, 563, 585, 587, 614,
    631, 636, 989, 990, 992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222,
    5223, 5269, 5432, 6379, 6666, 6667, 6668, 6669, 8000, 8080, 8888, 20000,
];

/// Whether Zeek would take the port for a server's.
pub(super) fn is_likely_server(port: u16) -> bool {
    LIKELY_SERVERS.binary_search(&port).is_ok()
}
