//! Brings the programs into the kernel and onto interfaces.
//!
//! In: the embedded object, options, interface names. Out: [`Programs`], whose maps the sources
//! read. Dropping them detaches everything, and so does the end of the process, however it ends:
//! every attachment is a link held by a descriptor.

mod device;
mod error;
mod hook;
mod object;
mod tick;

pub use device::{Device, Watcher};
pub use error::AttachError;
pub use hook::{Attachment, Ingress, XdpChoice};

use aya::maps::{Array, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{Program, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::wire::Tunnels;

use crate::source::AccountTable;

/// For how long a significant segment keeps its connection watched, in seconds.
const WATCH_SECONDS: u64 = 8;

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Size of the ring buffer in octets: a power of two, at least a page.
    pub ring_size: u32,
    /// Connections that the table of openings and closings holds.
    pub table_size: u32,
    /// Which connections are followed.
    pub filter: Filter,
    /// Connections that the segments are counted of; `None` where none are.
    pub accounts: Option<u32>,
    /// Which tunnels are looked into.
    pub tunnels: Tunnels,
}

/// The loaded programs.
pub struct Programs {
    ebpf: Ebpf,
}

/// A CPU's counters, behind them its count of events, and two words that mean nothing here.
pub type CpuCounters = [u64; COUNTERS + 4];

impl Programs {
    /// The program for XDP.
    pub const XDP: &str = "synfin_xdp";
    /// The program for TC ingress.
    pub const INGRESS: &str = "synfin_ingress";
    /// The program for TC egress.
    pub const EGRESS: &str = "synfin_egress";

    /// Loads the embedded object.
    ///
    /// # Errors
    /// Where this build has no object, the kernel lacks something, or the right to load is missing.
    pub fn load(options: &LoadOptions) -> Result<Self, AttachError> {
        Self::load_object(object::embedded()?, options)
    }

    /// Loads an object given as the octets of its file.
    ///
    /// # Errors
    /// As [`Programs::load`], and where the octets are no such object.
    pub fn load_object(object: &[u8], options: &LoadOptions) -> Result<Self, AttachError> {
        let watch_jiffies = u32::try_from(WATCH_SECONDS * tick::rate()?).unwrap_or(u32::MAX);
        let filter = options.filter.to_octets();
        let tunnels = options.tunnels.to_octets();
        let ring_watermark = u64::from(options.ring_size) / 4 * 3;
        let ebpf = EbpfLoader::new()
            .override_global("WATCH_JIFFIES", &watch_jiffies, true)
            .override_global("RING_WATERMARK", &ring_watermark, true)
            .override_global("FILTER", &filter[..], true)
            .override_global(
                "COUNT_SEGMENTS",
                &u32::from(options.accounts.is_some()),
                true,
            )
            .map_max_entries("ACCOUNTS", options.accounts.unwrap_or(1))
            .override_global("TUNNELS", &tunnels[..], true)
            .map_max_entries("EVENTS", options.ring_size)
            .map_max_entries("FLOWS", options.table_size)
            .load(object)
            .map_err(|error| AttachError::load(error, options))?;
        let mut programs = Self { ebpf };
        programs.load_all()?;
        Ok(programs)
    }

    fn load_all(&mut self) -> Result<(), AttachError> {
        for (_, program) in self.ebpf.programs_mut() {
            match program {
                Program::Xdp(program) => program.load()?,
                Program::SchedClassifier(program) => program.load()?,
                _ => return Err(AttachError::Missing("program types that it should have")),
            }
        }
        Ok(())
    }

    /// An XDP program.
    ///
    /// # Errors
    /// Where the object has none of that name.
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, AttachError> {
        let program = self.ebpf.program_mut(name);
        Ok(program.ok_or(AttachError::Missing(name))?.try_into()?)
    }

    /// A TC program.
    ///
    /// # Errors
    /// Where the object has none of that name.
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, AttachError> {
        let program = self.ebpf.program_mut(name);
        Ok(program.ok_or(AttachError::Missing(name))?.try_into()?)
    }

    /// Takes the ring of events. The second call finds none.
    ///
    /// # Errors
    /// Where the object has none, or it was taken.
    pub fn take_events(&mut self) -> Result<RingBuf<MapData>, AttachError> {
        Ok(self.take("EVENTS")?.try_into()?)
    }

    /// Takes the cell that tells the programs whether the reader sleeps.
    ///
    /// # Errors
    /// Where the object has none, or it was taken.
    pub fn take_reader_cell(&mut self) -> Result<Array<MapData, u32>, AttachError> {
        Ok(self.take("READER")?.try_into()?)
    }

    /// Takes the per-CPU counters.
    ///
    /// # Errors
    /// Where the object has none, or they were taken.
    pub fn take_counters(&mut self) -> Result<PerCpuArray<MapData, CpuCounters>, AttachError> {
        Ok(self.take("CPUS")?.try_into()?)
    }

    /// Takes the table of counts.
    ///
    /// # Errors
    /// Where the object has none, or it was taken.
    pub fn take_accounts(&mut self) -> Result<AccountTable, AttachError> {
        Ok(AccountTable::new(self.take("ACCOUNTS")?.try_into()?))
    }

    /// The log of the programs' rare diagnostics, handed to `logger`; `None` where they have none.
    pub fn logger<L: log::Log>(&mut self, logger: L) -> Option<aya_log::EbpfLogger<L>> {
        aya_log::EbpfLogger::init_with_logger(&mut self.ebpf, logger).ok()
    }

    /// Takes any other map.
    ///
    /// # Errors
    /// Where the object has none of that name, or it was taken.
    pub fn take(&mut self, name: &'static str) -> Result<Map, AttachError> {
        self.ebpf.take_map(name).ok_or(AttachError::Missing(name))
    }
}
