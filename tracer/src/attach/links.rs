//! What holds the programs on their devices, by device: once it is dropped they are gone from there.

use std::collections::HashMap;

use aya::programs::tc::SchedClassifierLink;
use aya::programs::xdp::XdpLink;

/// The attachments of all devices.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<u32, Vec<Link>>);

/// One attachment.
#[derive(Debug)]
pub(super) enum Link {
    Xdp { _held: XdpLink },
    Classifier { _held: SchedClassifierLink },
}

impl Links {
    pub(super) fn hold(&mut self, device: u32, link: impl Into<Link>) {
        self.0.entry(device).or_default().push(link.into());
    }

    pub(super) fn release(&mut self, device: u32) {
        self.0.remove(&device);
    }
}

impl From<XdpLink> for Link {
    fn from(link: XdpLink) -> Self {
        Self::Xdp { _held: link }
    }
}

impl From<SchedClassifierLink> for Link {
    fn from(link: SchedClassifierLink) -> Self {
        Self::Classifier { _held: link }
    }
}
