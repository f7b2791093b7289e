//! Which hook takes what arrives on a device, and attaching there.

use std::fmt;
use std::io;

use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, TcAttachType, XdpMode};
use aya::sys::SyscallError;
use nix::errno::Errno;

use super::{AttachError, Device, Programs};

/// What the user asked for with `--xdp-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpChoice {
    /// The better one for the device.
    #[default]
    Auto,
    /// Native XDP or nothing.
    Native,
    /// TCX ingress.
    Tcx,
}

/// The hook that sees what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// XDP in the driver.
    NativeXdp,
    /// TC, through a TCX link.
    Tcx,
}

/// What was attached where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The device.
    pub device: Device,
    /// The hook that sees what arrives.
    pub ingress: Ingress,
    /// Whether what leaves is seen, too.
    pub egress: bool,
    /// Why this hook, where that was not asked for.
    pub reason: Option<String>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ingress = match self.ingress {
            Ingress::NativeXdp => "native XDP ingress",
            Ingress::Tcx => "TCX ingress",
        };
        write!(f, "{}: {ingress}", self.device.name)?;
        if self.egress {
            write!(f, ", TCX egress")?;
        }
        match &self.reason {
            Some(reason) => write!(f, " (auto: {reason})"),
            None => Ok(()),
        }
    }
}

impl Programs {
    /// Attaches to a device, in both directions where `egress` is set, until [`Programs::detach`].
    ///
    /// # Errors
    /// Where the device has no Ethernet header, or the kernel or driver refuses; one of both directions
    /// may be attached to then.
    pub fn attach(
        &mut self,
        device: &Device,
        choice: XdpChoice,
        egress: bool,
    ) -> Result<Attachment, AttachError> {
        if !device.ethernet {
            return Err(AttachError::NotEthernet(device.name.clone()));
        }
        // Loopback shows each packet on its way out and again on its way in.
        let egress = egress && !device.loopback;
        let (ingress, reason) = self.attach_ingress(device, choice)?;
        if egress {
            self.attach_tcx(Self::EGRESS, device, TcAttachType::Egress)?;
        }
        Ok(Attachment {
            device: device.clone(),
            ingress,
            egress,
            reason,
        })
    }

    fn attach_ingress(
        &mut self,
        device: &Device,
        choice: XdpChoice,
    ) -> Result<(Ingress, Option<String>), AttachError> {
        let reason = match choice {
            XdpChoice::Native => {
                self.attach_native(device)?;
                return Ok((Ingress::NativeXdp, None));
            }
            XdpChoice::Tcx => None,
            XdpChoice::Auto => match software(device) {
                Some(reason) => Some(reason),
                None => match self.attach_native(device) {
                    Ok(()) => return Ok((Ingress::NativeXdp, Some("a hardware NIC".into()))),
                    Err(AttachError::NoNativeXdp { reason, .. }) => Some(reason),
                    Err(error) => return Err(error),
                },
            },
        };
        self.attach_tcx(Self::INGRESS, device, TcAttachType::Ingress)?;
        Ok((Ingress::Tcx, reason))
    }

    fn attach_native(&mut self, device: &Device) -> Result<(), AttachError> {
        match self
            .xdp(Self::XDP)?
            .attach_to_if_index(device.index, XdpMode::Driver)
        {
            Ok(link) => {
                let link = self.xdp(Self::XDP)?.take_link(link)?;
                self.links.hold(device.index, link);
                Ok(())
            }
            Err(error) => Err(match refusal(&error) {
                Some(reason) => AttachError::NoNativeXdp {
                    name: device.name.clone(),
                    reason: reason.into(),
                },
                None => AttachError::attach("native XDP", device, error),
            }),
        }
    }

    fn attach_tcx(
        &mut self,
        program: &'static str,
        device: &Device,
        direction: TcAttachType,
    ) -> Result<(), AttachError> {
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let classifier = self.classifier(program)?;
        match classifier.attach_with_options(&device.name, direction, options) {
            Ok(link) => {
                let link = classifier.take_link(link)?;
                self.links.hold(device.index, link);
                Ok(())
            }
            Err(error) => Err(AttachError::attach("TCX", device, error)),
        }
    }
}

/// Why native XDP is not the better choice for a device: a software device hands frames on by
/// reference, and native XDP makes it copy them.
fn software(device: &Device) -> Option<String> {
    match &device.kind {
        Some(kind) => Some(format!("native XDP slows {kind} devices down")),
        None if device.loopback => Some("loopback has no native XDP".into()),
        None => None,
    }
}

/// In plain words, why a driver or the kernel refuses native XDP.
fn refusal(error: &ProgramError) -> Option<&'static str> {
    let ProgramError::SyscallError(SyscallError { io_error, .. }) = error else {
        return None;
    };
    match errno(io_error) {
        Errno::EBUSY => Some("another XDP program is attached already"),
        Errno::EEXIST => Some("an XDP program is attached already in another mode"),
        Errno::EOPNOTSUPP => Some("the driver has no native XDP"),
        Errno::EINVAL => {
            Some("the driver refuses it: its MTU, LRO or queue settings do not fit XDP")
        }
        Errno::ENOMEM | Errno::ENOSPC => Some("the driver has no queues left for it"),
        _ => None,
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(kind: Option<&str>, loopback: bool) -> Device {
        Device {
            name: "x".into(),
            index: 1,
            kind: kind.map(str::to_owned),
            loopback,
            ethernet: true,
        }
    }

    #[test]
    fn only_hardware_gets_native_xdp_by_itself() {
        assert_eq!(software(&device(None, false)), None);
        assert!(software(&device(Some("veth"), false)).is_some());
        assert!(software(&device(None, true)).is_some());
    }

    #[test]
    fn a_driver_that_is_busy_is_named_so() {
        let error = ProgramError::SyscallError(SyscallError {
            call: "bpf_link_create",
            io_error: io::Error::from(Errno::EBUSY),
        });
        assert_eq!(
            refusal(&error),
            Some("another XDP program is attached already")
        );
    }
}
