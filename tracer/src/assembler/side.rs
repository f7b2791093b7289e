//! What is known of one endpoint of a tracked connection.

use synfin_ebpf::event;
use synfin_ebpf::seq::Seq;

use crate::timeline::{State, TcpOptions};

/// No time.
const NEVER: u64 = u64::MAX;

/// One endpoint. There are two of them for each connection that is open: truths are bits.
#[derive(Clone, Debug)]
pub(super) struct Side {
    opened_ns: u64,
    syn_acked_ns: u64,
    iss: u32,
    highest_ack: u32,
    /// SYNs and SYN-ACKs with its number.
    pub(super) syns: u32,
    /// Payload of its SYN in octets.
    pub(super) syn_len: u32,
    options: Options,
    marks: u16,
    /// Its inferred state.
    pub(super) state: State,
}

const _: () = assert!(size_of::<Side>() == 40);

/// The options of a SYN in four octets.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    mss: u16,
    window_scale: u8,
    bits: u8,
}

/// A FIN.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fin {
    /// The number that acknowledges it: FIN.SEQ + 1.
    pub(super) end: Seq,
    /// What it acknowledged itself.
    pub(super) ack: Seq,
    /// When it was first seen.
    pub(super) t_ns: u64,
    /// When it was first acknowledged.
    pub(super) acked_ns: Option<u64>,
    /// The peer's FIN acknowledged it.
    pub(super) acked_by_fin: bool,
}

impl Side {
    /// It sent a SYN without ACK.
    pub(super) const SENT_SYN: u16 = 1;
    /// It sent a SYN-ACK.
    pub(super) const SENT_SYN_ACK: u16 = 1 << 1;
    /// Its number came from another event than its SYN's.
    pub(super) const HEALED: u16 = 1 << 2;
    /// The acknowledgment of its SYN was of its SYN's number and no more, and a SYN-ACK's where it had
    /// to be: the time between them is that of a leg.
    pub(super) const ACKED_AS_LEG: u16 = 1 << 3;
    /// One SYN of it had been seen when that was first acknowledged, no more and no less.
    pub(super) const ACKED_AFTER_ONE: u16 = 1 << 4;
    /// It sent payload outside a SYN.
    pub(super) const DATA: u16 = 1 << 5;
    /// It sent an ACK without SYN and without payload.
    pub(super) const PURE_ACK: u16 = 1 << 6;
    /// A segment was seen of it.
    pub(super) const SPOKE: u16 = 1 << 7;
    /// `iss` is known.
    pub(super) const ISS: u16 = 1 << 8;
    const ACKED: u16 = 1 << 9;
    const OPTIONS: u16 = 1 << 10;

    pub(super) const fn new(state: State) -> Self {
        Self {
            opened_ns: NEVER,
            syn_acked_ns: NEVER,
            iss: 0,
            highest_ack: 0,
            syns: 0,
            syn_len: 0,
            options: Options {
                mss: 0,
                window_scale: 0,
                bits: 0,
            },
            marks: 0,
            state,
        }
    }

    /// Whether this is so.
    pub(super) const fn is(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// Notes that something is so, if it is.
    pub(super) const fn mark(&mut self, mark: u16, so: bool) {
        if so {
            self.marks |= mark;
        }
    }

    /// Its initial sequence number: seen on its SYN or SYN-ACK, or proved by the peer's SYN-ACK.
    pub(super) fn iss(&self) -> Option<Seq> {
        self.is(Self::ISS).then_some(Seq(self.iss))
    }

    pub(super) const fn set_iss(&mut self, iss: Seq) {
        self.iss = iss.0;
        self.marks |= Self::ISS;
    }

    /// When its first SYN or SYN-ACK was seen.
    pub(super) fn opened_ns(&self) -> Option<u64> {
        (self.opened_ns != NEVER).then_some(self.opened_ns)
    }

    pub(super) fn set_opened_ns(&mut self, t_ns: u64) {
        self.opened_ns = t_ns.min(NEVER - 1);
    }

    /// When its SYN was first acknowledged.
    pub(super) fn syn_acked_ns(&self) -> Option<u64> {
        self.syn_acked().then_some(self.syn_acked_ns)
    }

    /// Whether its SYN was acknowledged.
    pub(super) const fn syn_acked(&self) -> bool {
        self.syn_acked_ns != NEVER
    }

    /// The highest acknowledgment that it sent.
    pub(super) fn highest_ack(&self) -> Option<Seq> {
        self.is(Self::ACKED).then_some(Seq(self.highest_ack))
    }

    /// Options of its SYN or SYN-ACK.
    pub(super) fn options(&self) -> Option<TcpOptions> {
        self.is(Self::OPTIONS).then(|| self.options.unpack())
    }

    pub(super) fn set_options(&mut self, options: &TcpOptions) {
        self.options = Options::pack(options);
        self.marks |= Self::OPTIONS;
    }

    /// Takes from an event what was missed of the side's opening; tells whether that was anything.
    pub(super) fn heal(&mut self, known: &event::Side) -> bool {
        let Some(iss) = known.iss() else {
            return false;
        };
        // What its peer's SYN-ACK proved is not to be learnt otherwise.
        if self.syns > 0 || self.iss().is_some_and(|proved| proved != iss) {
            return false;
        }
        self.set_iss(iss);
        self.set_opened_ns(known.opened_ns);
        self.syns = known.syns.into();
        if known.text().is_none() {
            self.set_options(&TcpOptions::parse(known.options()));
        }
        self.mark(Self::HEALED, true);
        true
    }

    /// Whether an acknowledgment covers its SYN.
    pub(super) fn syn_covered(&self, ack: Seq) -> bool {
        // SYN occupies one sequence number (RFC 9293 §3.4).
        self.iss().is_some_and(|iss| ack.covers(iss.add(1)))
    }

    /// Notes that its SYN was acknowledged; tells whether that is news.
    pub(super) fn acknowledge_syn(&mut self, t_ns: u64, as_leg: bool) -> bool {
        let news = !self.syn_acked();
        if news {
            self.syn_acked_ns = t_ns.min(NEVER - 1);
            self.mark(Self::ACKED_AS_LEG, as_leg);
            self.mark(Self::ACKED_AFTER_ONE, self.syns == 1);
        }
        news
    }

    /// Notes the highest acknowledgment that it sent.
    pub(super) fn acknowledges(&mut self, ack: Seq) {
        if self.highest_ack().is_none_or(|highest| highest.before(ack)) {
            self.highest_ack = ack.0;
            self.marks |= Self::ACKED;
        }
    }
}

impl Options {
    const MSS: u8 = 1;
    const WINDOW_SCALE: u8 = 1 << 1;
    const SACK: u8 = 1 << 2;
    const TIMESTAMPS: u8 = 1 << 3;
    const FAST_OPEN: u8 = 1 << 4;
    const MPTCP: u8 = 1 << 5;
    const ECN: u8 = 1 << 6;
    const MALFORMED: u8 = 1 << 7;

    fn pack(options: &TcpOptions) -> Self {
        let bits = [
            (Self::MSS, options.mss.is_some()),
            (Self::WINDOW_SCALE, options.window_scale.is_some()),
            (Self::SACK, options.sack),
            (Self::TIMESTAMPS, options.timestamps),
            (Self::FAST_OPEN, options.fast_open),
            (Self::MPTCP, options.mptcp),
            (Self::ECN, options.ecn),
            (Self::MALFORMED, options.malformed),
        ];
        Self {
            mss: options.mss.unwrap_or_default(),
            window_scale: options.window_scale.unwrap_or_default(),
            bits: bits.iter().map(|(bit, sent)| bit * u8::from(*sent)).sum(),
        }
    }

    fn unpack(self) -> TcpOptions {
        let has = |bit: u8| self.bits & bit != 0;
        TcpOptions {
            mss: has(Self::MSS).then_some(self.mss),
            window_scale: has(Self::WINDOW_SCALE).then_some(self.window_scale),
            sack: has(Self::SACK),
            timestamps: has(Self::TIMESTAMPS),
            fast_open: has(Self::FAST_OPEN),
            mptcp: has(Self::MPTCP),
            ecn: has(Self::ECN),
            malformed: has(Self::MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_out_as_they_went_in() {
        for bits in 0..=u8::MAX {
            let options = Options {
                mss: 1460 * u16::from(bits & Options::MSS),
                window_scale: 7 * u8::from(bits & Options::WINDOW_SCALE != 0),
                bits,
            };
            let packed = Options::pack(&options.unpack());
            assert_eq!(packed.unpack(), options.unpack());
            assert_eq!(packed.bits, bits);
        }
    }
}
