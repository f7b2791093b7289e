//! Writes capture files: classic pcap with times in microseconds, Ethernet, in this machine's byte
//! order.

use std::io::{self, Write};

use super::packet::{Packet, SNAP};

const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
const ETHERNET: u32 = 1;
const US_PER_S: u64 = 1_000_000;

/// A capture file that is being written.
pub(crate) struct Writer<W> {
    file: W,
}

impl<W: Write> Writer<W> {
    /// Writes the file's header.
    pub(crate) fn new(mut file: W) -> io::Result<Self> {
        let snap = u32::try_from(SNAP).map_err(io::Error::other)?;
        file.write_all(&MAGIC.to_ne_bytes())?;
        for number in VERSION {
            file.write_all(&number.to_ne_bytes())?;
        }
        // Time zone and accuracy are zero in every file.
        for number in [0, 0, snap, ETHERNET] {
            file.write_all(&number.to_ne_bytes())?;
        }
        Ok(Self { file })
    }

    /// Writes one packet, seen at this time.
    pub(crate) fn packet(&mut self, unix_us: u64, packet: &Packet) -> io::Result<()> {
        let captured = packet.captured();
        let seconds = u32::try_from(unix_us / US_PER_S).map_err(io::Error::other)?;
        let microseconds = u32::try_from(unix_us % US_PER_S).map_err(io::Error::other)?;
        let kept = u32::try_from(captured.len()).map_err(io::Error::other)?;
        for number in [seconds, microseconds, kept, packet.wire_len()] {
            self.file.write_all(&number.to_ne_bytes())?;
        }
        self.file.write_all(captured)
    }

    /// Writes what is still buffered.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.flush()
    }
}
