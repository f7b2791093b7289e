//! What a device's driver says of itself (`SIOCETHTOOL`, linux/ethtool.h).

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GDRVINFO`, `ETHTOOL_GFLAGS` and `ETHTOOL_GGRO`.
const DRIVER: u32 = 0x03;
const FLAGS: u32 = 0x25;
const GRO: u32 = 0x2b;
/// `ETH_FLAG_LRO`.
const FLAG_LRO: u32 = 1 << 15;

/// struct ethtool_value.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// struct ethtool_drvinfo.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// A device, asked by its name.
pub(super) struct Ethtool {
    socket: std::os::fd::OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Ethtool {
    pub(super) fn new(device: &str) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        // The last octet stays 0.
        if device.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (place, octet) in name.iter_mut().zip(device.bytes()) {
            *place = octet.cast_signed();
        }
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
        Ok(Self { socket, name })
    }

    /// The driver's name.
    pub(super) fn driver(&self) -> io::Result<String> {
        let mut info = DriverInfo {
            command: DRIVER,
            driver: [0; 32],
            rest: [0; 160],
        };
        // SAFETY: the kernel writes a struct ethtool_drvinfo of 196 octets, which this is.
        unsafe { self.ask((&raw mut info).cast()) }?;
        let name = CStr::from_bytes_until_nul(&info.driver).map_err(io::Error::other)?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Whether the kernel puts segments together that arrive (GRO).
    pub(super) fn gro(&self) -> io::Result<bool> {
        self.value(GRO).map(|value| value != 0)
    }

    /// Whether the device puts segments together that arrive (LRO).
    pub(super) fn lro(&self) -> io::Result<bool> {
        self.value(FLAGS).map(|value| value & FLAG_LRO != 0)
    }

    fn value(&self, command: u32) -> io::Result<u32> {
        let mut value = Value { command, data: 0 };
        // SAFETY: for these commands the kernel writes a struct ethtool_value, which this is.
        unsafe { self.ask((&raw mut value).cast()) }?;
        Ok(value.data)
    }

    /// # Safety
    /// `request` has to begin with a command, and to be as large as what the kernel writes for it.
    unsafe fn ask(&self, request: *mut libc::c_char) -> io::Result<()> {
        let mut argument = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: request },
        };
        // SAFETY: the argument is a struct ifreq whose data the caller vouches for; both outlive the call.
        let status = unsafe {
            libc::ioctl(
                self.socket.as_raw_fd(),
                libc::SIOCETHTOOL,
                &raw mut argument,
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<Value>() == 8);
