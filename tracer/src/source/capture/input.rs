//! The octets of a capture, through one buffer.

use std::io::{self, Read};

/// Octets that are read at once: small enough to stay in a core's own cache until they are parsed.
const BUFFER: usize = 256 << 10;

/// A stream of octets with the part of it that is looked at.
pub(super) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets of the stream before the buffer's.
    offset: u64,
    /// Octets that are still to be left out.
    skip: u64,
    ended: bool,
}

impl Input {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            skip: 0,
            ended: false,
        }
    }

    /// What is there.
    #[inline(always)]
    pub(super) fn octets(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Where the octets that are there begin in the stream.
    pub(super) const fn offset(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// Whether nothing follows what is there.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Leaves octets behind that are there.
    #[inline(always)]
    pub(super) fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.end);
    }

    /// Leaves octets out, whether they are there or still to come.
    pub(super) fn skip(&mut self, len: u64) {
        let there = (self.end - self.start) as u64;
        self.start += usize::try_from(len.min(there)).unwrap_or(0);
        self.skip = len.saturating_sub(there);
    }

    /// Whether octets that were to be left out are still to come.
    pub(super) const fn skips(&self) -> bool {
        self.skip > 0
    }

    /// Reads on, so that in the end `needed` octets can be there.
    pub(super) fn fill(&mut self, needed: usize) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = loop {
            match self.source.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.ended = read == 0;
        self.end += read;
        if self.skip > 0 {
            self.skip(self.skip);
        }
        Ok(())
    }
}
