//! When the interface was down, and when somebody stood still, by the wall clock in ns.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

/// From when to when something was.
pub(super) type Span = (i128, i128);

/// After it goes on, the daemon has caught up within this time, and so has the reader.
const CATCH_UP_NS: i128 = 3_000_000_000;
/// What was sent while the interface was down comes again within this time.
const COME_AGAIN_NS: i128 = 2_000_000_000;
/// A record waits so long for late segments, and a little longer where the daemon has other work.
const LINGERING_NS: i128 = 2_000_000_000;
/// A record is handed out at most so long after the last segment.
const HANDED_OUT_NS: i128 = 12_000_000_000;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Times {
    /// The interface was down.
    pub(super) down: Vec<Span>,
    /// The daemon stood still.
    pub(super) stopped: Spells,
    /// Nobody read the output.
    pub(super) unread: Spells,
}

impl Times {
    /// Whether the interface may have held up what was said in this time.
    pub(super) fn was_down((from, to): Span, down: &[Span]) -> bool {
        let overlaps = |&(since, until): &Span| from <= until + COME_AGAIN_NS && since <= to;
        down.iter().any(overlaps)
    }

    /// Whether the daemon may have missed what was said in this time.
    pub(super) fn was_stopped(&self, span: Span) -> bool {
        self.stopped.touch(span)
    }

    /// Whether what was said in this time may be marked: its record waits for late segments.
    pub(super) fn may_mark(&self, (from, to): Span) -> bool {
        self.stopped.touch((from, to + LINGERING_NS))
    }

    /// Whether the record of what was said in this time may have been dropped.
    pub(super) fn was_unread(&self, (from, to): Span) -> bool {
        self.unread.touch((from, to + HANDED_OUT_NS))
    }
}

/// Times in which somebody stood still.
#[derive(Debug, Default)]
pub(super) struct Spells {
    over: Vec<Span>,
    since_ns: Option<i128>,
}

impl Spells {
    pub(super) fn begin(&mut self, now_ns: i128) {
        self.since_ns.get_or_insert(now_ns);
    }

    pub(super) fn end(&mut self, now_ns: i128) {
        let since_ns = self.since_ns.take();
        self.over
            .extend(since_ns.map(|since_ns| (since_ns, now_ns)));
    }

    fn touch(&self, (from, to): Span) -> bool {
        let overlaps = |&(since, until): &Span| from <= until + CATCH_UP_NS && since <= to;
        self.over.iter().any(overlaps)
    }
}

/// The wall clock.
pub(super) fn now_ns() -> Result<i128> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i128::try_from(since.as_nanos())?)
}
