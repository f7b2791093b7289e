//! One set of loaded programs and one tracker in user space, given the same frames.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions};
use synfin::attach::{CPU_WORDS, CpuCounters, LoadOptions, Programs};
use synfin::source::{AccountTable, Clock, Record, Tracker};
use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::counters::COUNTERS;
use synfin_ebpf::event::{Direction, Event, NO_EVENT};
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::flow::{Key, Vantage};
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_tests::requirement;

/// Where BPF_PROG_TEST_RUN has frames seen.
const LOOPBACK: u32 = 1;
/// What XDP answers to let a frame pass.
const XDP_PASS: u32 = 2;
/// An Ethernet header, and the shortest frame of BPF_PROG_TEST_RUN.
const ETHERNET_LEN: usize = 14;
/// What a page has room for beside what the kernel puts around a frame.
const MOST_OF_A_PAGE: usize = 3_712;
/// What TC answers to let the next program decide: −1.
const TCX_NEXT: u32 = u32::MAX;

/// The programs for devices with an Ethernet header.
pub(crate) const PROGRAMS: [&str; 3] = ["synfin_xdp", "synfin_ingress", "synfin_egress"];
/// The programs for devices without: they are given what is behind that header.
pub(crate) const IP_PROGRAMS: [&str; 2] = ["synfin_ip_in", "synfin_ip_out"];

/// The programs and the tracker.
pub(crate) struct Both {
    programs: Programs,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, CpuCounters>,
    accounts: AccountTable,
    tracker: Tracker,
}

/// What one frame came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) events: Vec<Event>,
    /// The counts of connections that others took the place of.
    pub(crate) settled: Vec<Settled>,
    /// By how much each counter grew.
    pub(crate) counted: Vec<u64>,
}

/// The events of a frame, and the counts of connections that it took the place of.
pub(crate) type Given = (Vec<Event>, Vec<Settled>);

impl Both {
    pub(crate) fn load() -> Result<Self> {
        Self::load_with(1 << 20, Filter::default())
    }

    pub(crate) fn load_with(ring_size: u32, filter: Filter) -> Result<Self> {
        Self::load_options(&LoadOptions {
            ring_size,
            filter,
            ..roomy()
        })
    }

    /// With the segments of up to so many connections counted.
    pub(crate) fn load_counting(connections: u32) -> Result<Self> {
        Self::load_options(&LoadOptions {
            accounts: Some(connections),
            ..roomy()
        })
    }

    pub(crate) fn load_tunnels(tunnels: Tunnels) -> Result<Self> {
        Self::load_options(&LoadOptions { tunnels, ..roomy() })
    }

    pub(crate) fn load_options(options: &LoadOptions) -> Result<Self> {
        let object = fs::read(requirement::bpf_object()).context("read the BPF object")?;
        let mut programs = Programs::load_object(&object, options)?;
        let tracker = Tracker::new(options.filter, options.tunnels);
        Ok(Self {
            ring: programs.take_events()?,
            counters: programs.take_counters()?,
            accounts: programs.take_accounts()?,
            tracker: if options.accounts.is_some() {
                tracker.with_accounts()
            } else {
                tracker
            },
            programs,
        })
    }

    /// The programs.
    pub(crate) fn programs(&mut self) -> &mut Programs {
        &mut self.programs
    }

    /// Whether BPF_PROG_TEST_RUN takes the frame for this program: for TC it insists on a whole IP
    /// header behind an IP EtherType, and on one page.
    pub(crate) fn takes(program: &str, frame: &[u8]) -> bool {
        let frame = seen_by(program, frame);
        let ether_type = frame.get(12..14);
        let ip_header = match ether_type {
            Some([0x08, 0x00]) => 20,
            Some([0x86, 0xdd]) => 40,
            _ => 0,
        };
        if is_xdp(program) {
            return frame.len() >= ETHERNET_LEN;
        }
        (ETHERNET_LEN + ip_header..=MOST_OF_A_PAGE).contains(&frame.len())
    }

    /// Feeds a frame to a program and to the tracker; what each made of it.
    pub(crate) fn feed(&mut self, program: &'static str, frame: &[u8]) -> Result<[Came; 2]> {
        let before = self.kernel_counters()?;
        self.run(program, frame)?;
        let (events, settled) = self.drain_all()?;
        let after = self.kernel_counters()?;
        let kernel = Came {
            events: events.into_iter().map(timeless).collect(),
            settled,
            counted: grown(&before, &after),
        };
        Ok([kernel, self.track(program, frame)])
    }

    /// The same without a look at the counters, which takes longer than the frame.
    pub(crate) fn compare(&mut self, program: &'static str, frame: &[u8]) -> Result<[Given; 2]> {
        self.run(program, frame)?;
        let (events, settled) = self.drain_all()?;
        let events = events.into_iter().map(timeless).collect();
        Ok([(events, settled), self.track_given(program, frame)])
    }

    /// What both have counted so far.
    pub(crate) fn counted(&self) -> Result<[[u64; COUNTERS]; 2]> {
        let kernel = self.kernel_counters()?;
        let mut counted = [0; COUNTERS];
        counted.copy_from_slice(&kernel[..COUNTERS]);
        Ok([counted, self.tracker.counters()])
    }

    /// Feeds a frame to a program, and holds the program to letting it pass unchanged.
    pub(crate) fn run(&mut self, program: &'static str, frame: &[u8]) -> Result<()> {
        let frame = seen_by(program, frame);
        let mut out = vec![0; frame.len()];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        let (pass, result) = if is_xdp(program) {
            (XDP_PASS, self.programs.xdp(program)?.test_run(options))
        } else {
            (
                TCX_NEXT,
                self.programs.classifier(program)?.test_run(options),
            )
        };
        let result = result.with_context(|| format!("run {program} on {} octets", frame.len()))?;
        ensure!(
            result.return_value == pass,
            "{program} said {}",
            result.return_value
        );
        ensure!(out == frame, "{program} changed the frame");
        Ok(())
    }

    /// The events in the ring; what differs from run to run is zero in them.
    pub(crate) fn drain(&mut self) -> Result<Vec<Event>> {
        Ok(self.drain_raw()?.into_iter().map(timeless).collect())
    }

    /// The ring's events as they are.
    pub(crate) fn drain_raw(&mut self) -> Result<Vec<Event>> {
        let (events, settled) = self.drain_all()?;
        ensure!(settled.is_empty(), "nothing is counted here");
        Ok(events)
    }

    fn drain_all(&mut self) -> Result<(Vec<Event>, Vec<Settled>)> {
        let (mut events, mut settled) = (Vec::new(), Vec::new());
        while let Some(record) = self.ring.next() {
            match Record::decode(&record)? {
                Record::Event(event) => events.push(event),
                Record::Settled(counts) => settled.push(counts),
            }
        }
        Ok((events, settled))
    }

    /// What is counted of every connection: in the kernel, and in user space.
    pub(crate) fn accounts(&self, keys: &[Key]) -> Result<[Vec<Accounts>; 2]> {
        let kernel = keys.iter().filter_map(|key| self.accounts.get(key));
        let tracker = keys.iter().filter_map(|key| self.tracker.forget(key));
        Ok([kernel.collect(), tracker.collect()])
    }

    /// The counters of all CPUs, and the number of events that they made.
    pub(crate) fn kernel_counters(&self) -> Result<CpuCounters> {
        let mut sum: CpuCounters = [0; CPU_WORDS];
        for cpu in self.counters.get(&0, 0)?.iter() {
            // Behind them are words that mean nothing.
            for (total, counter) in sum.iter_mut().zip(cpu).take(COUNTERS + 1) {
                *total += counter;
            }
        }
        Ok(sum)
    }

    fn track(&mut self, program: &str, frame: &[u8]) -> Came {
        let before = self.tracker.counters();
        let (events, settled) = self.track_given(program, frame);
        Came {
            events,
            settled,
            counted: grown(&before, &self.tracker.counters()),
        }
    }

    fn track_given(&mut self, program: &str, frame: &[u8]) -> Given {
        let frame = seen_by(program, frame);
        let direction = if matches!(program, "synfin_egress" | "synfin_ip_out") {
            Direction::Egress
        } else {
            Direction::Ingress
        };
        let vantage = Vantage {
            interface: LOOPBACK,
            direction,
            scope: Scope::default(),
            link: if IP_PROGRAMS.contains(&program) {
                Link::Ip
            } else {
                Link::Ethernet
            },
        };
        // The same clock as the kernel's, so that both watch for the same time.
        self.tracker.take(frame, &vantage, Clock::read().now_ns);
        let events = self.tracker.event().as_deref().copied().map(timeless);
        let settled = self.tracker.settled().into_iter().collect();
        (events.into_iter().collect(), settled)
    }
}

/// With room for every connection and every event of these tests.
pub(crate) fn roomy() -> LoadOptions {
    LoadOptions {
        ring_size: 1 << 20,
        table_size: 1 << 18,
        unproved_per_second: u32::MAX,
        ..LoadOptions::default()
    }
}

/// What of an Ethernet frame a program is given.
fn seen_by<'a>(program: &str, frame: &'a [u8]) -> &'a [u8] {
    if IP_PROGRAMS.contains(&program) {
        frame.get(ETHERNET_LEN..).unwrap_or_default()
    } else {
        frame
    }
}

fn is_xdp(program: &str) -> bool {
    program.starts_with("synfin_xdp")
}

/// Without what differs from run to run: times, serial numbers, CPU and interface.
fn timeless(mut event: Event) -> Event {
    event.time_ns = NO_EVENT.time_ns;
    event.serial = NO_EVENT.serial;
    event.cpu = NO_EVENT.cpu;
    event.interface = NO_EVENT.interface;
    event.sender.opened_ns = u64::from(event.sender.opened_ns > 0);
    event.receiver.opened_ns = u64::from(event.receiver.opened_ns > 0);
    event
}

fn grown(before: &[u64], after: &[u64]) -> Vec<u64> {
    let pairs = before.iter().zip(after).take(COUNTERS);
    pairs.map(|(before, after)| after - before).collect()
}
