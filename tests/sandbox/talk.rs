//! A conversation to look at.

use std::path::PathBuf;

use anyhow::Result;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::packets::{self, Packets};
use synfin_tests::scratch::Scratch;

/// A whole connection.
pub(crate) fn whole(port: u16) -> Conversation {
    from(port)
        .open()
        .data(Sender::Client, 5)
        .close(Sender::Client)
}

/// A SYN.
pub(crate) fn begun(port: u16) -> Conversation {
    from(port).syn()
}

fn from(port: u16) -> Conversation {
    let (client, server) = (([10, 1, 1, 2], port).into(), ([10, 1, 1, 1], 80).into());
    Conversation::between((client, 1_000), (server, 2_000))
}

/// A capture of so many of them.
pub(crate) fn captured(scratch: &Scratch, connections: u16) -> Result<PathBuf> {
    let talks: Vec<_> = (0..connections).map(|n| whole(10_000 + n)).collect();
    let frames = talks.iter().flat_map(Conversation::frames);
    let frames = (0..)
        .zip(frames)
        .map(|(place, (_, frame))| (1_700_000_000_000_000_000 + place * 1_000, frame.octets()));
    let packets = Packets::ethernet(frames);
    let file = scratch.file("whole.pcap");
    packets::write(&packets, &file)?;
    Ok(file)
}
