//! Names of interfaces, kept for as long as a record may need them.
//!
//! Interfaces come and go, and a connection may outlive its own. The names of those that are gone are
//! looked through when there are twice as many as were needed the last time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// So many names of interfaces that are gone are kept at any rate.
const FEW: usize = 1_024;

/// Names by index.
#[derive(Clone, Debug)]
pub(super) struct Names {
    names: HashMap<u32, Name>,
    gone: usize,
    /// Names of interfaces that are gone are kept up to here.
    most: usize,
}

#[derive(Clone, Debug)]
struct Name {
    name: Arc<str>,
    gone: bool,
}

impl Names {
    pub(super) fn new(names: HashMap<u32, Arc<str>>) -> Self {
        let gone = false;
        let names = names
            .into_iter()
            .map(|(index, name)| (index, Name { name, gone }));
        Self {
            names: names.collect(),
            gone: 0,
            most: FEW,
        }
    }

    /// Names an interface from now on.
    pub(super) fn set(&mut self, index: u32, name: Arc<str>) {
        let gone = false;
        let before = self.names.insert(index, Name { name, gone });
        self.gone -= usize::from(before.is_some_and(|before| before.gone));
    }

    /// The name of an interface, or its number.
    pub(super) fn get(&self, index: u32) -> Arc<str> {
        let known = self.names.get(&index);
        known.map_or_else(|| format!("#{index}").into(), |known| known.name.clone())
    }

    /// Notes that an interface is gone; tells whether it is time to [`Names::sweep`].
    pub(super) fn leave(&mut self, index: u32) -> bool {
        if let Some(known) = self.names.get_mut(&index)
            && !known.gone
        {
            known.gone = true;
            self.gone += 1;
        }
        self.gone > self.most
    }

    /// Forgets the names of the interfaces that are gone and that nothing needs.
    pub(super) fn sweep(&mut self, needed: &HashSet<u32>) {
        self.names
            .retain(|index, known| !known.gone || needed.contains(index));
        self.gone = self.names.values().filter(|known| known.gone).count();
        self.most = FEW.max(2 * self.gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_needed_stay_and_the_others_go() {
        let mut names = Names::new(HashMap::new());
        let mut swept = 0;
        for index in 1..=10_000 {
            names.set(index, format!("veth{index}").into());
            if names.leave(index) {
                swept += 1;
                names.sweep(&HashSet::from([7, 8]));
            }
        }
        assert_eq!(&*names.get(7), "veth7");
        assert_eq!(&*names.get(9), "#9");
        assert_eq!(&*names.get(10_000), "veth10000");
        assert!(names.names.len() <= FEW + 2 && swept < 11, "{swept} times");
    }

    #[test]
    fn where_many_are_needed_it_is_not_looked_through_all_the_time() {
        let mut names = Names::new(HashMap::new());
        let needed = (1..=10_000).collect();
        let mut swept = 0;
        for index in 1..=10_000 {
            names.set(index, "x".into());
            if names.leave(index) {
                swept += 1;
                names.sweep(&needed);
            }
        }
        assert_eq!(names.names.len(), 10_000);
        assert!(swept < 8, "{swept} times");
    }

    #[test]
    fn an_index_that_is_used_again_is_here_again() {
        let mut names = Names::new(HashMap::new());
        names.set(1, "a".into());
        names.leave(1);
        names.set(1, "b".into());
        names.sweep(&HashSet::new());
        assert_eq!(&*names.get(1), "b");
        assert_eq!(names.gone, 0);
    }
}
