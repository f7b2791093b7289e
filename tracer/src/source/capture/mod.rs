//! Packets from captures: pcap and pcapng files, merged by time.
//!
//! In: files. Out: packets with their times and where they were seen, and news: names of interfaces,
//! warnings. A file that is damaged gives what comes before the damage. Absent on purpose: what the
//! packets mean, and a whole file in memory.
//!
//! Headers of files and options are read by `pcap_parser`; the few words before each packet are read
//! here, because nothing may be allocated for one.

mod decode;
mod error;
mod file;
mod input;
pub mod lines;
mod link;
mod looks;
mod pcap;
mod pcapng;
mod record;
mod source;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use synfin_ebpf::flow::Vantage;
use synfin_ebpf::octets::Captured;

pub use error::CaptureError;
use file::{File, Step};
use lines::Lines;
use source::Source;

/// Several captures, read as one.
pub struct Captures {
    files: Vec<File>,
    /// The file of the packet that was given last.
    given: Option<usize>,
    /// Files whose next packet is not known yet.
    unknown: Vec<usize>,
    /// Files by the time of their next packet.
    known: BinaryHeap<Reverse<(u64, usize)>>,
    desk: Desk,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// None yet: there may be news, and reading on may have to wait for a moment.
    Pause,
    /// No more.
    End,
}

/// A packet of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What was kept of it.
    pub frame: Captured<'a>,
    /// When it was seen, in ns since the Unix epoch.
    pub time_ns: u64,
    /// Where it was seen.
    pub vantage: Vantage,
}

/// What is to be known besides packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// There is an interface; packets of it may follow.
    Interface {
        /// Its index in [`Vantage`].
        index: u32,
        /// Its name, or that of the file where it has none.
        name: Arc<str>,
    },
    /// Something is wrong with a file.
    Warning(String),
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that were given.
    pub packets: u64,
    /// Their octets as captured.
    pub octets: u64,
    /// Packets that were left out, by the names of their link types.
    pub unread: BTreeMap<&'static str, u64>,
}

/// What all files have in common.
#[derive(Debug, Default)]
struct Desk {
    news: VecDeque<News>,
    /// Interfaces so far.
    interfaces: u32,
}

impl Captures {
    /// Opens the files; `-` is the standard input.
    ///
    /// # Errors
    /// Where one of them cannot be opened.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        let pipes = paths.iter().filter(|path| path.as_ref() == "-");
        if pipes.count() > 1 {
            return Err(CaptureError::Twice);
        }
        let files = paths.iter().map(|path| File::open(path.as_ref()));
        Ok(Self::from(files.collect::<Result<Vec<_>, _>>()?))
    }

    /// One capture, compressed or not, from anything that gives its octets; errors and warnings call
    /// it by this name.
    ///
    /// # Errors
    /// Where its first octets cannot be read.
    pub fn of(name: &str, reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let name = name.to_owned();
        match decode::decoded(reader) {
            Ok(reader) => Ok(Self::from(vec![File::of(name, Source::of(reader))])),
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }

    /// Takes out the files that are lines of JSON, as what they begin with tells; `None` where the first
    /// octets of one are still to come. For a beginning, before the first packet.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn take_lines(&mut self) -> Result<Option<Vec<Lines>>, CaptureError> {
        for file in &mut self.files {
            if file.are_lines()?.is_none() {
                return Ok(None);
            }
        }
        let mut lines = Vec::new();
        let mut captures = Vec::new();
        for mut file in std::mem::take(&mut self.files) {
            if file.are_lines()? == Some(true) {
                lines.push(file.lines());
            } else {
                captures.push(file);
            }
        }
        *self = Self::from(captures);
        Ok(Some(lines))
    }

    /// Whether there is no file.
    #[must_use]
    pub const fn are_none(&self) -> bool {
        self.files.is_empty()
    }

    /// The next packet: the earliest of those that come next in their files. A file that is not in
    /// order is taken in its own.
    ///
    /// # Errors
    /// Where a file is no capture. That is told before the first packet.
    #[inline]
    pub fn read_on(&mut self) -> Result<Next<'_>, CaptureError> {
        let place = match self.given {
            Some(place) => match self.files.get_mut(place).and_then(File::advance) {
                Some(time_ns) if self.is_earliest(time_ns, place) => place,
                next => {
                    self.given = None;
                    match next {
                        Some(time_ns) => self.known.push(Reverse((time_ns, place))),
                        None => self.unknown.push(place),
                    }
                    return self.choose();
                }
            },
            None => return self.choose(),
        };
        let file = self.files.get(place);
        Ok(file.and_then(File::packet).map_or(Next::End, Next::Packet))
    }

    /// What is to be known besides packets, the oldest first.
    pub fn news(&mut self) -> Option<News> {
        self.desk.news.pop_front()
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for file in &self.files {
            file.count(&mut counts);
        }
        counts
    }

    /// Octets of the files that were read, and all of them; `None` where that is not known.
    #[must_use]
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.files.iter().try_fold((0, 0), |(taken, size), file| {
            let (more, of) = file.progress();
            Some((taken + more, size + of?))
        })
    }

    /// Whether reading last gave nothing because nothing came, and more may come.
    #[must_use]
    pub fn waits(&self) -> bool {
        let waits = |place: &usize| self.files.get(*place).is_some_and(File::waits);
        self.unknown.iter().any(waits)
    }

    /// Whether no other file has an earlier packet. All are known while packets are given.
    #[inline(always)]
    fn is_earliest(&self, time_ns: u64, place: usize) -> bool {
        let earliest = self.known.peek();
        earliest.is_none_or(|Reverse(earliest)| (time_ns, place) < *earliest)
    }

    /// Chooses the file that gives next.
    fn choose(&mut self) -> Result<Next<'_>, CaptureError> {
        if !self.ask()? {
            return Ok(Next::Pause);
        }
        self.given = self.known.pop().map(|Reverse((_, place))| place);
        let file = self.given.and_then(|place| self.files.get(place));
        Ok(file.and_then(File::packet).map_or(Next::End, Next::Packet))
    }

    /// Asks all files whose next packet is not known for it; tells whether all have answered.
    fn ask(&mut self) -> Result<bool, CaptureError> {
        while let Some(&place) = self.unknown.last() {
            let Some(file) = self.files.get_mut(place) else {
                break;
            };
            match file.step(&mut self.desk)? {
                Step::Packet(time_ns) => self.known.push(Reverse((time_ns, place))),
                Step::Pause => return Ok(false),
                Step::End => {}
            }
            self.unknown.pop();
        }
        Ok(true)
    }
}

impl From<Vec<File>> for Captures {
    fn from(files: Vec<File>) -> Self {
        Self {
            unknown: (0..files.len()).rev().collect(),
            known: BinaryHeap::with_capacity(files.len()),
            files,
            given: None,
            desk: Desk::default(),
        }
    }
}
