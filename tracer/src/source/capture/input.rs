//! The octets of a capture, through one buffer.

use std::io;

use super::source::{Got, Source};

/// Octets of the buffer at first: there can be thousands of files, each of which shows its first
/// packet before the first of all is known.
const FIRST_BUFFER: usize = 16 << 10;
/// Octets of the buffer where there are more than that: small enough to stay in a core's own cache
/// until they are parsed.
const BUFFER: usize = 256 << 10;

/// A stream of octets with the part of it that is looked at.
pub(super) struct Input {
    source: Source,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Octets of the stream before the buffer's.
    offset: u64,
    /// Octets that are still to be left out.
    skip: u64,
    ended: bool,
    waits: bool,
}

impl Input {
    pub(super) const fn new(source: Source) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            skip: 0,
            ended: false,
            waits: false,
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

    /// Whether nothing came when it was last read, and more may come.
    pub(super) const fn waits(&self) -> bool {
        self.waits
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
        let len = if self.buffer.is_empty() {
            FIRST_BUFFER
        } else {
            BUFFER
        };
        if self.buffer.len() < len.max(needed) && (self.offset > 0 || self.end == self.buffer.len())
        {
            self.buffer.resize(len.max(needed), 0);
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let got = self.source.read(free)?;
        self.waits = got == Got::Nothing;
        match got {
            Got::Octets(read) => self.end += read,
            Got::End => self.ended = true,
            Got::Nothing => {}
        }
        if self.skip > 0 {
            self.skip(self.skip);
        }
        Ok(())
    }

    /// Gives the memory back.
    pub(super) fn close(&mut self) {
        self.buffer = Vec::new();
        (self.start, self.end, self.ended, self.waits) = (0, 0, true, false);
    }

    /// Octets of the file that were read, and all of them where that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        self.source.progress()
    }
}
