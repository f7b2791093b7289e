//! Which hooks take what arrives on a device and what leaves it.
//!
//! Nothing is guessed from the kernel's version: a hook is tried, and where it is not to be had the
//! next one is. Attaching itself is in [`super::link`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AttachError, Device, LinkHeader};

/// What the user asked for with `--xdp-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpChoice {
    /// The best one that the device has.
    #[default]
    Auto,
    /// Native XDP or nothing.
    Native,
    /// Generic XDP or nothing.
    Generic,
    /// TCX or nothing, in both directions.
    Tcx,
    /// Filters of a clsact qdisc or nothing, in both directions.
    Clsact,
    /// The one of these two that the kernel has, in both directions.
    Tc,
}

/// A place where the kernel shows frames to programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// XDP in the driver.
    NativeXdp,
    /// XDP behind the driver.
    GenericXdp,
    /// TC, through a TCX link.
    Tcx,
    /// TC, through a filter of a clsact qdisc.
    Clsact,
}

/// Which way the frames go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// They arrive.
    In,
    /// They leave.
    Out,
}

impl Hook {
    /// What the user may try where this hook was asked for and is not to be had.
    pub(super) const fn instead(self) -> &'static str {
        match self {
            // Whether that is TCX depends on the kernel.
            Self::NativeXdp | Self::GenericXdp => {
                "; `--xdp-mode auto` takes a hook that sees the same frames a little later"
            }
            Self::Tcx => "; `--xdp-mode clsact` looks at the same place",
            Self::Clsact => "",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NativeXdp => "native XDP",
            Self::GenericXdp => "generic XDP",
            Self::Tcx => "TCX",
            Self::Clsact => "clsact",
        })
    }
}

/// What was attached where, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The device.
    pub device: Device,
    /// The hook that sees what arrives.
    pub ingress: Hook,
    /// The hook that sees what leaves, where that is looked at.
    pub egress: Option<Hook>,
    /// Why these hooks, where they were not asked for, and what else is to be known of them.
    pub notes: Vec<String>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ingress", self.device.name, self.ingress)?;
        if let Some(egress) = self.egress {
            write!(f, ", {egress} egress")?;
        }
        if !self.notes.is_empty() {
            write!(f, " ({})", self.notes.join("; "))?;
        }
        Ok(())
    }
}

/// What generic XDP costs everybody (`netif_elide_gro` of the kernel).
const NO_GRO: &str = "generic XDP switches GRO off for this device";

/// Attaches in both directions where `egress` is set, each by the first hook of those that the choice
/// allows that is to be had; `attach` does it.
pub(super) fn attach_with(
    device: &Device,
    choice: XdpChoice,
    egress: bool,
    mut attach: impl FnMut(Hook, Way) -> Result<(), AttachError>,
) -> Result<Attachment, AttachError> {
    let mut notes = Vec::new();
    let (before, last) = match choice {
        XdpChoice::Native => (&[][..], Hook::NativeXdp),
        XdpChoice::Generic => (&[][..], Hook::GenericXdp),
        XdpChoice::Tcx => (&[][..], Hook::Tcx),
        XdpChoice::Clsact => (&[][..], Hook::Clsact),
        XdpChoice::Tc => (&[Hook::Tcx][..], Hook::Clsact),
        XdpChoice::Auto => {
            let without = better_without_xdp(device);
            let hooks = match without {
                None => (
                    &[Hook::NativeXdp, Hook::Tcx, Hook::Clsact][..],
                    Hook::GenericXdp,
                ),
                Some(_) if device.header == LinkHeader::None => (&[Hook::Tcx][..], Hook::Clsact),
                Some(_) => (&[Hook::Tcx, Hook::Clsact][..], Hook::GenericXdp),
            };
            notes.extend(without);
            hooks
        }
    };
    let ingress = first(device, before, last, &mut notes, |hook| {
        attach(hook, Way::In)
    })?;
    if choice == XdpChoice::Auto {
        if ingress == Hook::NativeXdp {
            notes.push("a hardware NIC".into());
        }
        if let Some(note) = notes.first_mut() {
            note.insert_str(0, "auto: ");
        }
    }
    if ingress == Hook::GenericXdp {
        notes.push(NO_GRO.into());
    }
    // Loopback shows each packet on its way out and again on its way in.
    let egress = if egress && !device.loopback {
        let (before, last) = match choice {
            XdpChoice::Tcx => (&[][..], Hook::Tcx),
            XdpChoice::Clsact => (&[][..], Hook::Clsact),
            XdpChoice::Auto | XdpChoice::Native | XdpChoice::Generic | XdpChoice::Tc => {
                (&[Hook::Tcx][..], Hook::Clsact)
            }
        };
        let egress = first(device, before, last, &mut notes, |hook| {
            attach(hook, Way::Out)
        })?;
        Some(egress)
    } else {
        None
    };
    Ok(Attachment {
        device: device.clone(),
        ingress,
        egress,
        notes,
    })
}

/// Attaches by the first of these hooks that is to be had, and notes why it was none before.
fn first(
    device: &Device,
    before: &[Hook],
    last: Hook,
    notes: &mut Vec<String>,
    mut attach: impl FnMut(Hook) -> Result<(), AttachError>,
) -> Result<Hook, AttachError> {
    let mut refused = Vec::new();
    for hook in before {
        match attach(*hook) {
            Ok(()) => return Ok(*hook),
            Err(AttachError::Refused { reason, .. }) => {
                // What is true of both directions is said once.
                if !notes.iter().any(|note| note.ends_with(&reason)) {
                    notes.push(reason.clone());
                }
                refused.push((*hook, reason));
            }
            Err(error) => return Err(error),
        }
    }
    match attach(last) {
        Ok(()) => Ok(last),
        Err(AttachError::Refused { reason, .. }) if !before.is_empty() => {
            refused.push((last, reason));
            Err(AttachError::NoHook {
                name: device.name.clone(),
                refused,
            })
        }
        Err(error) => Err(error),
    }
}

/// Why XDP is not the better choice for a device: a software device hands frames on by reference,
/// and native XDP makes it copy them.
fn better_without_xdp(device: &Device) -> Option<String> {
    match &device.kind {
        _ if device.header != LinkHeader::Ethernet => Some("it has no Ethernet header".into()),
        Some(kind) => Some(format!("native XDP slows {kind} devices down")),
        None if device.loopback => Some("loopback has no native XDP".into()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(kind: Option<&str>) -> Device {
        Device {
            name: "x".into(),
            index: 1,
            kind: kind.map(str::to_owned),
            loopback: false,
            header: LinkHeader::Ethernet,
        }
    }

    /// Attaches to a kernel and a driver that refuse these hooks.
    fn attached(
        device: &Device,
        choice: XdpChoice,
        egress: bool,
        refused: &[Hook],
    ) -> Result<Attachment, AttachError> {
        attach_with(device, choice, egress, |hook, _| {
            if refused.contains(&hook) {
                return Err(AttachError::Refused {
                    hook,
                    name: device.name.clone(),
                    reason: format!("no {hook}"),
                });
            }
            Ok(())
        })
    }

    fn told(device: &Device, choice: XdpChoice, refused: &[Hook]) -> String {
        attached(device, choice, true, refused).unwrap().to_string()
    }

    #[test]
    fn a_nic_gets_native_xdp_and_a_software_device_tcx() {
        assert_eq!(
            told(&device(None), XdpChoice::Auto, &[]),
            "x: native XDP ingress, TCX egress (auto: a hardware NIC)"
        );
        assert_eq!(
            told(&device(Some("veth")), XdpChoice::Auto, &[]),
            "x: TCX ingress, TCX egress (auto: native XDP slows veth devices down)"
        );
    }

    #[test]
    fn a_driver_that_refuses_xdp_gets_tcx_with_its_reason() {
        assert_eq!(
            told(&device(None), XdpChoice::Auto, &[Hook::NativeXdp]),
            "x: TCX ingress, TCX egress (auto: no native XDP)"
        );
    }

    #[test]
    fn a_kernel_without_tcx_gets_clsact_both_ways_and_says_so_once() {
        assert_eq!(
            told(
                &device(None),
                XdpChoice::Auto,
                &[Hook::NativeXdp, Hook::Tcx]
            ),
            "x: clsact ingress, clsact egress (auto: no native XDP; no TCX)"
        );
        assert_eq!(
            told(&device(None), XdpChoice::Native, &[Hook::Tcx]),
            "x: native XDP ingress, clsact egress (no TCX)"
        );
    }

    #[test]
    fn generic_xdp_is_the_last_resort_and_tells_its_price() {
        let refused = [Hook::NativeXdp, Hook::Tcx, Hook::Clsact];
        let attachment = attached(&device(None), XdpChoice::Auto, false, &refused);
        assert_eq!(
            attachment.unwrap().to_string(),
            "x: generic XDP ingress (auto: no native XDP; no TCX; no clsact; generic XDP switches GRO \
             off for this device)"
        );
        assert_eq!(
            told(&device(None), XdpChoice::Generic, &[]),
            "x: generic XDP ingress, TCX egress (generic XDP switches GRO off for this device)"
        );
    }

    #[test]
    fn what_was_asked_for_and_is_not_to_be_had_is_an_error() {
        for (choice, hook) in [
            (XdpChoice::Native, Hook::NativeXdp),
            (XdpChoice::Generic, Hook::GenericXdp),
            (XdpChoice::Tcx, Hook::Tcx),
            (XdpChoice::Clsact, Hook::Clsact),
        ] {
            let error = attached(&device(None), choice, true, &[hook]).unwrap_err();
            assert!(error.to_string().contains(&hook.to_string()), "{error}");
        }
    }

    #[test]
    fn where_only_tc_will_do_a_kernel_without_tcx_gives_clsact() {
        assert_eq!(
            told(&device(None), XdpChoice::Tc, &[]),
            "x: TCX ingress, TCX egress"
        );
        assert_eq!(
            told(&device(None), XdpChoice::Tc, &[Hook::Tcx]),
            "x: clsact ingress, clsact egress (no TCX)"
        );
    }

    #[test]
    fn where_no_hook_is_left_each_is_told_with_its_reason() {
        let refused = [Hook::NativeXdp, Hook::Tcx, Hook::Clsact, Hook::GenericXdp];
        let error = attached(&device(None), XdpChoice::Auto, true, &refused).unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing attaches to x: not native XDP, since no native XDP; not TCX, since no TCX; not \
             clsact, since no clsact; not generic XDP, since no generic XDP"
        );
    }

    #[test]
    fn what_leaves_loopback_is_not_looked_at_twice() {
        let loopback = Device {
            loopback: true,
            ..device(None)
        };
        assert_eq!(
            told(&loopback, XdpChoice::Auto, &[]),
            "x: TCX ingress (auto: loopback has no native XDP)"
        );
    }

    #[test]
    fn a_device_without_ethernet_header_gets_no_xdp() {
        let modem = Device {
            header: LinkHeader::None,
            ..device(None)
        };
        assert_eq!(
            told(&modem, XdpChoice::Auto, &[]),
            "x: TCX ingress, TCX egress (auto: it has no Ethernet header)"
        );
        assert!(attached(&modem, XdpChoice::Auto, true, &[Hook::Tcx, Hook::Clsact]).is_err());
    }
}
