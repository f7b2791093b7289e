//! Puts events together into connections.
//!
//! In: events and the time, in any mixture. Out: steps and finished [`Connection`]s, through
//! [`Output`]. The same calls give the same output: there is no I/O, no clock and no randomness here.
//! The number of connections is bounded; reaching the bound hands out openings, the oldest first, and
//! where there are none the longest idle.

mod closing;
mod deadlines;
mod healing;
mod keeping;
mod names;
mod opening;
mod rare;
mod side;
mod state;
mod steps;
mod table;
mod track;
mod verdict;
mod zeek;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use synfin_ebpf::account::{Accounts, Settled};
use synfin_ebpf::event::{Event, Why};
use synfin_ebpf::flow::{Half, Key};
use synfin_ebpf::segment::{Endpoint, Flags, Scope};
use synfin_ebpf::seq::Seq;

use crate::timeline::{Connection, Previous, Role, Step};
use deadlines::{Deadlines, Wait};
use names::Names;
use rare::Before;
use table::{Found, Slot, Table};
use track::Track;
use verdict::Ended;

/// Segments that are kept of a connection for whoever reads its record.
pub const USUAL_MAX_STEPS: usize = 64;
/// How long a record waits after its end for segments that still belong to it, in ns, where somebody
/// waits for it.
pub const LIVE_LINGER_NS: u64 = 1_000_000_000;
/// Records that may wait so long; of more, those that waited the longest are handed out.
const LINGERING: usize = 4_096;
/// What those waited at least: more than the shortest retransmission timeout in use.
const SHORT_LINGER_NS: u64 = 250_000_000;
/// How long the last ACK of a close is waited for.
const LAST_ACK_NS: u64 = 10_000_000_000;
/// How many ended connections are remembered, so that their late segments are known as such.
const REMEMBERED: usize = 1 << 16;
/// For how long they are: twice the maximum segment lifetime that Linux reckons with.
const REMEMBERED_NS: u64 = 60_000_000_000;

/// What the assembler hands out.
pub trait Output {
    /// Whether steps are of interest.
    fn follows(&self) -> bool {
        true
    }

    /// A step, as it happens.
    fn step(&mut self, live: &Live, step: &Step);

    /// A connection that ended, timed out, or was open at the end; `at_ns` is when it is handed out, by
    /// the events' clock.
    fn connection(&mut self, connection: Connection, at_ns: u64);

    /// Takes what was counted of a connection that is over or never was one.
    fn forget(&mut self, _key: &Key) -> Option<Accounts> {
        None
    }
}

/// Which connection a step belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Wall-clock time of the step, in ns since the Unix epoch.
    pub unix_ns: i128,
    /// The interface that the segment was seen on.
    pub interface: Arc<str>,
    /// The active opener and its initial sequence number.
    pub client: (Endpoint, Option<Seq>),
    /// The passive opener and its initial sequence number.
    pub server: (Endpoint, Option<Seq>),
    /// VLAN tags.
    pub scope: Scope,
}

/// The assembler's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an opening waits for its next segment, in ns.
    pub handshake_timeout_ns: u64,
    /// How long a record waits after its end for segments that still belong to it, in ns.
    pub linger_ns: u64,
    /// Segments that are kept of a connection, at least 2; those past them are counted.
    pub max_steps: usize,
    /// Connections that are followed at once.
    pub max_connections: usize,
    /// How many assemblers there are, each with connections of its own: what is not limited by a
    /// setting is limited for all of them together.
    pub shares: usize,
    /// Names of the interfaces by index, as far as they are known from the beginning.
    pub interfaces: HashMap<u32, Arc<str>>,
}

impl Settings {
    /// A SYN and what answers it are kept at any rate.
    fn max_steps(&self) -> usize {
        self.max_steps.clamp(2, u16::MAX.into())
    }

    /// This assembler's share.
    const fn share(&self, of_all: usize) -> usize {
        match of_all.checked_div(self.shares) {
            Some(share) => share,
            None => of_all,
        }
    }

    /// By how much a record waits longer than it has to, in ns.
    const fn beyond_ns(&self) -> u64 {
        self.linger_ns.saturating_sub(SHORT_LINGER_NS)
    }
}

/// Where the connection of an event may be: the way to it is shorter then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint(Option<Slot>);

/// What the assembler counted besides connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Segments of connections whose record was already handed out.
    pub late: u64,
    /// Segments without a connection that do not tell of one.
    pub stray: u64,
    /// Connections handed out unfinished because there were too many.
    pub evicted: u64,
    /// Events that are known to be lost.
    pub lost: u64,
}

/// Follows connections.
pub struct Assembler {
    settings: Settings,
    /// The connections; of those that are over what is known: their addresses may be used again.
    tracks: Table<Track, Before>,
    deadlines: Deadlines,
    interfaces: Names,
    /// When there is something to do next; the latest of all times where there is not.
    next_ns: u64,
    /// Wall-clock time less the events' clock, in ns.
    wall_offset_ns: i64,
    counts: Counts,
    /// How often events were lost; this goes round.
    losses: u32,
}

impl Counts {
    /// Adds what another assembler counted.
    pub const fn add(&mut self, other: &Self) {
        self.late += other.late;
        self.stray += other.stray;
        self.evicted += other.evicted;
        self.lost += other.lost;
    }
}

impl Assembler {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(mut settings: Settings) -> Self {
        Self {
            interfaces: Names::new(std::mem::take(&mut settings.interfaces)),
            settings,
            tracks: Table::default(),
            deadlines: Deadlines::default(),
            next_ns: u64::MAX,
            wall_offset_ns: 0,
            counts: Counts::default(),
            losses: 0,
        }
    }

    /// Names an interface in records from now on.
    pub fn name_interface(&mut self, index: u32, name: Arc<str>) {
        self.interfaces.set(index, name);
    }

    /// Notes that an interface is gone: its name is kept for as long as a connection needs it.
    pub fn drop_interface(&mut self, index: u32) {
        if self.interfaces.leave(index) {
            let needed: HashSet<u32> = self.tracks.iter().flat_map(Track::interfaces).collect();
            self.interfaces.sweep(&needed);
        }
    }

    /// Sets how far the wall clock is ahead of the events' clock, for connections from now on.
    pub fn set_wall_offset(&mut self, offset_ns: i128) {
        // Either clock counts from a time of which the other is no 292 years away.
        self.wall_offset_ns = i64::try_from(offset_ns).unwrap_or(0);
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Connections that are followed now.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.tracks.len()
    }

    /// Whether the event's connection is followed, and open as far as it was seen: no opening of it is
    /// waited for.
    pub fn has_opened(&mut self, event: &Event) -> bool {
        let (key, _) = Key::of(&event.endpoints(), Scope(event.scope));
        let Found::Live(slot) = self.tracks.find(&key) else {
            return false;
        };
        let track = self.tracks.get_mut(slot);
        track.is_some_and(|track| track.established() || track.unobserved())
    }

    /// The record of a connection that is followed, as it stands now; `counted` gives what is counted of
    /// it so far.
    #[must_use]
    pub fn record(
        &self,
        key: &Key,
        counted: impl FnOnce() -> Option<Accounts>,
    ) -> Option<Connection> {
        let Found::Live(slot) = self.tracks.find(key) else {
            return None;
        };
        let track = self.tracks.get(slot)?;
        // Openings that failed and closes that were seen are what they will be; the rest goes on.
        Some(self.told(key, track, Ended::Unfinished, counted()))
    }

    /// Ends the connection of the event's addresses and ports where its sender has another number by now:
    /// the segments that opened the next one may not have been given.
    pub fn make_way_for(&mut self, event: &Event, output: &mut impl Output) {
        let (key, half) = Key::of(&event.endpoints(), Scope(event.scope));
        let (Found::Live(slot), Some(iss)) = (self.tracks.find(&key), event.sender.iss()) else {
            return;
        };
        let Some(track) = self.tracks.get_mut(slot) else {
            return;
        };
        let before = track.side(track.role(half)).iss();
        // Two CPUs may report in the wrong order.
        let later = event.sender.opened_ns > track.first_ns();
        if later && before.is_some_and(|before| before != iss) {
            self.end(slot, Some(Ended::Superseded), event.time_ns, output);
        }
    }

    /// Notes that events were lost: connections that are there now may lack steps.
    pub const fn lost(&mut self, events: u64) {
        self.counts.lost = self.counts.lost.saturating_add(events);
        if events > 0 {
            self.doubt();
        }
    }

    /// Notes that events are lost that no serial number tells of yet: connections that are there now may
    /// lack steps.
    pub const fn doubt(&mut self) {
        self.losses = self.losses.wrapping_add(1);
    }

    /// Takes the counts of a connection that the next event's takes the place of.
    pub fn settle(&mut self, settled: &Settled) {
        if let Found::Live(slot) = self.tracks.find(&settled.key)
            && let Some(track) = self.tracks.get_mut(slot)
        {
            let before = &mut track.rare_mut().settled;
            let counts = match before {
                Some(before) => before.plus(&settled.accounts),
                None => settled.accounts,
            };
            *before = Some(Box::new(counts));
        }
    }

    /// Takes one event in.
    pub fn observe(&mut self, event: &Event, output: &mut impl Output) {
        self.observe_at(Hint::default(), event, output);
    }

    /// The same, where the last event of its connection gave this hint; gives one for the next event.
    pub fn observe_at(&mut self, hint: Hint, event: &Event, output: &mut impl Output) -> Hint {
        let (key, half) = Key::of(&event.endpoints(), Scope(event.scope));
        let hinted = hint.0.filter(|slot| self.tracks.holds(*slot, &key));
        let found = hinted.map_or_else(|| self.tracks.find(&key), Found::Live);
        Hint(self.take(found, event, (key, half), output))
    }

    /// Takes an event in at the place of its connection; tells where that is now.
    fn take(
        &mut self,
        mut found: Found<Before>,
        event: &Event,
        (key, half): (Key, Half),
        output: &mut impl Output,
    ) -> Option<Slot> {
        let flags = Flags(event.flags);
        if flags.syn()
            && !flags.anomalous()
            && let Found::Live(slot) = found
            && self.make_way(event, slot, half, output)
        {
            found = self.tracks.find(&key);
        }
        let slot = match found {
            Found::Live(slot) => {
                self.tracks.touch(slot, event.time_ns);
                self.go_on(slot, event, (key, half), output)?
            }
            Found::Ended(before) => self.begin(event, (key, half), Some(before), output)?,
            Found::Nothing => self.begin(event, (key, half), None, output)?,
        };
        // It is looked at when its first deadline comes, and then again if there is a later one. What
        // lingers has to be known as such: of those there may be too many.
        let track = self.tracks.get_mut(slot)?;
        if let Some((due_ns, wait)) = track.deadline(&self.settings)
            && (wait == Wait::Linger && !track.is(Track::LINGERS) || due_ns < track.look_ns)
        {
            track.unmark(Track::LINGERS);
            track.mark(Track::LINGERS, wait == Wait::Linger);
            track.look_ns = due_ns;
            self.deadlines.add(due_ns, wait, slot);
            self.look_out();
        }
        Some(slot)
    }

    /// Takes in an event of a connection that is followed; tells whether it still is.
    fn go_on(
        &mut self,
        slot: Slot,
        event: &Event,
        (key, half): (Key, Half),
        output: &mut impl Output,
    ) -> Option<Slot> {
        let track = self.tracks.get_mut(slot)?;
        let syns = track.take_pending_syns_before(event);
        if !syns.is_empty() {
            // Its sender went on from a SYN inside the open connection: that opened another one.
            self.end(slot, Some(Ended::Superseded), event.time_ns, output);
            for event in syns.iter().chain([event]) {
                self.observe(event, output);
            }
            return None;
        }
        let first_ns = track.first_ns();
        let step = track.observe(event, half, self.settings.max_steps());
        if output.follows()
            && let Some(step) = step
        {
            let step = Step {
                t_ns: step.t_ns.saturating_sub(first_ns),
                ..step
            };
            let unix_ns = i128::from(event.time_ns) + i128::from(self.wall_offset_ns);
            let interface = self.interfaces.get(event.interface);
            output.step(&live(&key, track, interface, unix_ns), &step);
        }
        Some(slot)
    }

    /// Hands out what has ended or timed out by `now_ns`.
    pub fn advance(&mut self, now_ns: u64, output: &mut impl Output) {
        let early_ns = now_ns.saturating_add(self.settings.beyond_ns());
        let lingering = self.settings.share(LINGERING);
        while let Some((look_ns, slot)) = self.deadlines.crowded(lingering, early_ns) {
            let ended = |track: &Track| {
                track.look_ns == look_ns
                    && track.deadline(&self.settings) == Some((look_ns, Wait::Linger))
            };
            match self.tracks.get_mut(slot) {
                Some(track) if ended(track) => self.end(slot, None, now_ns, output),
                // It is looked at again when it would have been.
                Some(_) => self.deadlines.add(look_ns, Wait::LastAck, slot),
                None => {}
            }
        }
        while let Some((look_ns, slot)) = self.deadlines.due(now_ns) {
            let Some(track) = self.tracks.get_mut(slot) else {
                continue;
            };
            if track.look_ns != look_ns {
                continue;
            }
            let due = track.deadline(&self.settings);
            track.look_ns = due.map_or(u64::MAX, |(due_ns, _)| due_ns);
            match due {
                Some((due_ns, _)) if due_ns <= now_ns => self.end(slot, None, due_ns, output),
                Some((due_ns, wait)) => self.deadlines.add(due_ns, wait, slot),
                None => {}
            }
        }
        self.tracks.forget(
            now_ns.saturating_sub(REMEMBERED_NS),
            self.settings.share(REMEMBERED),
        );
        self.look_out();
    }

    /// When [`Assembler::advance`] will next have something to do.
    #[must_use]
    pub fn next_deadline_ns(&self) -> Option<u64> {
        Some(self.next_ns).filter(|next_ns| *next_ns < u64::MAX)
    }

    fn look_out(&mut self) {
        let early_ns = self.deadlines.early_ns(self.settings.share(LINGERING));
        let early_ns = early_ns.map(|due_ns| due_ns.saturating_sub(self.settings.beyond_ns()));
        let next_ns = self.deadlines.next_ns().into_iter().chain(early_ns).min();
        self.next_ns = next_ns.unwrap_or(u64::MAX);
    }

    /// Hands out everything, as it is at the end of the observation.
    pub fn finish(&mut self, output: &mut impl Output) {
        while self.finish_some(usize::MAX, output) {}
    }

    /// Hands out up to so many connections, as they are at the end of the observation; tells whether
    /// there are more.
    pub fn finish_some(&mut self, most: usize, output: &mut impl Output) -> bool {
        for _ in 0..most {
            let Some(slot) = self.tracks.oldest() else {
                return false;
            };
            let last_ns = self.tracks.get_mut(slot).map_or(0, |track| track.last_ns);
            self.end(slot, Some(Ended::Unfinished), last_ns, output);
        }
        self.tracks.len() > 0
    }

    /// Ends a connection where a SYN or SYN-ACK begins another one in its place; tells whether it did.
    fn make_way(
        &mut self,
        event: &Event,
        slot: Slot,
        half: Half,
        output: &mut impl Output,
    ) -> bool {
        let Some(track) = self.tracks.get_mut(slot) else {
            return false;
        };
        let with_ack = Flags(event.flags).ack();
        // A SYN inside an open connection that is answered opened another one.
        let syns = if with_ack && !track.is_stray() {
            track.take_pending_syns(Seq(event.ack))
        } else {
            Vec::new()
        };
        let superseded = if with_ack {
            // Lone segments have no part in what opens after them.
            track.is_stray() || !syns.is_empty()
        } else {
            track.is_superseded_by(&event.segment(), track.role(half))
        };
        if superseded {
            self.end(slot, Some(Ended::Superseded), event.time_ns, output);
            for syn in &syns {
                self.observe(syn, output);
            }
        }
        superseded
    }

    /// Begins to follow a connection, if the event is one to begin with. `ended` is what is known of
    /// a connection of the same addresses and ports that is over.
    fn begin(
        &mut self,
        event: &Event,
        (key, half): (Key, Half),
        ended: Option<Before>,
        output: &mut impl Output,
    ) -> Option<Slot> {
        let flags = Flags(event.flags);
        let known = event.sender.iss().is_some() || event.receiver.iss().is_some();
        let opens = flags.syn() && !flags.ack() && !flags.anomalous();
        if ended.is_some_and(|before| !opens && !is_of_another(event, &before)) {
            self.counts.late += 1;
            output.forget(&key);
            return None;
        }
        let lone = flags.rst() || flags.anomalous();
        let first_seen = Why(event.why).any(Why::FIRST_SEEN);
        if !lone && !flags.syn() && !flags.fin() && !known && !first_seen {
            self.counts.stray += 1;
            return None;
        }
        if self.tracks.len() >= self.settings.max_connections
            && let Some(slot) = self.least_of_interest()
        {
            self.counts.evicted += 1;
            self.end(slot, Some(Ended::Unfinished), event.time_ns, output);
        }
        let mut track = Track::new(event, (&key, half), self.wall_offset_ns, ended);
        track.losses_before = self.losses;
        let slot = self.tracks.insert(key, event.time_ns, track);
        self.go_on(slot, event, (key, half), output)
    }

    /// The connection to hand out where there are too many. What waits for a segment or for none goes
    /// first, the oldest opening before all others: no flood takes the place of what came to be.
    fn least_of_interest(&mut self) -> Option<Slot> {
        while let Some((look_ns, slot)) = self.deadlines.any() {
            let Some(track) = self.tracks.get_mut(slot) else {
                continue;
            };
            if track.look_ns != look_ns {
                continue;
            }
            if track.deadline(&self.settings).is_some() {
                return Some(slot);
            }
            // It waits no more: it is open.
            track.look_ns = u64::MAX;
        }
        self.tracks.oldest()
    }

    /// Hands a connection out; without a reason, that of its state.
    fn end(&mut self, slot: Slot, ended: Option<Ended>, at_ns: u64, output: &mut impl Output) {
        let Some((key, track)) = self.tracks.remove(slot) else {
            return;
        };
        let ended = ended.unwrap_or(if track.is_over() {
            Ended::Closed
        } else {
            Ended::TimedOut
        });
        // What took its place is counted under the same key.
        let counted = if ended == Ended::Superseded {
            None
        } else {
            output.forget(&key)
        };
        let over = track.is_over() || track.finished() || ended == Ended::Superseded;
        // What is no connection has nothing that could come late, or be taken the place of.
        let over = over && !track.is_stray();
        let numbers = track.numbers();
        let connection = self.told(&key, &track, ended, counted);
        if over {
            let before = Before {
                told: Previous {
                    client_isn: connection.client.isn,
                    server_isn: connection.server.isn,
                    outcome: connection.open.outcome,
                    close: connection.close.kind,
                },
                numbers,
            };
            self.tracks.remember(key, at_ns, before);
        }
        output.connection(connection, at_ns);
    }

    /// What there is to tell of a connection, with what was counted of it.
    fn told(
        &self,
        key: &Key,
        track: &Track,
        ended: Ended,
        counted: Option<Accounts>,
    ) -> Connection {
        let settled = track.rare().and_then(|rare| rare.settled.as_deref());
        let accounts = match (settled, counted) {
            (Some(before), Some(counted)) => Some(before.plus(&counted)),
            (before, counted) => before.copied().or(counted),
        };
        let interface = self.interfaces.get(track.interface());
        let seen_also_on = track.seen_also_on(accounts.as_ref());
        let seen_also_on = seen_also_on
            .into_iter()
            .map(|index| self.interfaces.get(index));
        let gap = self.losses != track.losses_before;
        Connection {
            interface,
            seen_also_on: seen_also_on.collect(),
            ..verdict::connection(key, track, ended, gap, accounts)
        }
    }
}

/// Whether an event, by what the programs remember of its opening, is of another connection than the
/// one before, though no SYN of it was given.
fn is_of_another(event: &Event, before: &Before) -> bool {
    let (sender, receiver) = (&event.sender, &event.receiver);
    let client = if sender.is_passive() {
        receiver
    } else {
        sender
    };
    let opened = sender.iss().is_some() && receiver.iss().is_some();
    opened && client.iss() != before.told.client_isn
}

fn live(key: &Key, track: &Track, interface: Arc<str>, unix_ns: i128) -> Live {
    let end = |role: Role| {
        let endpoint = key.endpoint(track.half(role));
        (endpoint, track.side(role).iss())
    };
    Live {
        unix_ns,
        interface,
        client: end(Role::Client),
        server: end(Role::Server),
        scope: key.scope,
    }
}
