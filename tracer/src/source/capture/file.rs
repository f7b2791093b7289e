//! One capture: what its octets begin with tells how the rest is read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use pcap_parser::parse_pcap_header;
use synfin_ebpf::event::Direction;
use synfin_ebpf::flow::Vantage;
use synfin_ebpf::octets::Captured;
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::Link;

use super::error::CaptureError;
use super::input::Input;
use super::lines::{Lines, are_lines};
use super::link::{self, link};
use super::looks::looks;
use super::pcap::{self, Pcap};
use super::pcapng::{Pcapng, SECTION};
use super::record::{Described, Head, Other, gather};
use super::source::Source;
use super::{Counts, Desk, News, Packet};

/// Which way a packet went, where the capture does not tell.
const USUAL_DIRECTION: Direction = Direction::Ingress;
/// Octets that every mark of a file fits into.
const LONGEST_MARK: usize = 12;

/// A capture that is being read.
pub(super) struct File {
    name: String,
    input: Input,
    format: Format,
    /// The interfaces of the section that is read.
    interfaces: Vec<Interface>,
    /// The packets that are there, and which of them comes next.
    heads: Vec<Head>,
    next: usize,
    /// Octets that they take.
    gathered: usize,
    packets: u64,
    octets: u64,
    /// Packets that were left out, by their link type.
    unread: BTreeMap<u32, u64>,
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
    link_type: u32,
    link: Option<Link>,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        let name = if path == OsStr::new("-") {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let source = Source::open(path, &name)?;
        Ok(Self::of(name, source))
    }

    /// Reads from a source that is open already.
    pub(super) const fn of(name: String, source: Source) -> Self {
        Self {
            name,
            input: Input::new(source),
            format: Format::Unknown,
            interfaces: Vec::new(),
            heads: Vec::new(),
            next: 0,
            gathered: 0,
            packets: 0,
            octets: 0,
            unread: BTreeMap::new(),
        }
    }

    /// Whether it is lines of JSON; `None` where its first octets are still to come.
    pub(super) fn are_lines(&mut self) -> Result<Option<bool>, CaptureError> {
        let octets = self.input.octets();
        if let Some(known) = are_lines(octets) {
            return Ok(Some(known));
        }
        // Nothing but space for so long is for whoever knows captures.
        if self.input.ended() || octets.len() >= LONGEST_MARK {
            return Ok(Some(false));
        }
        let filled = self.input.fill(LONGEST_MARK);
        filled.map_err(|source| CaptureError::Read {
            name: self.name.clone(),
            source,
        })?;
        Ok(None)
    }

    /// The same file as lines.
    pub(super) fn lines(self) -> Lines {
        Lines::new(self.name, self.input)
    }

    /// Leaves a packet behind; gives the time of the one behind it where that is there already.
    #[inline(always)]
    pub(super) fn advance(&mut self) -> Option<u64> {
        self.next += 1;
        self.heads.get(self.next).map(|head| head.time_ns)
    }

    /// The packet that comes next.
    #[inline(always)]
    pub(super) fn packet(&self) -> Option<Packet<'_>> {
        let head = self.heads.get(self.next)?;
        let interface = self.interfaces.get(head.interface as usize)?;
        let link = interface.link?;
        let octets = self.input.octets().get(head.offset as usize..)?;
        let octets = octets.get(..head.len as usize)?;
        let direction = match head.direction {
            Some(direction) => direction,
            None => link::direction(link, octets).unwrap_or(USUAL_DIRECTION),
        };
        Some(Packet {
            frame: Captured {
                octets,
                wire_len: head.wire_len as usize,
            },
            time_ns: head.time_ns,
            vantage: Vantage {
                interface: interface.index,
                direction,
                scope: Scope::default(),
                link,
            },
        })
    }

    /// Looks for more packets, where all that were there are left behind.
    pub(super) fn step(&mut self, desk: &mut Desk) -> Result<Step, CaptureError> {
        if let Some(head) = self.heads.get(self.next) {
            return Ok(Step::Packet(head.time_ns));
        }
        self.input.consume(self.gathered);
        self.heads.clear();
        self.next = 0;
        let octets = self.input.octets();
        self.gathered = match &mut self.format {
            Format::Pcap(pcap) => {
                let pcap = *pcap;
                gather(octets, &mut self.heads, |octets| pcap.head(octets))
            }
            Format::Pcapng(pcapng) => gather(octets, &mut self.heads, |octets| pcapng.head(octets)),
            Format::Unknown => return self.begin(desk),
            Format::Ended => return Ok(Step::End),
        };
        if self.gathered == 0 {
            return Ok(self.other(desk));
        }
        if self
            .interfaces
            .iter()
            .any(|interface| interface.link.is_none())
        {
            self.leave_out();
        }
        self.packets += self.heads.len() as u64;
        self.octets += self
            .heads
            .iter()
            .map(|head| u64::from(head.len))
            .sum::<u64>();
        Ok(match self.heads.first() {
            Some(head) => Step::Packet(head.time_ns),
            None => Step::Pause,
        })
    }

    /// Adds what was counted.
    pub(super) fn count(&self, counts: &mut Counts) {
        counts.packets += self.packets;
        counts.octets += self.octets;
        for (&link_type, unread) in self.unread.iter().filter(|(_, unread)| **unread > 0) {
            *counts.unread.entry(link::name(link_type)).or_default() += unread;
        }
    }

    /// Octets of the file that were read, and all of them where that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        self.input.progress()
    }

    /// Whether nothing came when it was last read, and more may come.
    pub(super) const fn waits(&self) -> bool {
        self.input.waits()
    }

    #[cold]
    fn other(&mut self, desk: &mut Desk) -> Step {
        let octets = self.input.octets();
        let other = match &mut self.format {
            Format::Pcap(pcap) => pcap.other(octets),
            Format::Pcapng(pcapng) => pcapng.other(octets),
            Format::Unknown | Format::Ended => return Step::End,
        };
        match other {
            Other::Needs(needed) => self.fill(needed, desk),
            Other::Unknown(len) => self.input.skip(len),
            Other::Section(len) => {
                self.interfaces.clear();
                self.input.skip(len);
            }
            Other::Interface(len, described) => {
                self.input.consume(len);
                self.describe(&described, desk);
            }
            Other::Bad(what) => self.end_early(what, desk),
        }
        Step::Pause
    }

    /// Leaves packets out whose link types are not known.
    #[cold]
    fn leave_out(&mut self) {
        self.heads.retain(|head| {
            let interface = self.interfaces.get(head.interface as usize);
            let Some(Interface {
                link_type, link, ..
            }) = interface
            else {
                return false;
            };
            if link.is_none() {
                *self.unread.entry(*link_type).or_default() += 1;
            }
            link.is_some()
        });
    }

    /// Reads on, where what is there ends in the middle of a record.
    fn fill(&mut self, needed: usize, desk: &mut Desk) {
        if !self.input.ended() {
            if let Err(error) = self.input.fill(needed) {
                self.end_early(&format!("it cannot be read on, {error}"), desk);
            }
            return;
        }
        if self.input.octets().is_empty() && !self.input.skips() {
            self.close();
        } else {
            self.end_early("it ends in the middle of a record", desk);
        }
    }

    fn end_early(&mut self, why: &str, desk: &mut Desk) {
        let (name, offset) = (&self.name, self.input.offset());
        desk.news.push_back(News::Warning(format!(
            "{name}: {why}, at octet {offset}; what comes before it was read"
        )));
        self.close();
    }

    fn close(&mut self) {
        self.format = Format::Ended;
        self.heads = Vec::new();
        self.input.close();
    }

    /// Finds out what the file is.
    #[cold]
    fn begin(&mut self, desk: &mut Desk) -> Result<Step, CaptureError> {
        let octets = self.input.octets();
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
                self.describe(&described, desk);
                Ok(Step::Pause)
            }
            Err(error) if !self.input.ended() => {
                if !error.is_incomplete() && octets.len() >= LONGEST_MARK {
                    return Err(self.no_capture());
                }
                let filled = self.input.fill(pcap::HEADER_LEN);
                filled.map_err(|source| CaptureError::Read {
                    name: self.name.clone(),
                    source,
                })?;
                Ok(Step::Pause)
            }
            Err(error) if error.is_incomplete() && octets.len() >= 4 => {
                Err(CaptureError::NoCapture {
                    name: self.name.clone(),
                    looks: "it ends inside its header",
                })
            }
            Err(_) => Err(self.no_capture()),
        }
    }

    fn no_capture(&self) -> CaptureError {
        let name = self.name.clone();
        let octets = self.input.octets();
        if octets.is_empty() {
            return CaptureError::Empty { name };
        }
        let looks = looks(octets);
        CaptureError::NoCapture { name, looks }
    }

    fn describe(&mut self, described: &Described, desk: &mut Desk) {
        let link_type = described.link_type;
        let link = link(link_type);
        let name = described.name.as_deref().unwrap_or_else(|| {
            // The name of the file, without the way to it.
            Path::new(&self.name)
                .file_name()
                .and_then(OsStr::to_str)
                .unwrap_or(&self.name)
        });
        // Once for a link type: there can be any number of interfaces.
        if link.is_none() && !self.unread.contains_key(&link_type) {
            self.unread.insert(link_type, 0);
            desk.news.push_back(News::Warning(format!(
                "{}: the frames of {name} have link type {link_type} ({}), which is not read",
                self.name,
                link::name(link_type)
            )));
        }
        let name = Arc::from(name);
        let index = desk.interfaces;
        let Some(next) = index.checked_add(1) else {
            return self.end_early("it has more interfaces than can be told apart", desk);
        };
        desk.interfaces = next;
        desk.news.push_back(News::Interface { index, name });
        self.interfaces.push(Interface {
            index,
            link_type,
            link,
        });
    }
}
