//! The Community ID of a connection: a short name made of addresses and ports that other tools make
//! in the same way (version 1 of the specification, seed 0).

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::Connection;

const SEED: [u8; 2] = [0; 2];
const TCP: u8 = 6;
const VERSION: [u8; 2] = *b"1:";
/// The version, and a digest of 20 octets in base64.
const LEN: usize = VERSION.len() + 28;

/// A Community ID: `1:LQU9qZlK+B5F3KDmev6m5PMibrg=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommunityId([u8; LEN]);

impl CommunityId {
    /// That of the connection between two ends, in any order.
    #[must_use]
    pub fn of(ends: [SocketAddr; 2]) -> Self {
        let [mut first, mut second] = ends;
        if (second.ip(), second.port()) < (first.ip(), first.port()) {
            (first, second) = (second, first);
        }
        let mut hash = Sha1::new();
        hash.update(SEED);
        for end in [first, second] {
            match end.ip() {
                IpAddr::V4(address) => hash.update(address.octets()),
                IpAddr::V6(address) => hash.update(address.octets()),
            }
        }
        // The protocol, and an octet that fills up.
        hash.update([TCP, 0]);
        for end in [first, second] {
            hash.update(end.port().to_be_bytes());
        }
        let mut text = [0; LEN];
        let (version, digest) = text.split_at_mut(VERSION.len());
        version.copy_from_slice(&VERSION);
        // There is room for exactly as much as a digest of 20 octets takes.
        let _ = STANDARD.encode_slice(hash.finalize(), digest);
        Self(text)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<&Connection> for CommunityId {
    fn from(connection: &Connection) -> Self {
        Self::of([connection.client.socket(), connection.server.socket()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(one: &str, other: &str) -> String {
        let ends = [one, other].map(|end| end.parse().unwrap());
        CommunityId::of(ends).as_str().to_owned()
    }

    /// The TCP vectors that the specification publishes, each both ways.
    #[test]
    fn the_published_vectors_come_out_in_both_directions() {
        for (one, other, expected) in [
            (
                "128.232.110.120:34855",
                "66.35.250.204:80",
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943",
                "[2607:f8b0:400c:c03::1a]:25",
                "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
            ),
        ] {
            assert_eq!(id(one, other), expected);
            assert_eq!(id(other, one), expected);
        }
    }

    #[test]
    fn equal_addresses_are_told_apart_by_their_ports() {
        let (one, other) = ("127.0.0.1:40000", "127.0.0.1:80");
        assert_eq!(id(one, other), id(other, one));
        assert_ne!(id(one, other), id("127.0.0.1:40000", "127.0.0.1:81"));
    }
}
