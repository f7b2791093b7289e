//! One capture: what its octets begin with tells how the rest is read.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use pcap_parser::parse_pcap_header;
use synfin_ebpf::flow::Vantage;
use synfin_ebpf::octets::Captured;
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Link;

use super::error::CaptureError;
use super::input::Input;
use super::link::link;
use super::pcap::{self, Pcap};
use super::pcapng::{Pcapng, SECTION};
use super::record::{Described, Head, Record};
use super::{News, Packet, USUAL_DIRECTION};

/// Interfaces that one file may have, over all of its sections.
const MAX_INTERFACES: usize = 1 << 16;

/// A capture that is being read.
pub(super) struct File {
    name: String,
    /// Index of its first interface.
    first_index: u32,
    input: Input,
    format: Format,
    interfaces: Vec<Interface>,
    /// Place of the section's first interface among them.
    section: usize,
    /// The packet that comes next.
    head: Option<Head>,
    /// Octets that have to be there before anything can be made of them.
    needed: usize,
    packets: u64,
    octets: u64,
}

/// What a look at a file comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is a packet of this time.
    Packet(u64),
    /// More was read, or there are news.
    Pause,
    /// Nothing follows.
    End,
}

enum Format {
    Unknown,
    Pcap(Pcap),
    Pcapng(Pcapng),
    /// Nothing follows, or nothing of use.
    Ended,
}

struct Interface {
    index: u32,
    link: Option<Link>,
}

impl File {
    pub(super) fn open(path: &Path, place: usize) -> Result<Self, CaptureError> {
        let name = if path == OsStr::new("-") {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let source: Box<dyn Read + Send> = if path == OsStr::new("-") {
            Box::new(io::stdin())
        } else {
            let open = |source| CaptureError::Open {
                name: name.clone(),
                source,
            };
            let file = fs::File::open(path).map_err(open)?;
            if file.metadata().map_err(open)?.is_dir() {
                return Err(CaptureError::Directory { name });
            }
            Box::new(file)
        };
        Ok(Self::of(name, source, place))
    }

    /// Reads from a source that is open already.
    pub(super) fn of(name: String, source: Box<dyn Read + Send>, place: usize) -> Self {
        Self {
            first_index: u32::try_from(place).map_or(u32::MAX, |place| (place << 16) + 1),
            name,
            input: Input::new(source),
            format: Format::Unknown,
            interfaces: Vec::new(),
            section: 0,
            head: None,
            needed: 1,
            packets: 0,
            octets: 0,
        }
    }

    /// Looks for the packet that comes next.
    #[inline(always)]
    pub(super) fn step(&mut self, news: &mut VecDeque<News>) -> Result<Step, CaptureError> {
        if let Some(head) = &self.head {
            return Ok(Step::Packet(head.time_ns));
        }
        let record = match &mut self.format {
            Format::Pcap(pcap) => pcap.record(self.input.octets()),
            Format::Pcapng(pcapng) => pcapng.record(self.input.octets()),
            Format::Unknown => return self.begin(news),
            Format::Ended => return Ok(Step::End),
        };
        if let Record::Packet(head) = record {
            self.head = Some(head);
            self.packets += 1;
            self.octets += head.len as u64;
            return Ok(Step::Packet(head.time_ns));
        }
        self.other(record, news)
    }

    /// The packet that comes next.
    #[inline(always)]
    pub(super) fn packet(&self) -> Option<Packet<'_>> {
        let head = self.head.as_ref()?;
        let interface = self.interfaces.get(self.section + head.interface)?;
        let octets = self.input.octets();
        Some(Packet {
            frame: Captured {
                octets: octets.get(head.offset..head.offset + head.len)?,
                wire_len: head.wire_len,
            },
            time_ns: head.time_ns,
            vantage: Vantage {
                interface: interface.index,
                direction: head.direction.unwrap_or(USUAL_DIRECTION),
                scope: Scope::default(),
                link: interface.link.unwrap_or_default(),
            },
        })
    }

    /// Leaves the packet behind.
    #[inline(always)]
    pub(super) fn consume(&mut self) {
        if let Some(head) = self.head.take() {
            self.input.consume(head.record_len);
        }
    }

    /// Packets, and their octets as captured.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    fn other(&mut self, record: Record, news: &mut VecDeque<News>) -> Result<Step, CaptureError> {
        match record {
            Record::Packet(_) => {}
            Record::Needs(needed) => return Ok(self.fill(needed, news)),
            Record::Other(len) => self.input.skip(len),
            Record::Section(len) => {
                self.section = self.interfaces.len();
                self.input.skip(len);
            }
            Record::Interface(len, described) => {
                self.input.consume(len);
                self.describe(&described, news);
            }
            Record::Bad(what) => self.end_early(what, news),
        }
        Ok(Step::Pause)
    }

    /// Reads on; what is there ends in the middle of a record.
    #[cold]
    fn fill(&mut self, needed: usize, news: &mut VecDeque<News>) -> Step {
        let at_end = |file: &mut Self, news: &mut VecDeque<News>| {
            if !file.input.octets().is_empty() || file.input.skips() {
                file.end_early("it ends in the middle of a record", news);
            }
            file.format = Format::Ended;
            Step::Pause
        };
        if self.input.ended() {
            return at_end(self, news);
        }
        match self.input.fill(needed) {
            Ok(()) => Step::Pause,
            Err(error) => {
                self.end_early(&format!("it cannot be read on: {error}"), news);
                Step::Pause
            }
        }
    }

    fn end_early(&mut self, why: &str, news: &mut VecDeque<News>) {
        self.format = Format::Ended;
        let (name, offset) = (&self.name, self.input.offset());
        news.push_back(News::Warning(format!(
            "{name}: {why}, at octet {offset}; what comes before it was read"
        )));
    }

    /// Finds out what the file is.
    #[cold]
    fn begin(&mut self, news: &mut VecDeque<News>) -> Result<Step, CaptureError> {
        let octets = self.input.octets();
        if octets.len() < self.needed {
            if !self.input.ended() {
                let filled = self.input.fill(self.needed);
                return match filled {
                    Ok(()) => Ok(Step::Pause),
                    Err(source) => Err(CaptureError::Read {
                        name: self.name.clone(),
                        source,
                    }),
                };
            }
            let name = self.name.clone();
            return Err(if octets.is_empty() {
                CaptureError::Empty { name }
            } else {
                CaptureError::NoCapture {
                    name,
                    looks: "it ends inside its header",
                }
            });
        }
        if octets.len() < 4 {
            self.needed = 4;
            return Ok(Step::Pause);
        }
        if octets.starts_with(&SECTION.to_be_bytes()) {
            self.format = Format::Pcapng(Pcapng::new());
            return Ok(Step::Pause);
        }
        match parse_pcap_header(octets) {
            Ok((_, header)) => {
                self.format = Format::Pcap(Pcap::new(&header));
                self.input.consume(pcap::HEADER_LEN);
                let described = Described {
                    // The upper bits tell of a frame check sequence behind each packet.
                    link_type: header.network.0.cast_unsigned() & 0x03ff_ffff,
                    name: None,
                };
                self.describe(&described, news);
                Ok(Step::Pause)
            }
            Err(error) if error.is_incomplete() => {
                self.needed = pcap::HEADER_LEN;
                Ok(Step::Pause)
            }
            Err(_) => Err(CaptureError::NoCapture {
                name: self.name.clone(),
                looks: "it begins with none of the marks of pcap and pcapng",
            }),
        }
    }

    fn describe(&mut self, described: &Described, news: &mut VecDeque<News>) {
        let place = self.interfaces.len();
        if place >= MAX_INTERFACES {
            return self.end_early("it has more interfaces than can be told apart", news);
        }
        let index = u32::try_from(place).map_or(u32::MAX, |place| self.first_index + place);
        let name: Arc<str> = described.name.as_deref().unwrap_or(&self.name).into();
        news.push_back(News::Interface { index, name });
        self.interfaces.push(Interface {
            index,
            link: link(described.link_type),
        });
    }
}
