//! Any octets as a capture file.
//!
//! The first octet of an input tells how its octets arrive: all at once, or so many at a time, as
//! from a program that still writes.

use std::io::{self, Read};

use synfin::source::{Captures, News, Next};

use crate::frames::look;

/// Octets that are captured of a packet at most, as libpcap has it.
const MAX_PACKET: usize = 256 << 10;

/// Reads a capture to its end.
pub fn captures(input: &[u8]) {
    let Some((at_once, octets)) = input.split_first() else {
        return;
    };
    let source = Trickle::new(octets, *at_once);
    let Ok(mut captures) = Captures::of("input", source) else {
        return;
    };
    let (mut packets, mut captured) = (0, 0);
    let mut warnings = 0;
    loop {
        match captures.read_on() {
            Ok(Next::Packet(packet)) => {
                packets += 1;
                captured += packet.frame.octets.len() as u64;
                assert!(
                    packet.frame.octets.len() <= MAX_PACKET,
                    "a packet of any size"
                );
                look(&packet.frame, &packet.vantage);
            }
            Ok(Next::Pause) => {}
            Ok(Next::End) => break,
            Err(error) => {
                assert_eq!(packets, 0, "what was a capture is none any more");
                assert!(!error.to_string().is_empty(), "an error without words");
                break;
            }
        }
        while let Some(news) = captures.news() {
            if let News::Warning(words) = news {
                assert!(!words.is_empty(), "a warning without words");
                // Link types that are not read are told as well.
                warnings += usize::from(words.contains("what comes before it was read"));
            }
        }
    }
    let counts = captures.counts();
    assert_eq!((counts.packets, counts.octets), (packets, captured));
    assert!(warnings <= 1, "a file ends once");
}

/// A reader that gives a few octets at a time.
pub(crate) struct Trickle {
    octets: Vec<u8>,
    given: usize,
    at_once: usize,
}

impl Trickle {
    /// Gives so many octets at once, or all where that is 0.
    pub(crate) fn new(octets: &[u8], at_once: u8) -> Self {
        Self {
            octets: octets.to_vec(),
            given: 0,
            at_once: match at_once {
                0 => usize::MAX,
                at_once => usize::from(at_once),
            },
        }
    }
}

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.octets.get(self.given..).unwrap_or_default();
        let (from, _) = rest.split_at(rest.len().min(self.at_once));
        let mut from = from;
        let read = from.read(into)?;
        self.given += read;
        Ok(read)
    }
}
