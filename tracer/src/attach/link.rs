//! Attaching the programs to a device, and letting go of it.

use std::os::fd::AsFd as _;

use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, XdpMode};

use super::clsact::{self, Clsact};
use super::hook::{Way, attach_with};
use super::{AttachError, Attachment, Device, Hook, LinkHeader, Programs, Swept, XdpChoice};

/// What is attached to a device. It goes when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held {
    xdp: Vec<XdpLink>,
    tcx: Vec<SchedClassifierLink>,
    clsact: Option<Clsact>,
}

impl Device {
    /// Removes what a synfin that was killed has left here.
    ///
    /// # Errors
    /// Where the right to do so is missing, or the device is gone.
    pub fn sweep(&self) -> Result<Swept, AttachError> {
        clsact::sweep(self.index).map_err(|error| AttachError::clsact(self, &error))
    }
}

impl Programs {
    /// Attaches to a device, in both directions where `egress` is set, until [`Programs::detach`]. What
    /// a synfin that was killed has left there is removed before.
    ///
    /// # Errors
    /// Where the device's frames begin with something that is not read, or the kernel or the driver
    /// refuses: then nothing stays attached.
    pub fn attach(
        &mut self,
        device: &Device,
        choice: XdpChoice,
        egress: bool,
    ) -> Result<Attachment, AttachError> {
        if let LinkHeader::Other(layer) = &device.header {
            return Err(AttachError::UnknownLink {
                name: device.name.clone(),
                layer: layer.clone(),
            });
        }
        let swept = device.sweep()?;
        let mut held = Held::default();
        let mut attachment = attach_with(device, choice, egress, |hook, way| match hook {
            Hook::NativeXdp => self.attach_xdp(device, hook, XdpMode::Driver, &mut held),
            Hook::GenericXdp => self.attach_xdp(device, hook, XdpMode::Skb, &mut held),
            Hook::Tcx => self.attach_tcx(device, way, &mut held),
            Hook::Clsact => self.attach_clsact(device, way, &mut held),
        })?;
        if swept.is_some() {
            attachment.notes.push(swept.to_string());
        }
        self.held.insert(device.index, held);
        Ok(attachment)
    }

    /// Lets go of the device of an index.
    pub fn detach(&mut self, index: u32) {
        self.held.remove(&index);
    }

    /// Whether something is attached that does not go by itself with the process.
    #[must_use]
    pub fn may_outlive(&self) -> bool {
        self.held.values().any(|held| held.clsact.is_some())
    }

    /// Leaves all that is attached to another process, which has it as well since it was forked.
    pub(super) fn give_away(mut self) {
        for clsact in (self.held.drain()).filter_map(|(_, held)| held.clsact) {
            clsact.give_away();
        }
    }

    fn attach_xdp(
        &mut self,
        device: &Device,
        hook: Hook,
        mode: XdpMode,
        held: &mut Held,
    ) -> Result<(), AttachError> {
        if device.header != LinkHeader::Ethernet {
            return Err(AttachError::Refused {
                hook,
                name: device.name.clone(),
                reason: "its frames have no Ethernet header".into(),
            });
        }
        let xdp = self.xdp(Self::XDP);
        let xdp = xdp.map_err(|error| error.xdp(hook, device))?;
        let link = xdp.attach_to_if_index(device.index, mode);
        let link = link.map_err(|error| AttachError::attach(hook, device, error))?;
        held.xdp.push(xdp.take_link(link)?);
        Ok(())
    }

    fn attach_tcx(
        &mut self,
        device: &Device,
        way: Way,
        held: &mut Held,
    ) -> Result<(), AttachError> {
        let (_, classifier) = self.for_device(device, way)?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = classifier.attach_with_options(&device.name, direction(way), options);
        let link = link.map_err(|error| AttachError::attach(Hook::Tcx, device, error))?;
        held.tcx.push(classifier.take_link(link)?);
        Ok(())
    }

    fn attach_clsact(
        &mut self,
        device: &Device,
        way: Way,
        held: &mut Held,
    ) -> Result<(), AttachError> {
        let refused = |error| AttachError::clsact(device, &error);
        let (name, classifier) = self.for_device(device, way)?;
        let program = classifier.fd()?;
        let clsact = match &mut held.clsact {
            Some(clsact) => clsact,
            none => none.insert(Clsact::new(device.index).map_err(refused)?),
        };
        let added = clsact.add(direction(way), name, program.as_fd());
        added.map_err(refused)
    }

    /// The TC program for a device.
    fn for_device(
        &mut self,
        device: &Device,
        way: Way,
    ) -> Result<(&'static str, &mut SchedClassifier), AttachError> {
        let name = match (&device.header, way) {
            (LinkHeader::Ethernet, Way::In) => Self::INGRESS,
            (LinkHeader::Ethernet, Way::Out) => Self::EGRESS,
            (_, Way::In) => Self::IP_INGRESS,
            (_, Way::Out) => Self::IP_EGRESS,
        };
        Ok((name, self.classifier(name)?))
    }
}

const fn direction(way: Way) -> TcAttachType {
    match way {
        Way::In => TcAttachType::Ingress,
        Way::Out => TcAttachType::Egress,
    }
}
