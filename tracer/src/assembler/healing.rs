//! What an event tells of an opening whose own events were lost: its numbers, and its steps.
//!
//! The event that completes a handshake carries the whole opening, and those of a close do too. A SYN
//! or SYN-ACK that was only learnt of so is a step without payload and window.

use synfin_ebpf::event::{self, Event};
use synfin_ebpf::segment::Flags;

use super::side::Side;
use super::state::Input;
use super::steps::Kept;
use super::track::Track;
use crate::timeline::{Role, Step};

/// When a connection began: with its first event, or with the opening that this tells of.
pub(super) fn begun_ns(event: &Event) -> u64 {
    let opened = told(event).map(|(_, side)| side.opened_ns);
    opened.fold(event.time_ns, u64::min)
}

/// The sides whose SYN the event tells of besides its own segment, and whether each is the sender.
fn told(event: &Event) -> impl Iterator<Item = (bool, &event::Side)> {
    let own = !Flags(event.flags).syn();
    let sides = [(true, &event.sender), (false, &event.receiver)];
    (sides.into_iter()).filter(move |(sends, side)| side.iss().is_some() && (own || !sends))
}

impl Track {
    /// Takes from an event what was missed of the opening.
    pub(super) fn heal(&mut self, event: &Event, from: Role, max_steps: usize) {
        let mut learnt = [None; 2];
        for (place, (sends, known)) in learnt.iter_mut().zip(told(event)) {
            let role = if sends { from } else { from.peer() };
            let news = !self.side(role).is(Side::HEALED);
            if self.side_mut(role).heal(known) {
                self.mark(Self::HEALED, true);
                // What comes after what tells of it is a clock that was set back.
                let in_order = known.opened_ns <= event.time_ns;
                *place = (news && in_order).then_some((known.opened_ns, role, known.is_passive()));
            }
        }
        // First the numbers, then the steps: a SYN-ACK acknowledges the peer's.
        learnt.sort_unstable_by_key(|learnt| learnt.map(|(opened_ns, ..)| opened_ns));
        for (opened_ns, role, passive) in learnt.into_iter().flatten() {
            self.learn(opened_ns, role, passive, event, max_steps);
        }
    }

    /// Takes in a SYN or SYN-ACK that was only learnt of.
    fn learn(&mut self, t_ns: u64, role: Role, passive: bool, event: &Event, max_steps: usize) {
        if t_ns < self.first_ns() {
            self.rare_mut().first_ns = Some(t_ns);
        }
        let states = |track: &Self| [Role::Client, Role::Server].map(|role| track.side(role).state);
        let before = states(self);
        if passive {
            self.side_mut(role).mark(Side::SENT_SYN_ACK, true);
            self.advance(role, Input::SendsSynAck, None);
        } else {
            self.side_mut(role).mark(Side::SENT_SYN, true);
            self.advance(role, Input::SendsSyn, Some(Input::SynArrives));
        }
        let after = states(self);
        let changed = |index: usize| (after[index] != before[index]).then_some(after[index]);
        let (own, peer) = (self.side(role), self.side(role.peer()));
        let Some(seq) = own.iss() else {
            return;
        };
        // With a Fast Open it may have acknowledged more (RFC 7413 §3).
        let exact = passive && !peer.options().is_some_and(|options| options.fast_open);
        let step = Step {
            t_ns,
            from: role,
            flags: if passive {
                Flags::SYN.with(Flags::ACK)
            } else {
                Flags::SYN
            },
            seq,
            ack: peer.iss().filter(|_| exact).map(|iss| iss.add(1)),
            len: 0,
            window: None,
            check: None,
            client_state: changed(0),
            server_state: changed(1),
        };
        self.keep_learnt(
            Kept {
                step,
                interface: event.interface,
                direction: event.direction(),
                checksum: 0,
                ident: 0,
            },
            max_steps,
        );
    }
}
