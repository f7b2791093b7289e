//! What a file that is no capture looks like.

/// Marks of files that are taken for captures, or hold them.
const MARKS: [(&[u8], &str); 15] = [
    (b"\xfd7zXZ\0", "it looks like xz: decompress it first"),
    (b"BZh", "it looks like bzip2: decompress it first"),
    (
        b"\x04\x22\x4d\x18",
        "it looks like lz4: decompress it first",
    ),
    (b"PK\x03\x04", "it looks like a zip archive"),
    (b"7z\xbc\xaf", "it looks like a 7z archive"),
    (b"snoop\0\0\0", "it looks like a capture of snoop"),
    (b"GMBU", "it looks like a capture of Network Monitor"),
    (b"RTSS", "it looks like a capture of Network Monitor"),
    (b"TRSNIFF data", "it looks like a capture of a Sniffer"),
    (b"XCP\0", "it looks like a capture of a Sniffer"),
    (
        b"\xa1\xb2\xcd\x34",
        "it looks like a pcap file with modified records",
    ),
    (b"\x7fELF", "it looks like a program"),
    (b"\x89PNG", "it looks like a picture"),
    (b"%PDF", "it looks like a document"),
    (b"SQLite", "it looks like a database"),
];

/// What a file looks like that begins so.
pub(super) fn looks(octets: &[u8]) -> &'static str {
    let known = MARKS.iter().find(|(mark, _)| octets.starts_with(mark));
    if let Some((_, looks)) = known {
        return looks;
    }
    let beginning = octets.get(..64).unwrap_or(octets);
    let is_text = |octet: &u8| octet.is_ascii_graphic() || octet.is_ascii_whitespace();
    if beginning.iter().all(|&octet| octet == 0) {
        "it begins with zeros"
    } else if beginning.iter().all(is_text) {
        "it looks like text"
    } else {
        "it begins with none of the marks of pcap and pcapng"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_capture_has_a_look() {
        for (octets, word) in [
            (&b"\xfd7zXZ\0\0\0"[..], "xz"),
            (b"{\"v\":1}\n", "text"),
            (&[0; 100], "zeros"),
            (&[7; 100], "none of the marks"),
            (b"\x7fELF\x02", "program"),
        ] {
            assert!(looks(octets).contains(word), "{word}");
        }
    }
}
