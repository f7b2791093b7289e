//! A connection that is followed, in as little memory as it needs: most that a flood opens never get
//! past their SYN.

use synfin_ebpf::event::Event;
use synfin_ebpf::flow::Key;
use synfin_ebpf::segment::Scope;

use super::deadlines::Wait;
use super::track::Track;
use super::{LAST_ACK_NS, Settings};

/// What is known of a connection that is followed.
pub(super) enum Life {
    /// A SYN, and nothing after it yet.
    Opening(Box<Opening>),
    /// Anything else.
    Track(Box<Track>),
}

/// The first event of a connection, which will be taken in when there is need to.
pub(super) struct Opening {
    event: Event,
    started_unix_ns: i128,
}

impl Opening {
    /// A connection whose first event is taken in.
    fn track(&self, settings: &Settings) -> Track {
        let event = &self.event;
        let (key, half) = Key::of(&event.endpoints(), Scope(event.scope));
        let mut track = Track::new(
            event,
            key,
            half,
            self.started_unix_ns,
            None,
            settings.max_steps(),
        );
        track.observe(event, half);
        track
    }
}

impl Life {
    /// Begins with the SYN of a connection.
    pub(super) fn opening(event: &Event, started_unix_ns: i128) -> Self {
        Self::Opening(Box::new(Opening {
            event: *event,
            started_unix_ns,
        }))
    }

    /// The connection with all that is known of it.
    pub(super) fn track_mut(&mut self, settings: &Settings) -> Option<&mut Track> {
        if let Self::Opening(opening) = self {
            *self = Self::Track(Box::new(opening.track(settings)));
        }
        match self {
            Self::Track(track) => Some(track),
            Self::Opening(_) => None,
        }
    }

    /// The same, of one that is followed no more.
    pub(super) fn into_track(self, settings: &Settings) -> Track {
        match self {
            Self::Track(track) => *track,
            Self::Opening(opening) => opening.track(settings),
        }
    }

    /// When its last segment was seen.
    pub(super) const fn last_ns(&self) -> u64 {
        match self {
            Self::Opening(opening) => opening.event.time_ns,
            Self::Track(track) => track.last_ns,
        }
    }

    /// Until when it waits in the state that it is in; for ever while it is open.
    pub(super) fn deadline(&self, settings: &Settings) -> Option<(u64, Wait)> {
        let (wait_ns, wait) = match self {
            Self::Opening(_) => (settings.handshake_timeout_ns, Wait::Handshake),
            Self::Track(track) if track.is_over() || track.is_stray() => {
                (settings.linger_ns, Wait::Linger)
            }
            Self::Track(track) if track.finished() => (LAST_ACK_NS, Wait::LastAck),
            Self::Track(track) if !track.established() && !track.unobserved() => {
                (settings.handshake_timeout_ns, Wait::Handshake)
            }
            Self::Track(_) => return None,
        };
        Some((self.last_ns().saturating_add(wait_ns), wait))
    }
}
