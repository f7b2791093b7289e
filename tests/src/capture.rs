//! A capture of the traced interface by tcpdump, which is known to miss nothing.
//!
//! Frames of our own mark its begin and its end: it has begun when the first ones are in the file,
//! and has everything when the last ones are.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::frames::{CLIENT_MAC, SERVER_MAC};
use crate::inject::Wire;
use crate::netns::{Link, NEAR};
use crate::process::Background;
use crate::scratch::Scratch;
use crate::wait;

/// An EtherType for local experiments (IEEE 802), which no stack takes for its own.
const MARKER: [u8; 2] = [0x88, 0xb5];

/// Enough for every header; payloads are not looked at.
const SNAP_LEN: &str = "256";
/// In KiB.
const BUFFER: &str = "131072";

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    process: Background,
    wire: Wire,
    scratch: Scratch,
}

impl Capture {
    /// Captures [`NEAR`] from now on.
    ///
    /// # Errors
    /// Where tcpdump does not start, or its first frames do not come.
    pub fn start(link: &Link) -> Result<Self> {
        let scratch = Scratch::new()?;
        let mut command = link.near.command("tcpdump");
        command
            .args(["-i", NEAR, "-s", SNAP_LEN, "-B", BUFFER, "-Z", "root"])
            .args(["-n", "-U", "--immediate-mode", "--nano", "-w"])
            .arg(scratch.file("capture.pcap"));
        let mut capture = Self {
            process: Background::start(&mut command)?,
            wire: Wire::of(link)?,
            scratch,
        };
        let process = &mut capture.process;
        process.wait_for_stderr("a capture", |text| text.find("listening on"))?;
        capture.mark("begin")?;
        Ok(capture)
    }

    /// Ends the capture when it has everything that was sent so far.
    ///
    /// # Errors
    /// Where tcpdump lost frames, or did not end well.
    pub fn stop(mut self) -> Result<Captured> {
        self.mark("end")?;
        self.process.signal(Signal::SIGINT)?;
        let output = self.process.wait()?;
        ensure!(
            output.status.success(),
            "tcpdump ended badly: {}",
            output.stderr
        );
        let dropped = dropped(&output.stderr)
            .with_context(|| format!("read tcpdump's counts: {}", output.stderr))?;
        ensure!(
            dropped == 0,
            "tcpdump lost {dropped} frames: it is no judge"
        );
        let file = self.scratch.file("capture.pcap");
        Ok(Captured {
            file,
            scratch: self.scratch,
        })
    }

    fn mark(&self, what: &str) -> Result<()> {
        let mark = |sender: [u8; 6], receiver: [u8; 6], way: &str| {
            let text = format!("synfin-tests {what} {way}");
            let frame = [&receiver[..], &sender, &MARKER, text.as_bytes()].concat();
            // Long enough that nobody pads it.
            [&frame[..], &vec![0; 64_usize.saturating_sub(frame.len())]].concat()
        };
        let ingress = mark(CLIENT_MAC, SERVER_MAC, "ingress");
        let egress = mark(SERVER_MAC, CLIENT_MAC, "egress");
        self.wire.ingress(&ingress)?;
        self.wire.egress(&egress)?;
        let file = self.scratch.file("capture.pcap");
        wait::until(format!("the {what} of the capture"), || {
            let octets = fs::read(&file).unwrap_or_default();
            let has = |mark: &[u8]| octets.windows(mark.len()).any(|window| window == mark);
            Ok((has(&ingress) && has(&egress)).then_some(()))
        })
    }
}

/// A finished capture. The file is gone when this is dropped.
#[derive(Debug)]
pub struct Captured {
    /// The file.
    pub file: PathBuf,
    /// Where it lies.
    pub scratch: Scratch,
}

/// What the kernel had no room for, as tcpdump tells it at its end.
fn dropped(words: &str) -> Option<u64> {
    let mut lines = words.lines();
    lines.find_map(|line| {
        line.strip_suffix(" packets dropped by kernel")?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_tcpdump() {
        let words =
            "7 packets captured\n9 packets received by filter\n2 packets dropped by kernel\n";
        assert_eq!(dropped(words), Some(2));
        assert_eq!(dropped("7 packets captured\n"), None);
    }
}
