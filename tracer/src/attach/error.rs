//! Why loading or attaching failed, and what to do about it.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::programs::tc::TcError;
use aya::sys::SyscallError;
use nix::errno::Errno;
use thiserror::Error;

use super::{Device, LoadOptions};

/// A failure to load or attach.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The build has no BPF object.
    #[error(
        "this build of synfin has no BPF programs in it; run `cargo xtask build` and use the \
         binary that it names"
    )]
    NoObject,
    /// The right to load or attach is missing.
    #[error(
        "no permission to {what}; run synfin as root (sudo), or give it CAP_BPF, CAP_NET_ADMIN \
         and CAP_PERFMON"
    )]
    NoPermission {
        /// What was not allowed.
        what: &'static str,
    },
    /// The kernel has no ring buffer.
    #[error(
        "this kernel has no BPF ring buffer, which synfin needs; it came with Linux 5.8, and this \
         is {release}"
    )]
    NoRingBuffer {
        /// The running kernel's release.
        release: String,
    },
    /// A map of the asked-for size could not be made.
    #[error("no memory for the map {map}; lower {flag}")]
    NoMemory {
        /// The map.
        map: String,
        /// The flag that sets its size.
        flag: &'static str,
    },
    /// There is no device of that name.
    #[error("there is no interface {name:?}; there are: {}", there_are.join(", "))]
    NoDevice {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        there_are: Vec<String>,
    },
    /// The device's frames have no Ethernet header.
    #[error("{0} has no Ethernet header, and synfin reads only Ethernet so far")]
    NotEthernet(String),
    /// Native XDP was asked for and is not to be had.
    #[error(
        "native XDP does not attach to {name}: {reason}; `--xdp-mode tcx` looks at the same \
         frames a little later"
    )]
    NoNativeXdp {
        /// The device.
        name: String,
        /// In plain words.
        reason: String,
    },
    /// The kernel has no TCX.
    #[error("TCX does not attach to {name}: this kernel is {release}, and TCX came with Linux 6.6")]
    NoTcx {
        /// The device.
        name: String,
        /// The running kernel's release.
        release: String,
    },
    /// Attaching failed in another way.
    #[error("{hook} does not attach to {name}")]
    Attach {
        /// The hook.
        hook: &'static str,
        /// The device.
        name: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The object lacks a program or map.
    #[error("the BPF object has no {0}; it is from another version of synfin")]
    Missing(&'static str),
    /// The kernel's verifier refused a program, or loading failed in another way.
    #[error("the BPF programs do not load")]
    Load(#[source] EbpfError),
    /// A program failed in another way.
    #[error(transparent)]
    Program(ProgramError),
    /// A map failed in another way.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A descriptor could not be copied.
    #[error("no descriptor left for the BPF programs")]
    Descriptor(#[from] io::Error),
    /// Netlink failed.
    #[error("the kernel does not tell of its interfaces (netlink)")]
    Netlink(#[source] io::Error),
    /// All interfaces that were asked for are gone.
    #[error("no interface is left to trace")]
    NothingLeft,
    /// A clock could not be asked.
    #[error("the kernel does not tell its tick rate")]
    Clock(#[source] io::Error),
}

impl AttachError {
    /// What a failure to load the object means.
    pub(super) fn load(error: EbpfError, options: &LoadOptions) -> Self {
        let EbpfError::MapError(MapError::CreateError { name, io_error }) = &error else {
            return match error {
                EbpfError::ProgramError(error) => error.into(),
                error => Self::Load(error),
            };
        };
        match (errno(io_error), name.as_str()) {
            (Errno::EPERM | Errno::EACCES, _) => Self::NoPermission {
                what: "create BPF maps",
            },
            // The size was checked before: what is left is a map type that the kernel lacks.
            (Errno::EINVAL, "EVENTS") if options.ring_size.is_power_of_two() => {
                Self::NoRingBuffer { release: release() }
            }
            (Errno::ENOMEM | Errno::E2BIG, "EVENTS") => Self::NoMemory {
                map: name.clone(),
                flag: "--ring-size",
            },
            (Errno::ENOMEM | Errno::E2BIG, _) => Self::NoMemory {
                map: name.clone(),
                flag: "--table-size",
            },
            _ => Self::Load(error),
        }
    }

    /// What a failure to attach means.
    pub(super) fn attach(hook: &'static str, device: &Device, error: ProgramError) -> Self {
        let name = device.name.clone();
        match program_errno(&error) {
            Some(Errno::EPERM | Errno::EACCES) => Self::NoPermission {
                what: "attach BPF programs",
            },
            Some(Errno::ENODEV) => Self::NoDevice {
                name,
                there_are: Vec::new(),
            },
            Some(Errno::EINVAL) if hook == "TCX" => Self::NoTcx {
                name,
                release: release(),
            },
            _ => Self::Attach {
                hook,
                name,
                source: error,
            },
        }
    }
}

impl From<ProgramError> for AttachError {
    fn from(error: ProgramError) -> Self {
        match program_errno(&error) {
            // EACCES is what the verifier answers to a program that it refuses.
            Some(Errno::EPERM) => Self::NoPermission {
                what: "load BPF programs",
            },
            _ => Self::Program(error),
        }
    }
}

fn program_errno(error: &ProgramError) -> Option<Errno> {
    match error {
        ProgramError::LoadError { io_error, .. }
        | ProgramError::SyscallError(SyscallError { io_error, .. })
        | ProgramError::TcError(TcError::IoError(io_error)) => Some(errno(io_error)),
        _ => None,
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// The running kernel's release, as uname(2) gives it.
fn release() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => name.release().to_string_lossy().into_owned(),
        Err(_) => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creating(name: &str, errno: Errno) -> String {
        let error = EbpfError::MapError(MapError::CreateError {
            name: name.into(),
            io_error: io::Error::from(errno),
        });
        let options = LoadOptions {
            ring_size: 4096,
            ..LoadOptions::default()
        };
        AttachError::load(error, &options).to_string()
    }

    #[test]
    fn a_kernel_without_ring_buffer_is_told_with_the_version_that_has_it() {
        let message = creating("EVENTS", Errno::EINVAL);
        assert!(
            message.contains("ring buffer") && message.contains("5.8"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_right_is_told_with_what_gives_it() {
        let message = creating("FLOWS", Errno::EPERM);
        assert!(
            message.contains("sudo") && message.contains("CAP_BPF"),
            "{message}"
        );
    }

    #[test]
    fn a_table_too_large_is_told_with_the_flag_to_lower() {
        assert!(creating("FLOWS", Errno::ENOMEM).contains("--table-size"));
        assert!(creating("EVENTS", Errno::ENOMEM).contains("--ring-size"));
    }
}
