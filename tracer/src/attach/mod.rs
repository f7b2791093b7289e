//! Brings the programs into the kernel and onto interfaces.
//!
//! In: the embedded object, options, interface names. Out: [`Programs`], whose maps the sources
//! read. Dropping them detaches everything, and so does the end of the process, however it ends:
//! every attachment is a link held by a descriptor. Where the kernel has no links for TC there are
//! filters instead, and what a killed process leaves of these the next one removes.

mod clsact;
mod device;
mod error;
mod ethtool;
mod facts;
mod features;
pub mod follow;
mod hook;
mod link;
mod netlink;
mod news;
mod object;
mod tick;

pub use clsact::Swept;
pub use device::{Device, LinkHeader};
pub use error::AttachError;
pub use facts::Facts;
#[cfg(test)]
pub(crate) use facts::fixtures;
pub use features::XdpFeatures;
pub use hook::{Attachment, Hook, XdpChoice};

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use aya::maps::{Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::wire::Tunnels;

use crate::source::{AccountTable, Cell};
use link::Held;

/// For how long a significant segment keeps its connection watched, in seconds.
const WATCH_SECONDS: u64 = 8;

/// The table of openings and closings has at least as many entries as the CPUs take at once, and no
/// more than the programs have bits for.
const MIN_FLOWS: u32 = 1 << 10;
const MAX_FLOWS: u32 = 1 << 24;
/// Its entries for each bucket: few enough that its seven slots hardly ever run out before the entries do.
const FLOWS_A_BUCKET: u32 = 2;
/// Slots of the watch filter that share a cache line.
const SLOTS_A_LINE: u32 = 16;
/// The part of a second's events of unproved connections that may come at once.
const UNPROVED_AT_ONCE: u32 = 4;

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Size of the ring buffer in octets: a power of two, at least a page.
    pub ring_size: u32,
    /// Connections that the table of openings and closings holds, at least.
    pub table_size: u32,
    /// Slots of the watch filter: a power of two, at least 16.
    pub watch_slots: u32,
    /// Events a second that each CPU may give of connections that are not proved.
    pub unproved_per_second: u32,
    /// Which connections are followed.
    pub filter: Filter,
    /// Connections that the segments are counted of; `None` where none are.
    pub accounts: Option<u32>,
    /// Which tunnels are looked into.
    pub tunnels: Tunnels,
}

impl Default for LoadOptions {
    /// Everything is followed, as much of it as a small machine has room for.
    fn default() -> Self {
        Self {
            ring_size: 1 << 24,
            table_size: 1 << 16,
            watch_slots: 1 << 16,
            unproved_per_second: 20_000,
            filter: Filter::default(),
            accounts: None,
            tunnels: Tunnels::OFF,
        }
    }
}

/// The programs and their maps.
pub struct Programs {
    ebpf: Ebpf,
    /// What is attached, by the index of the device.
    held: HashMap<u32, Held>,
}

/// Words of what a CPU keeps for itself.
pub const CPU_WORDS: usize = COUNTERS + 16;

/// A CPU's counters, behind them its count of events, and words that mean nothing here.
pub type CpuCounters = [u64; CPU_WORDS];

impl Programs {
    /// The program for XDP.
    pub const XDP: &str = "synfin_xdp";
    /// The program for TC ingress.
    pub const INGRESS: &str = "synfin_ingress";
    /// The program for TC egress.
    pub const EGRESS: &str = "synfin_egress";
    /// The program for TC ingress of devices without Ethernet header.
    pub const IP_INGRESS: &str = "synfin_ip_in";
    /// The program for TC egress of devices without Ethernet header.
    pub const IP_EGRESS: &str = "synfin_ip_out";

    /// Loads the embedded object: its maps are made, and programs are ready to be loaded.
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
        object::check(object)?;
        let ticks = tick::rate()?;
        let watch_jiffies = u32::try_from(WATCH_SECONDS * ticks).unwrap_or(u32::MAX);
        let flows = options
            .table_size
            .clamp(MIN_FLOWS, MAX_FLOWS)
            .next_power_of_two();
        let buckets = flows / FLOWS_A_BUCKET;
        let flow_time_shift = (2 * ticks).ilog2();
        let watch_lines = options
            .watch_slots
            .div_ceil(SLOTS_A_LINE)
            .next_power_of_two();
        let secret: [u64; 12] = std::array::from_fn(|_| RandomState::new().build_hasher().finish());
        let secret = secret.map(u64::to_ne_bytes);
        let unproved_a_jiffy = u64::from(options.unproved_per_second).div_ceil(ticks.max(1));
        let unproved_a_jiffy = u32::try_from(unproved_a_jiffy).unwrap_or(u32::MAX);
        let unproved_at_once = options.unproved_per_second / UNPROVED_AT_ONCE;
        let filter = options.filter.to_octets();
        let tunnels = options.tunnels.to_octets();
        let ring_watermark = u64::from(options.ring_size) / 4 * 3;
        let ebpf = EbpfLoader::new()
            .override_global("WATCH_JIFFIES", &watch_jiffies, true)
            .override_global("RING_WATERMARK", &ring_watermark, true)
            .override_global("WATCH_MASK", &(watch_lines - 1), true)
            .override_global("FLOW_MASK", &(flows - 1), true)
            .override_global("BUCKET_MASK", &(buckets - 1), true)
            .override_global("HELD_MASK", &(flows - 1), true)
            .override_global("FLOW_TIME_SHIFT", &flow_time_shift, true)
            .override_global("HASH_SECRET", secret.as_flattened(), true)
            .override_global("UNPROVED_PER_JIFFY", &unproved_a_jiffy, true)
            .override_global("UNPROVED_AT_ONCE", &unproved_at_once, true)
            .override_global("FILTER", &filter[..], true)
            .override_global(
                "COUNT_SEGMENTS",
                &u32::from(options.accounts.is_some()),
                true,
            )
            .map_max_entries("ACCOUNTS", options.accounts.unwrap_or(1))
            .override_global("TUNNELS", &tunnels[..], true)
            .map_max_entries("EVENTS", options.ring_size)
            .map_max_entries("FLOWS", flows)
            .map_max_entries("BUCKETS", buckets)
            .map_max_entries("HELD_SEALS", flows)
            .map_max_entries("HELD_SYNS", flows)
            .map_max_entries("HELD_SYN_ACKS", flows)
            .map_max_entries("WATCH", watch_lines)
            .load(object)
            .map_err(|error| AttachError::load(error, options))?;
        Ok(Self {
            ebpf,
            held: HashMap::new(),
        })
    }

    /// An XDP program, which is loaded where it was not yet: the verifier takes a quarter of a second
    /// and more for each.
    ///
    /// # Errors
    /// Where the object has none of that name, or the kernel refuses to load it.
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, AttachError> {
        let program = self.ebpf.program_mut(name);
        let program: &mut Xdp = program.ok_or(AttachError::Missing(name))?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// A TC program, loaded in the same way.
    ///
    /// # Errors
    /// As [`Programs::xdp`].
    pub fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, AttachError> {
        let program = self.ebpf.program_mut(name);
        let program: &mut SchedClassifier =
            program.ok_or(AttachError::Missing(name))?.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// Takes the ring of events. The second call finds none.
    ///
    /// # Errors
    /// Where the object has none, or it was taken.
    pub fn take_events(&mut self) -> Result<RingBuf<MapData>, AttachError> {
        Ok(self.take("EVENTS")?.try_into()?)
    }

    /// The cell that tells the programs whether the reader sleeps. Its map stays here, and with it its
    /// descriptor, which is written into the programs that are loaded later.
    ///
    /// # Errors
    /// Where the object has none that can be mapped.
    pub fn reader_cell(&self) -> Result<Cell, AttachError> {
        match self.ebpf.map("READER") {
            Some(Map::Array(array)) => Cell::map(array).map_err(AttachError::Cell),
            _ => Err(AttachError::Missing("READER that is an array")),
        }
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
