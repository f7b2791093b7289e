//! Programs that do nothing, to measure against, and one that makes floods.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{LinkOrder, TcAttachType, TestRun as _, TestRunAttrs, TestRunOptions, XdpMode};
use aya::util::nr_cpus;
use nix::net::if_::if_nametoindex;
use synfin::attach::{LoadOptions, Programs};
use synfin_tests::frames::Frame;
use synfin_tests::netns::{FAR, Link, NEAR};

use crate::contestants::Ingress;

/// Frames that the kernel makes before it hands them on.
const BATCH: u32 = 64;

/// Programs of the object for benches.
pub(crate) struct Bench {
    programs: Programs,
    senders: PerCpuArray<MapData, [u32; 6]>,
    /// How many frames were sent.
    sent: u32,
}

/// What is attached; dropping it detaches.
pub(crate) struct Idle {
    _xdp: Option<XdpLink>,
    _tcx: Vec<SchedClassifierLink>,
}

/// Whom a flood's frames come from, beside what the frame says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Senders {
    /// The source address without the bits that change, and those.
    pub(crate) addresses: (u32, u32),
    /// The same of the port.
    pub(crate) ports: (u16, u16),
}

impl Bench {
    pub(crate) fn load(object: &Path) -> Result<Self> {
        let object = fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let mut programs = Programs::load_object(
            &object,
            &LoadOptions {
                ring_size: 1 << 16,
                table_size: 64,
                ..LoadOptions::default()
            },
        )?;
        Ok(Self {
            senders: programs.take("SENDERS")?.try_into()?,
            programs,
            sent: 0,
        })
    }

    /// Attaches programs that do nothing as the daemon attaches its own.
    pub(crate) fn idle(&mut self, link: &Link, ingress: Ingress) -> Result<Idle> {
        link.near.enter(|| {
            let xdp = match ingress {
                Ingress::NativeXdp => Some(self.idle_xdp()?),
                Ingress::Tcx => None,
            };
            let mut tcx = vec![self.idle_tcx(TcAttachType::Egress)?];
            if xdp.is_none() {
                tcx.push(self.idle_tcx(TcAttachType::Ingress)?);
            }
            Ok(Idle {
                _xdp: xdp,
                _tcx: tcx,
            })
        })
    }

    /// Sends a frame so many times from the far end, each time as someone else, as fast as this CPU can.
    pub(crate) fn send(
        &mut self,
        link: &Link,
        frame: &Frame,
        from: Senders,
        count: u32,
    ) -> Result<()> {
        let octets = frame.octets();
        link.far.enter(|| {
            let interface = if_nametoindex(FAR).context("find the far end")?;
            let (address, mask) = from.addresses;
            let (port, port_mask) = from.ports;
            let senders = [
                self.sent,
                address,
                mask,
                port.into(),
                port_mask.into(),
                interface,
            ];
            let cpus = nr_cpus()
                .map_err(|(_, error)| error)
                .context("count the CPUs")?;
            self.senders
                .set(0, PerCpuValues::try_from(vec![senders; cpus])?, 0)?;
            self.sent = self.sent.wrapping_add(count);
            let options = TestRunOptions {
                data_in: Some(&octets),
                repeat: count,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::new()
            };
            self.programs
                .xdp("send_xdp")?
                .test_run(options)
                .context("send frames")?;
            Ok(())
        })
    }

    fn idle_xdp(&mut self) -> Result<XdpLink> {
        let interface = if_nametoindex(NEAR).context("find the near end")?;
        let program = self.programs.xdp("idle_xdp")?;
        let link = program.attach_to_if_index(interface, XdpMode::Driver)?;
        Ok(program.take_link(link)?)
    }

    fn idle_tcx(&mut self, direction: TcAttachType) -> Result<SchedClassifierLink> {
        let program = self.programs.classifier("idle_tc")?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = program.attach_with_options(NEAR, direction, options)?;
        Ok(program.take_link(link)?)
    }
}
