//! What there is to know of a device before anything is attached to it; only asked, nothing is changed.

use aya::programs::{SchedClassifier, TcAttachType};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};

use super::ethtool::Ethtool;
use super::features::{self, XdpFeatures};
use super::hook::{Attachment, Hook, XdpChoice, attach_with};
use super::netlink::Netlink;
use super::{AttachError, Device, clsact};

/// Octets of the largest frame that XDP takes without fragments: a page, less its headroom and what the
/// kernel keeps at its end.
const ONE_BUFFER: u32 = 3_498;

/// What there is to know of a device. What the kernel did not tell is `None`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// It is up.
    pub up: bool,
    /// Octets of the largest packet that it sends.
    pub mtu: Option<u32>,
    /// Queues for what arrives.
    pub rx_queues: Option<u32>,
    /// Its driver.
    pub driver: Option<String>,
    /// The kernel puts segments together that arrive.
    pub gro: Option<bool>,
    /// The device does.
    pub lro: Option<bool>,
    /// What its driver knows of XDP.
    pub xdp: Option<XdpFeatures>,
    /// The XDP programs that are attached: the hook, and the kernel's number of the program.
    pub xdp_attached: Vec<(Hook, u32)>,
    /// The TCX programs that are attached, both directions; or why there can be none.
    pub tcx_attached: Result<Vec<String>, String>,
    /// The filters of a clsact qdisc, both directions.
    pub filters: Option<usize>,
}

impl Device {
    /// Asks for all of it.
    ///
    /// # Errors
    /// Where netlink fails.
    pub fn facts(&self) -> Result<Facts, AttachError> {
        let mut facts = self.link_facts()?;
        if let Ok(driver) = Ethtool::new(&self.name) {
            facts.driver = driver.driver().ok();
            facts.gro = driver.gro().ok();
            facts.lro = driver.lro().ok();
        }
        facts.xdp = features::of(self.index).unwrap_or_default();
        facts.tcx_attached = self.tcx();
        facts.filters = clsact::count(self.index).ok();
        Ok(facts)
    }

    fn link_facts(&self) -> Result<Facts, AttachError> {
        let netlink = Netlink::open().map_err(AttachError::Netlink)?;
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let links = netlink.list(request).map_err(AttachError::Netlink)?;
        let mut facts = Facts {
            up: false,
            mtu: None,
            rx_queues: None,
            driver: None,
            gro: None,
            lro: None,
            xdp: None,
            xdp_attached: Vec::new(),
            tcx_attached: Ok(Vec::new()),
            filters: None,
        };
        for link in links.into_iter().flatten() {
            let RouteNetlinkMessage::NewLink(link) = link else {
                continue;
            };
            if link.header.index != self.index {
                continue;
            }
            facts.up = link.header.flags.contains(LinkFlags::Up);
            for attribute in &link.attributes {
                match attribute {
                    LinkAttribute::Mtu(mtu) => facts.mtu = Some(*mtu),
                    LinkAttribute::NumRxQueues(queues) => facts.rx_queues = Some(*queues),
                    LinkAttribute::Xdp(told) => facts.xdp_attached = attached(told),
                    _ => {}
                }
            }
        }
        Ok(facts)
    }

    /// The names of the TCX programs.
    fn tcx(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
            let queried = SchedClassifier::query_tcx(&self.name, direction);
            let (_, programs) =
                queried.map_err(|error| match AttachError::attach(Hook::Tcx, self, error) {
                    AttachError::Refused { reason, .. } => reason,
                    error => error.to_string(),
                })?;
            let name = |number: u32, name: Option<&str>| match name {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => format!("program {number}"),
            };
            names.extend(
                programs
                    .iter()
                    .map(|program| name(program.id(), program.name_as_str())),
            );
        }
        Ok(names)
    }

    /// What tracing would attach, as far as these facts tell it.
    ///
    /// # Errors
    /// Where nothing that the choice allows is to be had.
    pub fn foresee(
        &self,
        facts: &Facts,
        choice: XdpChoice,
        egress: bool,
    ) -> Result<Attachment, AttachError> {
        attach_with(self, choice, egress, |hook, _| match facts.refusal(hook) {
            None => Ok(()),
            Some(reason) => Err(AttachError::Refused {
                hook,
                name: self.name.clone(),
                reason,
            }),
        })
    }
}

fn attached(told: &[LinkXdp]) -> Vec<(Hook, u32)> {
    let programs = told.iter().filter_map(|told| match told {
        LinkXdp::DrvProgId(number) | LinkXdp::HwProgId(number) => Some((Hook::NativeXdp, *number)),
        LinkXdp::SkbProgId(number) => Some((Hook::GenericXdp, *number)),
        _ => None,
    });
    programs.collect()
}

impl Facts {
    /// Why a hook is not to be had, where that is known.
    fn refusal(&self, hook: Hook) -> Option<String> {
        match hook {
            Hook::NativeXdp | Hook::GenericXdp if !self.xdp_attached.is_empty() => {
                Some("another XDP program is attached already".into())
            }
            Hook::NativeXdp if self.xdp.is_some_and(|xdp| !xdp.native) => {
                Some("its driver has no native XDP".into())
            }
            Hook::NativeXdp if self.lro == Some(true) => {
                Some("LRO is on, which XDP does not go with".into())
            }
            Hook::NativeXdp if self.has_large_frames() => {
                Some("its MTU is too large for XDP".into())
            }
            Hook::Tcx => self.tcx_attached.as_ref().err().cloned(),
            Hook::NativeXdp | Hook::GenericXdp | Hook::Clsact => None,
        }
    }

    fn has_large_frames(&self) -> bool {
        let fragments = self.xdp.is_none_or(|xdp| xdp.fragments);
        !fragments && self.mtu.is_some_and(|mtu| mtu > ONE_BUFFER)
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::super::LinkHeader;
    use super::*;

    /// A NIC.
    pub(crate) fn nic() -> Device {
        Device {
            name: "eth0".into(),
            index: 2,
            kind: None,
            loopback: false,
            header: LinkHeader::Ethernet,
        }
    }

    /// With nothing in the way of tracing.
    pub(crate) fn facts() -> Facts {
        Facts {
            up: true,
            mtu: Some(1_500),
            rx_queues: Some(4),
            driver: Some("ice".into()),
            gro: Some(true),
            lro: Some(false),
            xdp: Some(XdpFeatures {
                native: true,
                fragments: false,
            }),
            xdp_attached: Vec::new(),
            tcx_attached: Ok(Vec::new()),
            filters: Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{facts, nic};
    use super::*;

    fn foreseen(facts: &Facts) -> String {
        let attachment = nic().foresee(facts, XdpChoice::Auto, true);
        attachment.unwrap().to_string()
    }

    #[test]
    fn a_nic_with_nothing_in_the_way_gets_native_xdp() {
        assert_eq!(
            foreseen(&facts()),
            "eth0: native XDP ingress, TCX egress (auto: a hardware NIC)"
        );
    }

    #[test]
    fn what_stands_in_the_way_is_foreseen_with_its_reason() {
        let none = XdpFeatures {
            native: false,
            fragments: false,
        };
        for (change, reason) in [
            (
                (|facts: &mut Facts| facts.xdp_attached = vec![(Hook::NativeXdp, 7)])
                    as fn(&mut Facts),
                "another XDP program is attached already",
            ),
            (
                |facts| facts.lro = Some(true),
                "LRO is on, which XDP does not go with",
            ),
            (
                |facts| facts.mtu = Some(9_000),
                "its MTU is too large for XDP",
            ),
        ] {
            let mut facts = facts();
            change(&mut facts);
            let expected = format!("eth0: TCX ingress, TCX egress (auto: {reason})");
            assert_eq!(foreseen(&facts), expected);
        }
        let mut facts = facts();
        facts.xdp = Some(none);
        facts.tcx_attached = Err("no TCX".into());
        assert_eq!(
            foreseen(&facts),
            "eth0: clsact ingress, clsact egress (auto: its driver has no native XDP; no TCX)"
        );
    }

    #[test]
    fn a_driver_with_fragments_takes_any_mtu_and_what_is_not_known_refuses_nothing() {
        let mut facts = facts();
        facts.mtu = Some(9_000);
        facts.xdp = None;
        assert!(foreseen(&facts).starts_with("eth0: native XDP ingress"));
        facts.xdp = Some(XdpFeatures {
            native: true,
            fragments: true,
        });
        assert!(foreseen(&facts).starts_with("eth0: native XDP ingress"));
    }

    #[test]
    fn programs_are_told_by_the_hook_that_they_hang_on() {
        let told = [
            LinkXdp::ProgId(9),
            LinkXdp::DrvProgId(9),
            LinkXdp::SkbProgId(10),
        ];
        assert_eq!(
            attached(&told),
            [(Hook::NativeXdp, 9), (Hook::GenericXdp, 10)]
        );
    }
}
