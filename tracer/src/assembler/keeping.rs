//! Which segments a track keeps, and what they are enough for: to know a copy, and to say what Zeek
//! would say. Its words are derived from the steps as long as these tell all, and kept beside them from
//! the first event on that they do not tell.

use synfin_ebpf::event::{self, Event};
use synfin_ebpf::flow::{COPY_NS, Half};
use synfin_ebpf::segment::{Flags, Segment};

use super::side::Side;
use super::steps::Kept;
use super::track::Track;
use super::zeek::Words;
use crate::timeline::{Proof, Role, Step};

/// Of eight steps that a track keeps, those that segments may take which prove nothing.
const REPEATED_EIGHTHS: usize = 5;

impl Track {
    /// The interface where it was seen before: at another place, or at the same one, where checksum and
    /// identification of a copy are the same as well.
    pub(super) fn seen_before(&self, event: &Event, segment: &Segment, from: Role) -> Option<u32> {
        // Where segments are counted, copies were found out before.
        let counted = event.sender.known & event::Side::ACKED != 0;
        if counted {
            return None;
        }
        let recent = |kept: &Kept| event.time_ns.abs_diff(kept.step.t_ns) < COPY_NS;
        let mut kept = self.kept().rev().take_while(recent);
        let original = kept.find(|kept| {
            let step = &kept.step;
            let acks = step.ack.is_none_or(|ack| ack == segment.ack);
            !step.is_learnt() && step.from == from && acks && is_copy(kept, event, segment)
        });
        Some(original?.interface)
    }

    pub(super) fn keep(
        &mut self,
        step: Step,
        event: &Event,
        half: Half,
        max_steps: usize,
    ) -> Option<Step> {
        let proves = step
            .check
            .is_some_and(|check| check.proof != Proof::Retransmission);
        let room = if proves || step.flags.fin() {
            max_steps
        } else {
            max_steps * REPEATED_EIGHTHS / 8
        };
        if step.flags.syn() && self.is(Self::HEALED) {
            self.forget_learnt(&step);
        }
        let has_room = self.steps.len() < room;
        let place = self.steps.place(step.t_ns, self.whole());
        let spoken = self.rare().is_some_and(|rare| rare.words.is_some());
        if !(spoken || has_room && place == self.steps.len()) {
            // From here on its steps are not what Zeek would have seen.
            self.words_mut(event, half).observe(event, half);
        }
        if !has_room {
            self.rare_mut().omitted += 1;
            return None;
        }
        let kept = Kept {
            step: step.clone(),
            interface: event.interface,
            direction: event.direction(),
            checksum: event.checksum,
            ident: event.ident,
        };
        let rare = &mut self.rare;
        self.steps
            .insert(kept, place, || &mut rare.get_or_insert_default().whole);
        Some(step)
    }

    /// Keeps a step that was only learnt of. Zeek's words are kept by themselves then.
    pub(super) fn keep_learnt(&mut self, kept: Kept, max_steps: usize) {
        if self.steps.len() >= max_steps {
            return;
        }
        let place = self.steps.place(kept.step.t_ns, self.whole());
        let rare = &mut self.rare;
        self.steps
            .insert(kept, place, || &mut rare.get_or_insert_default().whole);
    }

    /// Takes a step out that was only learnt of, where its own event comes late.
    fn forget_learnt(&mut self, step: &Step) {
        let same = |kept: Kept| {
            let learnt = kept.step;
            learnt.is_learnt()
                && (learnt.from, learnt.seq) == (step.from, step.seq)
                && learnt.flags.ack() == step.flags.ack()
        };
        let place = self.kept().position(same);
        if let Some(place) = place {
            self.steps.remove(place);
        }
    }

    /// Whether the steps say all that Zeek would say of the events so far, this one included, should
    /// its step become the last.
    pub(super) fn steps_tell(&self, event: &Event, from: Role) -> bool {
        let opened = |role: Role| {
            let side = self.side(role);
            side.is(Side::SENT_SYN) || side.is(Side::SENT_SYN_ACK)
        };
        let flags = Flags(event.flags);
        self.rare().is_none_or(|rare| rare.words.is_none())
            && !Words::needs(event)
            && self.is(Self::ACCOUNTED) == Words::accounted(event)
            // It tells of no SYN that was not seen.
            && (event.receiver.iss().is_none() || opened(from.peer()))
            && (flags.syn() || event.sender.iss().is_none() || opened(from))
    }

    /// Zeek's words, kept from now on.
    pub(super) fn words_mut(&mut self, event: &Event, half: Half) -> &mut Words {
        let ports = match half {
            Half::Lo => [event.source_port, event.destination_port],
            Half::Hi => [event.destination_port, event.source_port],
        };
        let known = self.rare_mut().words.take();
        let words = known.unwrap_or_else(|| {
            let spoken = self.words(ports);
            Box::new(spoken.unwrap_or_else(|| Words::new(Flags(event.flags), ports, half)))
        });
        self.rare_mut().words.insert(words)
    }

    /// What Zeek would say so far; `ports` are those of the key's lower and higher endpoint. `None`
    /// before the first event.
    pub(super) fn words(&self, ports: [u16; 2]) -> Option<Words> {
        if let Some(words) = self.rare().and_then(|rare| rare.words.as_deref()) {
            return Some(words.clone());
        }
        let mut words = None;
        for kept in self.kept() {
            let sender = self.half(kept.step.from);
            words
                .get_or_insert_with(|| Words::new(kept.step.flags, ports, sender))
                .observe_step(&kept.step, sender, self.is(Self::ACCOUNTED));
        }
        words
    }
}

/// Whether what was seen is the same as what is kept, by what else its sender said.
fn is_copy(kept: &Kept, event: &Event, segment: &Segment) -> bool {
    let step = &kept.step;
    let equal = (step.flags, step.seq, step.len) == (segment.flags, segment.seq, segment.len);
    if (kept.interface, kept.direction) == (event.interface, event.direction()) {
        return equal
            && (kept.checksum, kept.ident) == (event.checksum, event.ident)
            && event.ident != 0;
    }
    // Between two places a checksum may be filled in, and what was sent in pieces put together.
    let sent_again = kept.ident != event.ident && kept.ident != 0 && event.ident != 0;
    let fins = step.flags.fin() && segment.flags.fin();
    let end = step.seq.add(step.len);
    equal && !sent_again || !equal && fins && end == segment.seq.add(segment.len)
}
