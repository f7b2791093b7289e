//! Captures, in their own time.
//!
//! In: files, and the time of whoever looks on. Out: the assembler's output, as it would have come then.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use synfin_ebpf::account::Accounts;
use synfin_ebpf::flow::{Key, Vantage};
use synfin_ebpf::octets::Captured;
use tokio::time::{Instant, sleep, sleep_until};

use super::pace::Pace;
use crate::assembler::{Assembler, Hint, LIVE_LINGER_NS, Output, Settings, USUAL_MAX_STEPS};
use crate::cli::Top;
use crate::outlet::Outlet;
use crate::say::say;
use crate::source::{Captures, News, Next, Packet, Tracker};
use crate::timeline::Connection;
use crate::totals::{Told, Totals};

/// Packets that are taken before there is a look at what else there is to do.
const AT_ONCE: usize = 4_096;
/// How long a pipe of which nothing comes is left alone.
const PATIENCE: Duration = Duration::from_millis(20);

/// A capture that is replayed.
pub(super) struct Replay {
    captures: Captures,
    way: Way,
    pub(super) pace: Pace,
    /// A packet whose time has not come.
    early: Option<Early>,
    /// The time of the latest packet.
    latest_ns: u64,
    /// Nothing came of a pipe.
    waits: bool,
    ended: bool,
}

/// The way of a packet to the assembler's output.
struct Way {
    tracker: Tracker<Hint>,
    assembler: Assembler,
}

struct Early {
    octets: Vec<u8>,
    wire_len: usize,
    time_ns: u64,
    vantage: Vantage,
}

impl Replay {
    pub(super) fn new(captures: Captures, options: &Top) -> anyhow::Result<Self> {
        let filter = options
            .tracing
            .ends
            .filter()
            .map_err(|error| anyhow!(error))?;
        let tunnels = options.tracing.carriers.tunnels();
        let tunnels = tunnels.map_err(|error| anyhow!(error))?;
        Ok(Self {
            captures,
            way: Way {
                tracker: Tracker::with_notes(filter, tunnels).with_accounts(),
                assembler: Assembler::new(Settings {
                    handshake_timeout_ns: options.tracing.limits.handshake_timeout_ns(),
                    max_connections: options.tracing.limits.max_connections,
                    max_steps: USUAL_MAX_STEPS,
                    linger_ns: LIVE_LINGER_NS,
                    shares: 1,
                    interfaces: HashMap::new(),
                }),
            },
            pace: Pace::new(options.speed),
            early: None,
            latest_ns: 0,
            waits: false,
            ended: false,
        })
    }

    /// Waits until there may be something to take. May be cancelled.
    pub(super) async fn turn(&self) {
        if self.ended || self.pace.paused() {
            return std::future::pending().await;
        }
        match &self.early {
            Some(early) => match self.pace.when(early.time_ns) {
                Some(when) => sleep_until(when).await,
                None => std::future::pending().await,
            },
            None if self.waits => sleep(PATIENCE).await,
            None => tokio::task::yield_now().await,
        }
    }

    /// Takes the packets whose time has come, up to a turn's worth.
    ///
    /// # Errors
    /// Where a file is no capture.
    pub(super) fn take(&mut self, now: Instant, output: &mut impl Output) -> anyhow::Result<()> {
        if self.ended || self.pace.paused() {
            return Ok(());
        }
        self.waits = false;
        for _ in 0..AT_ONCE {
            if let Some(early) = &self.early {
                if early.time_ns > self.pace.now_ns(now, early.time_ns) {
                    break;
                }
                self.latest_ns = self.latest_ns.max(early.time_ns);
                let Early {
                    octets, wire_len, ..
                } = early;
                let frame = Captured {
                    octets,
                    wire_len: *wire_len,
                };
                self.way.take(&frame, early.time_ns, &early.vantage, output);
                self.early = None;
            }
            match self.captures.read_on()? {
                Next::Packet(Packet {
                    frame,
                    time_ns,
                    vantage,
                }) => {
                    if time_ns > self.pace.now_ns(now, time_ns) {
                        self.early = Some(Early {
                            octets: frame.octets.to_vec(),
                            wire_len: frame.wire_len,
                            time_ns,
                            vantage,
                        });
                    } else {
                        self.latest_ns = self.latest_ns.max(time_ns);
                        self.way.take(&frame, time_ns, &vantage, output);
                    }
                }
                Next::Pause => {
                    self.hear();
                    self.waits = self.captures.waits();
                    if self.waits {
                        break;
                    }
                }
                Next::End => {
                    self.hear();
                    self.ended = true;
                    self.way.finish(output);
                    say("the capture is at its end");
                    return Ok(());
                }
            }
        }
        let now_ns = self.now_ns(now);
        self.way.advance(now_ns, output);
        Ok(())
    }

    /// What time it is in the capture.
    pub(super) fn now_ns(&mut self, now: Instant) -> u64 {
        match &self.early {
            Some(early) => {
                let now_ns = self.pace.now_ns(now, early.time_ns);
                now_ns.min(early.time_ns).max(self.latest_ns)
            }
            // Nothing is known of what comes after the latest packet.
            None => self.latest_ns,
        }
    }

    /// Goes on with the next packet now.
    pub(super) fn skip(&mut self, now: Instant) {
        if let Some(early) = &self.early {
            self.pace.set(now, early.time_ns);
        }
    }

    pub(super) fn record(&self, key: &Key) -> Option<Connection> {
        let Way { tracker, assembler } = &self.way;
        assembler.record(key, || tracker.counted(key))
    }

    /// Connections that are followed.
    pub(super) const fn followed(&self) -> usize {
        self.way.assembler.open()
    }

    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// What was counted so far, by name.
    pub(super) fn told(&self) -> Told {
        let Way { tracker, assembler } = &self.way;
        let counts = self.captures.counts();
        let mut told = Totals::from(tracker.counters()).told(assembler.counts(), 0, 0);
        told.events.insert(0, ("packets", counts.packets));
        let unread = counts.unread.iter().map(|(name, n)| (*name, *n));
        told.rejects.extend(unread);
        told
    }

    /// Hands out what is open, where it has not come to its end.
    pub(super) fn finish(&mut self, output: &mut impl Output) {
        self.way.finish(output);
    }

    fn hear(&mut self) {
        while let Some(news) = self.captures.news() {
            match news {
                News::Interface { index, name } => self.way.assembler.name_interface(index, name),
                News::Warning(words) => say(words),
            }
        }
    }
}

impl Way {
    fn take(
        &mut self,
        frame: &Captured<'_>,
        time_ns: u64,
        vantage: &Vantage,
        output: &mut impl Output,
    ) {
        let due_ns = self.assembler.next_deadline_ns();
        if due_ns.is_some_and(|due_ns| time_ns >= due_ns) {
            self.advance(time_ns, output);
        }
        let Self { tracker, assembler } = self;
        tracker.take(frame, vantage, time_ns);
        if let Some(settled) = tracker.settled() {
            assembler.settle(&settled);
        }
        if let Some(event) = tracker.event() {
            let mut outlet = outlet(tracker, output);
            let hint = assembler.observe_at(tracker.note(), &event, &mut outlet);
            tracker.leave(hint);
        }
    }

    fn advance(&mut self, now_ns: u64, output: &mut impl Output) {
        let Self { tracker, assembler } = self;
        assembler.advance(now_ns, &mut outlet(tracker, output));
    }

    fn finish(&mut self, output: &mut impl Output) {
        let Self { tracker, assembler } = self;
        assembler.finish(&mut outlet(tracker, output));
    }
}

/// What the tracker kept of a connection ends with its record.
fn outlet<'a, O>(
    tracker: &'a Tracker<Hint>,
    output: &'a mut O,
) -> Outlet<'a, O, impl FnMut(&Key) -> Option<Accounts>> {
    Outlet {
        output,
        forget: |key: &Key| tracker.forget(key),
    }
}
