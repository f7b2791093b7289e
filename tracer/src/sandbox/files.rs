//! Landlock: what is not open already stays closed (see landlock(7)).

use std::fmt;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _, RulesetError,
    Scope,
};

use super::SandboxError;

/// The newest version whose rights were looked through. Older kernels enforce what they know of it.
const KNOWN: ABI = ABI::V10;

/// What Landlock keeps closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// All that this version of it knows.
    Closed(ABI),
    /// The kernel was built without it.
    Absent,
    /// The kernel was started without it.
    Off,
}

/// Closes everything: files, TCP and UDP ports, abstract sockets, and signals to other processes.
pub(super) fn close() -> Result<Files, SandboxError> {
    let status = restrict().map_err(|error| SandboxError::Landlock(error.to_string()))?;
    Ok(match status {
        LandlockStatus::Available { effective_abi, .. } => Files::Closed(effective_abi),
        LandlockStatus::NotEnabled => Files::Off,
        LandlockStatus::NotImplemented => Files::Absent,
    })
}

fn restrict() -> Result<LandlockStatus, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        // No rule: nothing is allowed.
        .create()?
        .restrict_self()?;
    Ok(status.landlock)
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let abi = match self {
            Self::Closed(abi) => *abi,
            Self::Absent => return write!(f, "no Landlock, which came with Linux 5.13"),
            Self::Off => return write!(f, "no Landlock, which this kernel was started without"),
        };
        write!(f, "Landlock {abi}: no file")?;
        if abi >= ABI::V4 {
            write!(f, ", no TCP port")?;
        }
        if abi >= ABI::V10 {
            write!(f, ", no UDP port")?;
        }
        if abi >= ABI::V6 {
            return write!(f, ", no abstract socket, no signal to others");
        }
        let ports = if abi < ABI::V4 {
            "ports come with Linux 6.7, "
        } else {
            ""
        };
        write!(f, " ({ports}abstract sockets and signals with 6.12)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, Read as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_a_kernel_cannot_close_is_told_with_the_version_that_can() {
        for (files, said) in [
            (Files::Absent, "no Landlock, which came with Linux 5.13"),
            (
                // Linux 6.1.
                Files::Closed(ABI::V2),
                "no file (ports come with Linux 6.7, abstract sockets and signals with 6.12)",
            ),
            (
                Files::Closed(ABI::V5),
                "no file, no TCP port (abstract sockets and signals with 6.12)",
            ),
            (
                Files::Closed(ABI::V7),
                "no file, no TCP port, no abstract socket, no signal to others",
            ),
        ] {
            assert!(files.to_string().ends_with(said), "{files}");
        }
    }

    #[test]
    fn what_is_open_can_be_read_and_nothing_else_be_opened() {
        const FILE: &str = "/proc/self/status";
        // Landlock binds this thread only.
        let confined = std::thread::spawn(|| {
            let mut open = File::open(FILE).unwrap();
            let files = close().unwrap();
            let refused = |result: Option<ErrorKind>| result == Some(ErrorKind::PermissionDenied);
            let closed = |first| matches!(files, Files::Closed(abi) if abi >= first);
            let file = File::open(FILE).err().map(|error| error.kind());
            assert_eq!(refused(file), closed(ABI::V1), "{file:?}");
            let port = TcpListener::bind("127.0.0.1:0").err();
            let port = port.map(|error| error.kind());
            assert_eq!(refused(port), closed(ABI::V4), "{port:?}");
            assert!(open.read(&mut [0; 8]).is_ok_and(|len| len == 8));
        });
        confined.join().unwrap();
    }
}
