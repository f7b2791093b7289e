//! Why loading or attaching failed, and what to do about it.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::programs::tc::TcError;
use aya::programs::xdp::XdpError;
use aya::sys::SyscallError;
use nix::errno::Errno;
use thiserror::Error;

use super::{Device, Hook, LoadOptions};
use crate::sandbox;

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
    #[error("no permission to {what}: {why}")]
    NoPermission {
        /// What was not allowed.
        what: &'static str,
        /// What is missing, or what else can be the reason.
        why: String,
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
    /// The kernel is older than what the programs are made for, and does not take them.
    #[error(
        "this kernel does not take the BPF programs of synfin, which need Linux 5.15; this is {release}"
    )]
    OldKernel {
        /// The running kernel's release.
        release: String,
        /// What the kernel said.
        source: ProgramError,
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
    /// The device's frames begin with something that is not read.
    #[error(
        "{name} is of the type {layer}: synfin reads frames that begin with an Ethernet or an IP header"
    )]
    UnknownLink {
        /// The device.
        name: String,
        /// Its type.
        layer: String,
    },
    /// A hook is not to be had on a device.
    #[error("{hook} does not attach to {name}: {reason}{}", hook.instead())]
    Refused {
        /// The hook.
        hook: Hook,
        /// The device.
        name: String,
        /// In plain words.
        reason: String,
    },
    /// None of the hooks that would do is to be had on a device.
    #[error("nothing attaches to {name}: {}", reasons(refused))]
    NoHook {
        /// The device.
        name: String,
        /// Each hook, and why it was not to be had.
        refused: Vec<(Hook, String)>,
    },
    /// Attaching failed in another way.
    #[error("{hook} does not attach to {name}")]
    Attach {
        /// The hook.
        hook: Hook,
        /// The device.
        name: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The object lacks a program or map.
    #[error("the BPF object has no {0}; it is from another version of synfin")]
    Missing(&'static str),
    /// The object's layouts are not those that this program reads.
    #[error(
        "the BPF object is of version {object}, and this synfin reads version {ours}; run \
         `cargo xtask build`, which builds both together"
    )]
    OtherAbi {
        /// The object's version.
        object: u16,
        /// This program's version.
        ours: u16,
    },
    /// The kernel's verifier refused a program, or loading failed in another way.
    #[error("the BPF programs do not load")]
    Load(#[source] EbpfError),
    /// A program failed in another way.
    #[error(transparent)]
    Program(ProgramError),
    /// A map failed in another way.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The cell that wakes the reader could not be mapped.
    #[error("no memory to share with the BPF programs")]
    Cell(#[source] io::Error),
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
    fn no_permission(what: &'static str) -> Self {
        let why = sandbox::shortfall();
        Self::NoPermission { what, why }
    }

    /// What a failure to load the object means.
    pub(super) fn load(error: EbpfError, options: &LoadOptions) -> Self {
        let EbpfError::MapError(MapError::CreateError { name, io_error }) = &error else {
            return match error {
                EbpfError::ProgramError(error) => error.into(),
                error => Self::Load(error),
            };
        };
        match (errno(io_error), name.as_str()) {
            (Errno::EPERM | Errno::EACCES, _) => Self::no_permission("create BPF maps"),
            // The size was checked before: what is left is a map type that the kernel lacks.
            (Errno::EINVAL, "EVENTS") if options.ring_size.is_power_of_two() => {
                Self::NoRingBuffer { release: release() }
            }
            // A ring as well, of a size that never changes.
            (Errno::EINVAL, "AYA_LOGS") => Self::NoRingBuffer { release: release() },
            (Errno::ENOMEM | Errno::E2BIG, map) => Self::NoMemory {
                flag: match map {
                    "EVENTS" => "--ring-size",
                    "WATCH" => "--watch-slots",
                    "ACCOUNTS" => "--account-size",
                    // The others are small: what is large beside them is the table.
                    _ => "--table-size",
                },
                map: name.clone(),
            },
            _ => Self::Load(error),
        }
    }

    /// What a failure to attach means.
    pub(super) fn attach(hook: Hook, device: &Device, error: ProgramError) -> Self {
        let name = device.name.clone();
        let Some(errno) = program_errno(&error) else {
            return Self::Attach {
                hook,
                name,
                source: error,
            };
        };
        match (Self::at_device(device, errno), refusal(hook, errno)) {
            (Some(error), _) => error,
            (None, Some(reason)) => {
                let said = words(&error).unwrap_or_else(|| reason.into());
                Self::Refused {
                    hook,
                    name,
                    reason: said,
                }
            }
            (None, None) => Self::Attach {
                hook,
                name,
                source: error,
            },
        }
    }

    /// What a failure to load the program for XDP means, which is loaded when it is first attached.
    pub(super) fn xdp(self, hook: Hook, device: &Device) -> Self {
        match self {
            Self::Program(error) | Self::OldKernel { source: error, .. }
                if is_flag_unknown(&error) =>
            {
                Self::Refused {
                    hook,
                    name: device.name.clone(),
                    reason: NO_FRAGS.into(),
                }
            }
            error => error,
        }
    }

    /// What a failure to load a program means on this release of the kernel.
    fn program(error: ProgramError, release: String) -> Self {
        match &error {
            // EACCES is what the verifier answers to a program that it refuses.
            _ if program_errno(&error) == Some(Errno::EPERM) => {
                Self::no_permission("load BPF programs")
            }
            // Only what is said depends on the version: it was tried.
            ProgramError::LoadError { .. } if is_before(&release, OLDEST) => Self::OldKernel {
                release,
                source: error,
            },
            _ => Self::Program(error),
        }
    }

    /// What a failure of a clsact qdisc or its filters means.
    pub(super) fn clsact(device: &Device, error: &io::Error) -> Self {
        Self::at_device(device, errno(error)).unwrap_or_else(|| Self::Refused {
            hook: Hook::Clsact,
            name: device.name.clone(),
            reason: error.to_string(),
        })
    }

    /// What has nothing to do with the hook.
    fn at_device(device: &Device, errno: Errno) -> Option<Self> {
        match errno {
            Errno::EPERM | Errno::EACCES => {
                Some(Self::no_permission("attach or detach BPF programs"))
            }
            Errno::ENODEV => Some(Self::NoDevice {
                name: device.name.clone(),
                there_are: Vec::new(),
            }),
            _ => None,
        }
    }
}

/// In plain words, why a driver or the kernel has not got a hook.
fn refusal(hook: Hook, errno: Errno) -> Option<&'static str> {
    match (hook, errno) {
        (Hook::NativeXdp | Hook::GenericXdp, Errno::EBUSY) => {
            Some("another XDP program is attached already")
        }
        (Hook::NativeXdp | Hook::GenericXdp, Errno::EEXIST) => {
            Some("an XDP program is attached already in another mode")
        }
        (Hook::NativeXdp, Errno::EOPNOTSUPP) => {
            Some("its driver has no native XDP, or not together with its GRO_HW, LRO or offloads")
        }
        (Hook::NativeXdp, Errno::ERANGE | Errno::EFBIG | Errno::EMSGSIZE) => {
            Some("its MTU is too large for XDP")
        }
        (Hook::NativeXdp, Errno::ENOSPC | Errno::ENOMEM) => Some("it has too few queues for XDP"),
        (Hook::NativeXdp, Errno::ENOTCONN) => Some("its other end is gone"),
        (Hook::NativeXdp, Errno::EINVAL) => {
            Some("its driver refuses it: its MTU, LRO or queue settings do not fit XDP")
        }
        (Hook::Tcx, Errno::EINVAL | Errno::EOPNOTSUPP | Errno::E2BIG) => {
            Some("this kernel has no TCX, which came with Linux 6.6")
        }
        (Hook::Tcx, Errno::ERANGE) => Some("it has all the TCX programs that it can have"),
        _ => None,
    }
}

/// What the driver itself said, where it said something (netlink's extended acknowledgment).
fn words(error: &ProgramError) -> Option<String> {
    let ProgramError::XdpError(XdpError::NetlinkError(error)) = error else {
        return None;
    };
    let words = error.to_string();
    let words = words.split_once('"')?.1.rsplit_once('"')?.0;
    (!words.is_empty()).then(|| format!("its driver says {words:?}"))
}

impl From<ProgramError> for AttachError {
    fn from(error: ProgramError) -> Self {
        Self::program(error, release())
    }
}

/// The oldest kernel that the programs are made for.
const OLDEST: (u32, u32) = (5, 15);

/// Whether a release of the kernel is of an older version; one that cannot be read is not.
fn is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(['.', '-']).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < version,
        _ => false,
    }
}

/// The program says by a flag that it takes frames of several buffers.
const NO_FRAGS: &str =
    "this kernel has no XDP for frames of several buffers, which came with Linux 5.18";

/// Whether the kernel has refused a program before the verifier looked at it.
fn is_flag_unknown(error: &ProgramError) -> bool {
    matches!(error, ProgramError::LoadError { io_error, verifier_log }
        if errno(io_error) == Errno::EINVAL && verifier_log.to_string().trim().is_empty())
}

fn reasons(refused: &[(Hook, String)]) -> String {
    let reasons: Vec<_> = refused
        .iter()
        .map(|(hook, reason)| format!("not {hook}, since {reason}"))
        .collect();
    reasons.join("; ")
}

fn program_errno(error: &ProgramError) -> Option<Errno> {
    match error {
        ProgramError::LoadError { io_error, .. }
        | ProgramError::SyscallError(SyscallError { io_error, .. })
        | ProgramError::TcError(TcError::IoError(io_error)) => Some(errno(io_error)),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => {
            error.raw_os_error().map(Errno::from_raw)
        }
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
    use aya_obj::VerifierLog;

    use super::super::fixtures::nic;
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
        for map in ["EVENTS", "AYA_LOGS"] {
            let message = creating(map, Errno::EINVAL);
            assert!(
                message.contains("ring buffer") && message.contains("5.8"),
                "{message}"
            );
        }
    }

    fn not_loaded(errno: Errno, log: &str, release: &str) -> AttachError {
        let error = ProgramError::LoadError {
            io_error: io::Error::from(errno),
            verifier_log: VerifierLog::new(log.into()),
        };
        AttachError::program(error, release.into())
    }

    #[test]
    fn xdp_for_several_buffers_is_told_with_the_version_that_has_it_and_what_to_do_instead() {
        // What is supported, and what is not: both refuse the flag before they look at anything.
        for release in ["5.15.0-97-generic", "5.10.0-28-amd64"] {
            let error = not_loaded(Errno::EINVAL, "", release).xdp(Hook::NativeXdp, &nic());
            assert_eq!(
                error.to_string(),
                "native XDP does not attach to eth0: this kernel has no XDP for frames of several \
                 buffers, which came with Linux 5.18; `--xdp-mode auto` takes a hook that sees the \
                 same frames a little later"
            );
        }
    }

    #[test]
    fn what_the_verifier_says_is_no_lack_of_xdp() {
        let error = not_loaded(Errno::EINVAL, "unknown opcode db", "6.1.0");
        let said = error.xdp(Hook::NativeXdp, &nic()).to_string();
        assert!(said.contains("unknown opcode db"), "{said}");
    }

    #[test]
    fn programs_that_an_old_kernel_does_not_take_are_told_with_the_version_that_does() {
        for (release, is_old) in [
            ("5.10.0-28-amd64", true),
            ("4.19.0", true),
            ("5.15.0", false),
            ("6.1.0-56-cloud-amd64", false),
            ("new", false),
        ] {
            let error = not_loaded(Errno::EINVAL, "unknown opcode db", release);
            let said = error.to_string();
            assert_eq!(said.contains("need Linux 5.15"), is_old, "{said}");
            assert_eq!(
                said.contains(&format!("this is {release}")),
                is_old,
                "{said}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_in_plain_words_with_what_to_do_instead() {
        let device = nic();
        let refused = |hook, errno| {
            let error = ProgramError::SyscallError(SyscallError {
                call: "bpf_link_create",
                io_error: io::Error::from(errno),
            });
            AttachError::attach(hook, &device, error).to_string()
        };
        for (hook, errno, said) in [
            (
                Hook::NativeXdp,
                Errno::EBUSY,
                "another XDP program is attached",
            ),
            (Hook::NativeXdp, Errno::EOPNOTSUPP, "GRO_HW, LRO"),
            (Hook::NativeXdp, Errno::ERANGE, "MTU is too large"),
            (Hook::NativeXdp, Errno::ENOSPC, "too few queues"),
            // On every kernel, with TCX or without.
            (Hook::NativeXdp, Errno::EBUSY, "`--xdp-mode auto`"),
            (Hook::GenericXdp, Errno::EBUSY, "`--xdp-mode auto`"),
            (Hook::Tcx, Errno::EINVAL, "Linux 6.6"),
            (Hook::Tcx, Errno::EINVAL, "`--xdp-mode clsact`"),
            (Hook::Tcx, Errno::EPERM, "attach or detach BPF programs"),
        ] {
            let message = refused(hook, errno);
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_missing_right_is_told_with_what_it_can_be() {
        let message = creating("FLOWS", Errno::EPERM);
        // Run by root, no capability is missing.
        let why = ["CAP_BPF is missing", "no capability is missing"];
        assert!(
            message.contains("create BPF maps") && why.iter().any(|why| message.contains(why)),
            "{message}"
        );
    }

    #[test]
    fn a_table_too_large_is_told_with_the_flag_to_lower() {
        for (map, flag) in [
            ("FLOWS", "--table-size"),
            ("BUCKETS", "--table-size"),
            ("EVENTS", "--ring-size"),
            ("WATCH", "--watch-slots"),
            ("ACCOUNTS", "--account-size"),
        ] {
            let message = creating(map, Errno::ENOMEM);
            assert!(message.ends_with(&format!("lower {flag}")), "{message}");
        }
    }
}
