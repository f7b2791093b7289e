//! Which interfaces there are, and what is to be done about each: no I/O here.
//!
//! In: the kernel's [`News`], and what came of attaching. Out: what to attach to, what to let go of, and
//! what to tell. A name that was asked for stands for the interface that had it, until that is gone,
//! whatever its name is by then; after that for the next one of this name.

use std::collections::BTreeMap;

use super::Change;
use crate::attach::Device;
use crate::attach::news::News;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Attach(Device),
    /// From the device with this index.
    Detach(u32),
    Tell(Change),
}

/// All interfaces of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Interfaces {
    /// Whatever is up is wished for.
    any: bool,
    named: Vec<Named>,
    known: BTreeMap<u32, Known>,
    /// What was there at the beginning has been dealt with.
    begun: bool,
}

/// A name that was asked for.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    /// The interface that it stands for.
    index: Option<u32>,
}

#[derive(Clone, Debug)]
struct Known {
    device: Device,
    up: bool,
    attached: bool,
    /// Why it could not be attached to when that was last tried.
    refused: Option<String>,
    /// It was told of since the last listing began.
    listed: bool,
}

impl Interfaces {
    pub(super) fn new(any: bool, names: &[String]) -> Self {
        let named = names.iter().map(|name| Named {
            name: name.clone(),
            index: None,
        });
        Self {
            any,
            named: named.collect(),
            known: BTreeMap::new(),
            begun: false,
        }
    }

    /// Takes in what the kernel tells.
    pub(super) fn take(&mut self, news: News) -> Vec<Act> {
        match news {
            News::Link { device, up } => self.link(device, up),
            News::Gone { index, moved } => self.gone(index, moved),
            News::Listing => {
                for known in self.known.values_mut() {
                    known.listed = false;
                }
                Vec::new()
            }
            News::Listed => {
                let unlisted = self.known.iter().filter(|(_, known)| !known.listed);
                let gone: Vec<u32> = unlisted.map(|(index, _)| *index).collect();
                let acts = gone.into_iter().flat_map(|index| self.gone(index, false));
                acts.collect()
            }
        }
    }

    /// Notes that an interface is attached to; gives what else is to be told of it.
    pub(super) fn attached(&mut self, index: u32) -> Option<Change> {
        let named = self.is_named(index);
        let known = self.known.get_mut(&index)?;
        (known.attached, known.refused) = (true, None);
        let name = known.device.name.clone();
        (named && !known.up).then_some(Change::Down { name })
    }

    /// Notes that an interface could not be attached to; gives what is to be told of it, once.
    pub(super) fn refused(&mut self, index: u32, reason: String) -> Option<Change> {
        let known = self.known.get_mut(&index)?;
        if known.refused.as_ref() == Some(&reason) {
            return None;
        }
        known.refused = Some(reason.clone());
        let name = known.device.name.clone();
        Some(Change::Refused { name, reason })
    }

    /// Whether nothing can be traced without this interface: it was named, and this is the beginning.
    pub(super) fn has_to_begin_with(&self, index: u32) -> bool {
        !self.begun && self.is_named(index)
    }

    /// A name that was asked for at the beginning, and that no interface has.
    pub(super) fn missing(&self) -> Option<&str> {
        let mut named = self.named.iter().filter(|_| !self.begun);
        Some(&named.find(|named| named.index.is_none())?.name)
    }

    /// The names of all interfaces.
    pub(super) fn names(&self) -> Vec<String> {
        let known = self.known.values();
        known.map(|known| known.device.name.clone()).collect()
    }

    /// Notes that what was there at the beginning has been dealt with; tells whether that is news.
    pub(super) const fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// Whether nothing is traced any more, and only names were asked for.
    pub(super) fn are_all_gone(&self) -> bool {
        self.begun && !self.any && !self.known.values().any(|known| known.attached)
    }

    fn link(&mut self, device: Device, up: bool) -> Vec<Act> {
        let (index, name) = (device.index, device.name.clone());
        let known = self.known.entry(index).or_insert_with(|| Known {
            device: device.clone(),
            up,
            attached: false,
            refused: None,
            listed: true,
        });
        let before = std::mem::replace(&mut known.device, device);
        let was_up = std::mem::replace(&mut known.up, up);
        known.listed = true;
        let attached = known.attached;
        // It may have been made fit meanwhile.
        let try_again = known.refused.is_none() || up && !was_up;
        self.stand_for(index, &name);
        let mut acts = Vec::new();
        if attached && before.name != name {
            acts.push(Act::Tell(Change::Renamed {
                index,
                from: before.name,
                to: name.clone(),
            }));
        }
        if attached && up != was_up && self.is_named(index) {
            acts.push(Act::Tell(if up {
                Change::Up { name }
            } else {
                Change::Down { name }
            }));
        }
        if try_again {
            acts.extend(self.attach(index));
        }
        acts
    }

    fn gone(&mut self, index: u32, moved: bool) -> Vec<Act> {
        let Some(known) = self.known.remove(&index) else {
            return Vec::new();
        };
        let mut acts = Vec::new();
        if known.attached {
            let name = known.device.name;
            acts.push(Act::Detach(index));
            acts.push(Act::Tell(Change::Gone { index, name, moved }));
        }
        let names: Vec<String> = (self.named.iter_mut())
            .filter(|named| named.index == Some(index))
            .map(|named| {
                named.index = None;
                named.name.clone()
            })
            .collect();
        for name in names {
            // Another one may have the name already.
            let heir = (self.known.iter()).find(|(_, known)| known.device.name == name);
            if let Some(index) = heir.map(|(index, _)| *index) {
                self.stand_for(index, &name);
                acts.extend(self.attach(index));
            }
        }
        acts
    }

    /// Lets the name stand for the interface, where it was asked for and stands for none.
    fn stand_for(&mut self, index: u32, name: &str) {
        for named in &mut self.named {
            if named.name == name && named.index.is_none() {
                named.index = Some(index);
            }
        }
    }

    fn is_named(&self, index: u32) -> bool {
        self.named.iter().any(|named| named.index == Some(index))
    }

    fn attach(&self, index: u32) -> Option<Act> {
        let known = self.known.get(&index)?;
        let wished = self.any && known.up || self.is_named(index);
        (wished && !known.attached).then(|| Act::Attach(known.device.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::LinkHeader;

    fn device(index: u32, name: &str) -> Device {
        Device {
            name: name.into(),
            index,
            kind: None,
            loopback: false,
            header: LinkHeader::Ethernet,
        }
    }

    fn link(index: u32, name: &str, up: bool) -> News {
        let device = device(index, name);
        News::Link { device, up }
    }

    const fn gone(index: u32) -> News {
        let moved = false;
        News::Gone { index, moved }
    }

    /// Takes news in, and attaches wherever that is asked for; gives what happened in short words.
    fn take(interfaces: &mut Interfaces, news: impl IntoIterator<Item = News>) -> Vec<String> {
        let acts: Vec<Act> = (news.into_iter())
            .flat_map(|news| interfaces.take(news))
            .collect();
        let mut said = Vec::new();
        for act in acts {
            match act {
                Act::Attach(device) => {
                    said.push(format!("+{}", device.name));
                    said.extend(
                        interfaces
                            .attached(device.index)
                            .map(|change| word(&change)),
                    );
                }
                Act::Detach(index) => said.push(format!("-{index}")),
                Act::Tell(change) => said.push(word(&change)),
            }
        }
        said
    }

    fn word(change: &Change) -> String {
        match change {
            Change::Down { name } => format!("{name} down"),
            Change::Up { name } => format!("{name} up"),
            Change::Renamed { from, to, .. } => format!("{from}>{to}"),
            Change::Gone { name, moved, .. } => format!("{name} gone {moved}"),
            other => panic!("{other:?}"),
        }
    }

    fn any() -> Interfaces {
        let mut interfaces = Interfaces::new(true, &[]);
        assert!(interfaces.begin());
        interfaces
    }

    fn named(names: &[&str]) -> Interfaces {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Interfaces::new(false, &names)
    }

    #[test]
    fn any_attaches_to_each_as_soon_as_it_is_up_and_once() {
        let mut interfaces = any();
        let news = [
            link(1, "lo", true),
            link(2, "a", false),
            link(2, "a", false),
        ];
        assert_eq!(take(&mut interfaces, news), ["+lo"]);
        assert_eq!(take(&mut interfaces, [link(2, "a", true)]), ["+a"]);
        let news = [link(2, "a", true), link(2, "a", false), link(2, "a", true)];
        assert!(take(&mut interfaces, news).is_empty());
    }

    #[test]
    fn what_is_gone_is_let_go_of_and_may_come_back_under_another_index() {
        let mut interfaces = any();
        take(&mut interfaces, [link(7, "a", true)]);
        assert_eq!(take(&mut interfaces, [gone(7)]), ["-7", "a gone false"]);
        assert!(take(&mut interfaces, [gone(7)]).is_empty());
        assert_eq!(take(&mut interfaces, [link(8, "a", true)]), ["+a"]);
        assert!(!interfaces.are_all_gone());
        take(&mut interfaces, [gone(8)]);
        assert!(!interfaces.are_all_gone(), "more may come");
    }

    #[test]
    fn what_moved_to_another_namespace_is_gone() {
        let mut interfaces = any();
        take(&mut interfaces, [link(7, "a", true)]);
        let moved = News::Gone {
            index: 7,
            moved: true,
        };
        assert_eq!(take(&mut interfaces, [moved]), ["-7", "a gone true"]);
    }

    #[test]
    fn what_a_listing_lacks_is_gone_and_what_it_brings_is_new() {
        let mut interfaces = any();
        take(&mut interfaces, [link(1, "a", true), link(2, "b", true)]);
        let news = [
            News::Listing,
            link(2, "c", true),
            link(3, "d", true),
            News::Listed,
        ];
        let expected = ["b>c", "+d", "-1", "a gone false"];
        assert_eq!(take(&mut interfaces, news), expected);
    }

    #[test]
    fn names_are_attached_to_up_or_not_and_nothing_else_is() {
        let mut interfaces = named(&["a", "b"]);
        let news = [link(1, "a", true), link(2, "b", false), link(3, "c", true)];
        assert_eq!(take(&mut interfaces, news), ["+a", "+b", "b down"]);
        assert_eq!(take(&mut interfaces, [link(2, "b", true)]), ["b up"]);
        assert_eq!(take(&mut interfaces, [link(1, "a", false)]), ["a down"]);
    }

    #[test]
    fn a_name_that_nothing_has_is_missing_at_the_beginning_only() {
        let mut interfaces = named(&["a", "b"]);
        take(&mut interfaces, [link(1, "a", true), News::Listed]);
        assert_eq!(interfaces.missing(), Some("b"));
        take(&mut interfaces, [link(2, "b", true)]);
        assert_eq!(interfaces.missing(), None);
        assert!(interfaces.begin() && !interfaces.begin());
        take(&mut interfaces, [gone(2)]);
        assert_eq!(interfaces.missing(), None);
    }

    #[test]
    fn a_name_stands_for_its_interface_under_any_name_until_that_is_gone() {
        let mut interfaces = named(&["a", "x"]);
        take(&mut interfaces, [link(1, "a", true), link(9, "x", true)]);
        interfaces.begin();
        assert_eq!(take(&mut interfaces, [link(1, "b", true)]), ["a>b"]);
        // Another one takes the name; the interface that was asked for is still there.
        assert!(take(&mut interfaces, [link(2, "a", true)]).is_empty());
        assert_eq!(
            take(&mut interfaces, [gone(1)]),
            ["-1", "b gone false", "+a"]
        );
        assert_eq!(take(&mut interfaces, [gone(2)]), ["-2", "a gone false"]);
        assert_eq!(
            take(&mut interfaces, [link(3, "a", false)]),
            ["+a", "a down"]
        );
    }

    #[test]
    fn without_the_last_of_the_named_ones_nothing_is_left() {
        let mut interfaces = named(&["a", "b"]);
        take(&mut interfaces, [link(1, "a", true), link(2, "b", true)]);
        assert!(!interfaces.are_all_gone());
        interfaces.begin();
        take(&mut interfaces, [gone(1)]);
        assert!(!interfaces.are_all_gone());
        take(&mut interfaces, [gone(2)]);
        assert!(interfaces.are_all_gone());
    }

    #[test]
    fn a_refusal_is_told_once_and_tried_again_when_the_interface_comes_up() {
        let mut interfaces = any();
        let attach = |name| vec![Act::Attach(device(1, name))];
        assert_eq!(interfaces.take(link(1, "a", true)), attach("a"));
        let refused = Change::Refused {
            name: "a".into(),
            reason: "no".into(),
        };
        assert_eq!(interfaces.refused(1, "no".into()), Some(refused));
        assert_eq!(interfaces.take(link(1, "a", true)), []);
        assert_eq!(interfaces.take(link(1, "a", false)), []);
        assert_eq!(interfaces.take(link(1, "a", true)), attach("a"));
        assert_eq!(interfaces.refused(1, "no".into()), None);
        assert!(interfaces.refused(1, "not so".into()).is_some());
        // What was never attached to is not missed.
        assert_eq!(interfaces.take(gone(1)), []);
    }

    #[test]
    fn only_a_named_one_has_to_be_there_and_only_at_the_beginning() {
        let mut interfaces = named(&["a"]);
        interfaces.any = true;
        interfaces.take(link(1, "a", true));
        interfaces.take(link(2, "b", true));
        assert!(interfaces.has_to_begin_with(1) && !interfaces.has_to_begin_with(2));
        interfaces.begin();
        assert!(!interfaces.has_to_begin_with(1));
    }
}
