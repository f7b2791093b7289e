//! Times in which openings that begin are not listed.
//!
//! An opening is listed or not by when it began, and all its segments share that: what is known of it
//! is whole, or nothing. A spell begins after the latest event that was taken and ends with it, so that
//! events of several CPUs that come in another order meet the same answer.

use std::collections::VecDeque;

use synfin_ebpf::segment::Endpoint;

/// Spells in the order of their beginnings, so many at most.
#[derive(Clone, Debug)]
pub(super) struct Spells {
    all: VecDeque<Spell>,
    most: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Spell {
    /// Whom it is about; `None` for everybody.
    server: Option<Endpoint>,
    from_ns: u64,
    /// The latest of all times while it lasts.
    until_ns: u64,
    /// When it was last found to be needed.
    needed_ns: u64,
}

impl Spell {
    const fn lasts(&self) -> bool {
        self.until_ns == u64::MAX
    }

    fn is_about(&self, ends: &[Endpoint; 2]) -> bool {
        self.server.is_none_or(|server| ends.contains(&server))
    }
}

impl Spells {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: VecDeque::with_capacity(most),
            most,
        }
    }

    /// Whether an opening between these ends began in one of them.
    pub(super) fn hold(&self, ends: &[Endpoint; 2], began_ns: u64) -> bool {
        let holds = |spell: &Spell| {
            (spell.from_ns..=spell.until_ns).contains(&began_ns) && spell.is_about(ends)
        };
        self.all.iter().rev().any(holds)
    }

    /// Whether one of them lies in this time.
    pub(super) fn touch(&self, ends: &[Endpoint; 2], first_ns: u64, last_ns: u64) -> bool {
        let touches = |spell: &Spell| spell.from_ns <= last_ns && first_ns <= spell.until_ns;
        self.all
            .iter()
            .any(|spell| touches(spell) && spell.is_about(ends))
    }

    /// Notes at this time that one is needed for this server; it begins then, unless one lasts. Where
    /// there is no room the oldest makes some, but of those that last, none.
    pub(super) fn need(&mut self, server: Option<Endpoint>, from_ns: u64, now_ns: u64) {
        let lasting = |spell: &&mut Spell| spell.lasts() && spell.server == server;
        if let Some(spell) = self.all.iter_mut().find(lasting) {
            spell.needed_ns = now_ns;
            return;
        }
        if self.all.len() >= self.most {
            let Some(oldest) = self.all.iter().position(|spell| !spell.lasts()) else {
                return;
            };
            self.all.remove(oldest);
        }
        self.all.push_back(Spell {
            server,
            from_ns,
            until_ns: u64::MAX,
            needed_ns: now_ns,
        });
    }

    /// Ends those that were not needed after `since_ns`.
    pub(super) fn end(&mut self, since_ns: u64, until_ns: u64) {
        for spell in &mut self.all {
            if spell.lasts() && spell.needed_ns <= since_ns {
                // Nothing may have been taken since it began.
                spell.until_ns = until_ns.max(spell.from_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use synfin_ebpf::segment::Address;

    use super::*;

    fn end(port: u16) -> Endpoint {
        Endpoint {
            address: Address::v4([10, 0, 0, 1]),
            port,
        }
    }

    #[test]
    fn a_spell_holds_what_begins_in_it_for_either_end() {
        let mut spells = Spells::new(4);
        spells.need(Some(end(443)), 10, 0);
        for ends in [[end(9), end(443)], [end(443), end(9)]] {
            assert!(!spells.hold(&ends, 9));
            assert!(spells.hold(&ends, 10));
            assert!(spells.hold(&ends, 1_000));
        }
        assert!(!spells.hold(&[end(9), end(80)], 10));
        spells.end(0, 20);
        assert!(spells.hold(&[end(9), end(443)], 20));
        assert!(!spells.hold(&[end(9), end(443)], 21));
    }

    #[test]
    fn a_spell_lasts_while_it_is_needed() {
        let mut spells = Spells::new(4);
        spells.need(None, 10, 10);
        spells.need(None, 30, 30);
        spells.end(20, 40);
        assert!(spells.hold(&[end(1), end(2)], 50));
        spells.end(30, 40);
        assert!(!spells.hold(&[end(1), end(2)], 50));
        assert!(spells.hold(&[end(1), end(2)], 10));
    }

    #[test]
    fn the_oldest_that_is_over_makes_room_and_none_that_lasts() {
        let mut spells = Spells::new(2);
        spells.need(Some(end(1)), 1, 1);
        spells.end(1, 1);
        spells.need(Some(end(2)), 2, 2);
        spells.need(Some(end(3)), 3, 3);
        assert!(!spells.hold(&[end(1), end(9)], 1));
        spells.need(Some(end(4)), 4, 4);
        assert!(!spells.hold(&[end(4), end(9)], 4));
        assert!(spells.hold(&[end(2), end(9)], 4));
    }

    #[test]
    fn a_time_is_touched_by_a_spell_in_any_part_of_it() {
        let mut spells = Spells::new(2);
        spells.need(None, 10, 10);
        spells.end(10, 20);
        let ends = [end(1), end(2)];
        for (first, last, touched) in [(0, 9, false), (0, 10, true), (12, 13, true), (20, 99, true)]
        {
            assert_eq!(spells.touch(&ends, first, last), touched, "{first} {last}");
        }
        assert!(!spells.touch(&ends, 21, 99));
    }
}
