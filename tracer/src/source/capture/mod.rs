//! Packets from captures: pcap and pcapng files, merged by time.
//!
//! In: files. Out: packets with their times and where they were seen, and news: names of interfaces,
//! warnings. A file that is damaged gives what comes before the damage. Absent on purpose: what the
//! packets mean, and a whole file in memory.

mod error;
mod file;
mod input;
mod link;
mod pcap;
mod pcapng;
mod record;

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::Vantage;
use synfin_ebpf::octets::Captured;

pub use error::CaptureError;
use file::{File, Step};

/// Several captures, read as one.
pub struct Captures {
    files: Vec<File>,
    /// The file of the packet that was given last.
    given: Option<usize>,
    news: VecDeque<News>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// None yet: there may be news, and reading may have to wait.
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

impl Captures {
    /// Opens the files; `-` is the standard input.
    ///
    /// # Errors
    /// Where one of them cannot be opened.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        let files = paths.iter().enumerate();
        let files = files.map(|(place, path)| File::open(path.as_ref(), place));
        Ok(Self::from(files.collect::<Result<Vec<_>, _>>()?))
    }

    /// One capture, from anything that gives octets; errors and warnings call it by this name.
    #[must_use]
    pub fn of(name: &str, source: impl Read + Send + 'static) -> Self {
        Self::from(vec![File::of(name.to_owned(), Box::new(source), 0)])
    }

    /// The next packet: the earliest of those that come next in their files.
    ///
    /// # Errors
    /// Where a file is no capture.
    pub fn read_on(&mut self) -> Result<Next<'_>, CaptureError> {
        if let Some(given) = self.given.take() {
            self.files[given].consume();
        }
        let mut earliest: Option<(u64, usize)> = None;
        for (place, file) in self.files.iter_mut().enumerate() {
            match file.step(&mut self.news)? {
                Step::Packet(time_ns) => {
                    if earliest.is_none_or(|(least_ns, _)| time_ns < least_ns) {
                        earliest = Some((time_ns, place));
                    }
                }
                Step::Pause => return Ok(Next::Pause),
                Step::End => {}
            }
        }
        self.given = earliest.map(|(_, place)| place);
        let file = self.given.and_then(|place| self.files.get(place));
        Ok(file.and_then(File::packet).map_or(Next::End, Next::Packet))
    }

    /// What is to be known besides packets, the oldest first.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Packets that were read, and their octets as captured.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let counts = self.files.iter().map(File::counts);
        counts.fold((0, 0), |(packets, octets), (p, o)| {
            (packets + p, octets + o)
        })
    }
}

impl From<Vec<File>> for Captures {
    fn from(files: Vec<File>) -> Self {
        Self {
            files,
            given: None,
            news: VecDeque::new(),
        }
    }
}

/// Which way a packet went, where the capture does not tell.
const USUAL_DIRECTION: Direction = Direction::Ingress;
