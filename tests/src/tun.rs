//! A wire between two namespaces whose ends are TUN devices: frames without an Ethernet header.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;

use crate::netns::{self, Namespace};

/// No packet of these devices is as long.
const PACKET_MAX: usize = 1 << 16;

/// Carries packets from each end to the other one until it is dropped, and takes the devices along.
#[derive(Debug)]
pub struct Wire {
    carriers: Vec<JoinHandle<()>>,
    /// The namespace and the name of each end.
    ends: [[String; 2]; 2],
}

impl Wire {
    /// Makes both ends, down and without addresses.
    ///
    /// # Errors
    /// Where the devices cannot be made.
    pub fn lay(near: (&Namespace, &str), far: (&Namespace, &str)) -> Result<Self> {
        let [a, b] = [near, far].map(|(namespace, name)| namespace.enter(|| open(name)));
        let (a, b) = (a?, b?);
        let back = (b.try_clone()?, a.try_clone()?);
        Ok(Self {
            carriers: [(a, b), back].map(|(from, to)| carry(from, to)).into(),
            ends: [near, far].map(|(namespace, name)| [namespace.name(), name].map(str::to_owned)),
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Reading from a device that is gone fails, and so the carriers end.
        for [namespace, name] in &self.ends {
            if let Err(error) = netns::ip(&["-netns", namespace, "link", "delete", name]) {
                eprintln!("{error:#}");
                return;
            }
        }
        for carrier in self.carriers.drain(..) {
            if carrier.join().is_err() {
                eprintln!("what carried packets between TUN devices panicked");
            }
        }
    }
}

/// A packet that a device does not take, while it is down for instance, is lost as on any wire.
fn carry(mut from: File, mut to: File) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut packet = vec![0; PACKET_MAX];
        while let Ok(len) = from.read(&mut packet) {
            let _ = to.write(packet.get(..len).unwrap_or_default());
        }
    })
}

/// Makes a device in the namespace of the calling thread; it lives as long as the file is open.
fn open(name: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .context("open /dev/net/tun")?;
    // SAFETY: all zero is a valid value of this structure of numbers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last place stays zero, which ends the name.
    for (place, octet) in request
        .ifr_name
        .iter_mut()
        .zip(name.bytes().take(libc::IFNAMSIZ - 1))
    {
        *place = libc::c_char::from_ne_bytes([octet]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
    // SAFETY: the request is a whole structure of the type that this call reads and writes, and it
    // outlives the call.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(made).with_context(|| format!("make the TUN device {name}"))?;
    Ok(file)
}
