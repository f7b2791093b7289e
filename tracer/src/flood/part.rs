//! What part an event has in the opening of its connection.

use synfin_ebpf::event::{Event, Why};
use synfin_ebpf::segment::{Endpoint, Flags};

/// A segment of an opening, as the programs count those that they hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Syn,
    SynAck,
    Other,
}

/// What part an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It opens a connection, and proves nothing of it.
    Opens(Kind),
    /// A RST, or an ACK of a server that says no more: it may be the end of an opening, or belong to
    /// a connection that is open.
    Doubtful,
    /// The client goes on from the handshake, for the first time.
    Completes,
    /// Anything else: it belongs to a connection that is open, or to none.
    Beside,
}

impl Part {
    pub(super) fn of(event: &Event) -> Self {
        let flags = Flags(event.flags);
        let (sender, receiver) = (&event.sender, &event.receiver);
        if flags.syn() {
            return Self::Opens(if flags.ack() { Kind::SynAck } else { Kind::Syn });
        }
        if flags.anomalous() {
            return Self::Beside;
        }
        if flags.rst() {
            return Self::Doubtful;
        }
        if sender.iss().is_none() && receiver.iss().is_none() {
            return Self::Beside;
        }
        let segment = event.segment();
        // A challenge ACK does not acknowledge the SYN that it answers (RFC 5961 §4).
        let acknowledges =
            flags.ack() && (receiver.iss()).is_none_or(|iss| segment.ack.covers(iss.add(1)));
        let by_client = receiver.is_passive() || sender.iss().is_some() && !sender.is_passive();
        match (acknowledges, by_client) {
            (false, _) => Self::Doubtful,
            (true, true) => {
                // Where only the client is seen, its first ACK says as much as can be known.
                let first = if receiver.iss().is_some() {
                    Why::ACKS_SYN
                } else {
                    Why::FIRST_ACK
                };
                if Why(event.why).any(first) {
                    Self::Completes
                } else {
                    Self::Beside
                }
            }
            // A server sends data and FIN once the handshake is complete (RFC 9293 §3.10.7.4).
            (true, false) if segment.len > 0 || flags.fin() => Self::Beside,
            (true, false) => Self::Doubtful,
        }
    }
}

/// When the opening began that the event belongs to, by what the programs remember of it; else with
/// this event.
pub(super) fn began_ns(event: &Event) -> u64 {
    let sides = [&event.sender, &event.receiver].into_iter();
    let opened = sides.filter(|side| side.iss().is_some());
    let opened = opened.map(|side| side.opened_ns).min();
    opened.map_or(event.time_ns, |opened_ns| opened_ns.min(event.time_ns))
}

/// Where the event was sent to.
pub(super) fn destination(event: &Event) -> Endpoint {
    let [_, destination] = event.endpoints();
    destination
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flood::fixtures::{IRS, ISS, Opening};

    const OPENING: Opening = Opening::new([10, 0, 0, 9], 40_000, 443, 1_000);

    #[test]
    fn what_has_a_syn_opens() {
        assert_eq!(Part::of(&OPENING.syn()), Part::Opens(Kind::Syn));
        assert_eq!(Part::of(&OPENING.syn_ack()), Part::Opens(Kind::SynAck));
        let mut odd = OPENING.syn();
        odd.flags |= Flags::FIN.0;
        assert_eq!(Part::of(&odd), Part::Opens(Kind::Syn));
    }

    #[test]
    fn the_acknowledgment_of_the_syn_ack_completes_and_nothing_after_it_does() {
        let ack = OPENING.ack();
        assert_eq!(Part::of(&ack), Part::Completes);
        assert_eq!(Part::of(&Event { why: 0, ..ack }), Part::Beside);
        let wrong = Event { ack: IRS, ..ack };
        assert_eq!(Part::of(&wrong), Part::Doubtful);
    }

    #[test]
    fn a_reset_is_doubtful_whoever_sends_it() {
        for event in [OPENING.refusal(), OPENING.abort()] {
            assert_eq!(Part::of(&event), Part::Doubtful);
        }
    }

    #[test]
    fn a_server_that_sends_data_has_seen_the_handshake_and_one_that_acknowledges_may_not() {
        let bare = Event {
            flags: Flags::ACK.0,
            ..OPENING.syn_ack()
        };
        assert_eq!(Part::of(&bare), Part::Doubtful);
        assert_eq!(Part::of(&Event { len: 5, ..bare }), Part::Beside);
        let fin = Event {
            flags: Flags::ACK.with(Flags::FIN).0,
            ..bare
        };
        assert_eq!(Part::of(&fin), Part::Beside);
        // A challenge ACK.
        let challenge = Event {
            ack: ISS,
            len: 5,
            ..bare
        };
        assert_eq!(Part::of(&challenge), Part::Doubtful);
    }

    #[test]
    fn where_only_the_client_is_seen_its_first_ack_completes() {
        let mut ack = OPENING.ack();
        ack.receiver = synfin_ebpf::event::NO_SIDE;
        ack.why = Why::FIRST_ACK.0;
        assert_eq!(Part::of(&ack), Part::Completes);
        ack.why = Why::FIRST_DATA.0;
        assert_eq!(Part::of(&ack), Part::Beside);
    }

    #[test]
    fn what_is_known_of_nothing_is_beside_and_began_now() {
        let mut fin = OPENING.ack();
        fin.flags |= Flags::FIN.0;
        (fin.sender, fin.receiver) = (synfin_ebpf::event::NO_SIDE, synfin_ebpf::event::NO_SIDE);
        assert_eq!(Part::of(&fin), Part::Beside);
        assert_eq!(began_ns(&fin), fin.time_ns);
        assert_eq!(began_ns(&OPENING.abort()), OPENING.syn().time_ns);
    }
}
