//! All lanes: packets are dealt out by connection, and what comes of them is put in one order again.
//!
//! The number of lanes is the same on every machine: what is printed does not depend on how many
//! processors there are.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use synfin_ebpf::wire::Located;

use super::batch::Batch;
use super::lane::{Lane, Rest};
use super::round::{self, Round};
use crate::source::Packet;

/// How many lanes there are, unless few connections may be followed. A power of two.
pub(super) const LANES: usize = 4;
/// Packets that are dealt out before they are sent on their way, and their octets.
const PACKETS: usize = 1_024;
const OCTETS: usize = 1 << 20;
/// Rounds that are under way at once.
const UNDER_WAY: usize = 3;

/// The lanes, and the packets for their next round.
pub(super) struct Lanes {
    threads: Vec<Thread>,
    batches: Vec<Batch>,
    packets: usize,
    octets: usize,
    /// The time of the capture.
    now_ns: u64,
    under_way: usize,
}

/// The ends of a lane that runs. Memory goes to and fro with what it holds.
struct Thread {
    batches: SyncSender<(Batch, Round)>,
    rounds: Receiver<(Batch, Round)>,
    used: Vec<(Batch, Round)>,
    handle: JoinHandle<Rest>,
}

impl Lanes {
    /// Starts a lane of each.
    ///
    /// # Errors
    /// Where there can be no more threads.
    pub(super) fn start<F: FnOnce() -> Lane + Send + 'static>(
        lanes: impl Iterator<Item = F>,
    ) -> io::Result<Self> {
        let threads = lanes.map(Thread::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            batches: threads.iter().map(|_| Batch::default()).collect(),
            threads,
            packets: 0,
            octets: 0,
            now_ns: 0,
            under_way: 0,
        })
    }

    /// Tells all lanes the name of an interface.
    pub(super) fn name_interface(&mut self, index: u32, name: &Arc<str>) {
        for batch in &mut self.batches {
            batch.names.push((index, Arc::clone(name)));
        }
    }

    /// Deals a packet out.
    #[inline]
    pub(super) fn deal(&mut self, packet: &Packet<'_>, located: &Located) {
        // What has no addresses is any lane's to say so.
        let hash = located.hash(&packet.frame).unwrap_or(0);
        let lane = hash as usize % self.batches.len().max(1);
        if let Some(batch) = self.batches.get_mut(lane) {
            batch.push(packet, located);
        }
        self.packets += 1;
        self.octets += packet.frame.octets.len();
    }

    /// Whether it is time to send on their way what was dealt out.
    #[inline]
    pub(super) const fn are_full(&self) -> bool {
        self.packets >= PACKETS || self.octets >= OCTETS
    }

    /// Notes what the time of the capture is now. It may go back, where a clock was set.
    #[inline]
    pub(super) const fn set_time(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    /// Sends on its way what was dealt out; appends what an earlier round came to, and gives the number
    /// of its records.
    ///
    /// # Errors
    /// Where a lane is gone.
    pub(super) fn send(&mut self, out: &mut Vec<u8>) -> anyhow::Result<u64> {
        for (thread, batch) in self.threads.iter_mut().zip(&mut self.batches) {
            batch.until_ns = self.now_ns;
            thread.send(batch)?;
        }
        (self.packets, self.octets) = (0, 0);
        self.under_way += 1;
        if self.under_way < UNDER_WAY {
            return Ok(0);
        }
        self.collect(out)
    }

    /// Appends what all rounds under way come to, and gives the number of their records.
    ///
    /// # Errors
    /// Where a lane is gone.
    pub(super) fn wait(&mut self, out: &mut Vec<u8>) -> anyhow::Result<u64> {
        let mut records = 0;
        while self.under_way > 0 {
            records += self.collect(out)?;
        }
        Ok(records)
    }

    /// Takes no more packets: the lanes hand out what is open.
    pub(super) fn end(self) -> Ending {
        Ending(self.threads.into_iter().map(Thread::end).collect())
    }

    fn collect(&mut self, out: &mut Vec<u8>) -> anyhow::Result<u64> {
        let loads = self.threads.iter().map(|thread| thread.rounds.recv());
        let (batches, rounds): (Vec<_>, Vec<_>) = loads
            .collect::<Result<Vec<_>, _>>()
            .context("a lane ended early")?
            .into_iter()
            .unzip();
        self.under_way -= 1;
        let records = round::merge(&rounds, out);
        let loads = batches.into_iter().zip(rounds);
        for (thread, load) in self.threads.iter_mut().zip(loads) {
            thread.used.push(load);
        }
        Ok(records)
    }
}

impl Thread {
    fn start<F: FnOnce() -> Lane + Send + 'static>(lane: F) -> io::Result<Self> {
        let (batches, loads) = sync_channel(UNDER_WAY);
        let (done, rounds) = sync_channel(UNDER_WAY);
        let handle = std::thread::Builder::new()
            .name("lane".into())
            .spawn(move || follow(lane(), &loads, &done))?;
        Ok(Self {
            batches,
            rounds,
            used: Vec::new(),
            handle,
        })
    }

    /// Sends a batch on its way, and puts an empty one in its place.
    fn send(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        let (mut next, round) = self.used.pop().unwrap_or_default();
        next.clear();
        let load = (std::mem::replace(batch, next), round);
        let sent = self.batches.send(load);
        sent.map_err(|_| anyhow!("a lane ended early"))
    }

    fn end(self) -> EndingThread {
        EndingThread {
            rounds: self.rounds,
            handle: self.handle,
        }
    }
}

/// What a lane's thread does.
fn follow(
    mut lane: Lane,
    loads: &Receiver<(Batch, Round)>,
    done: &SyncSender<(Batch, Round)>,
) -> Rest {
    while let Ok((batch, mut round)) = loads.recv() {
        round.clear();
        lane.take(&batch, &mut round);
        if done.send((batch, round)).is_err() {
            // Nobody wants to know.
            return lane.rest();
        }
    }
    loop {
        let mut round = Round::default();
        let more = lane.finish_some(&mut round);
        if done.send((Batch::default(), round)).is_err() || !more {
            return lane.rest();
        }
    }
}

/// Lanes that take no more packets.
pub(super) struct Ending(Vec<EndingThread>);

struct EndingThread {
    rounds: Receiver<(Batch, Round)>,
    handle: JoinHandle<Rest>,
}

impl Ending {
    /// Appends some of what was open at the end, and gives the number of its records; `None` where that
    /// was all.
    pub(super) fn some(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        // One that is done gives nothing while others still do.
        let loads = self.0.iter().map(|thread| thread.rounds.recv().ok());
        let loads: Vec<_> = loads.collect();
        if loads.iter().all(Option::is_none) {
            return None;
        }
        let rounds = loads.into_iter().map(|load| load.unwrap_or_default().1);
        Some(round::merge(&rounds.collect::<Vec<_>>(), out))
    }

    /// What is left of the lanes.
    ///
    /// # Errors
    /// Where one of them ended early.
    pub(super) fn rests(self) -> anyhow::Result<Vec<Rest>> {
        let rests = self.0.into_iter().map(|thread| {
            // Its panic was reported by its own hook.
            thread
                .handle
                .join()
                .map_err(|_| anyhow!("a lane ended early"))
        });
        rests.collect()
    }
}
