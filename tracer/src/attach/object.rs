//! The BPF object inside the daemon, and whether an object is of this version.

use object::{File, Object as _, ObjectSection as _};
use synfin_ebpf::event::{ABI_SECTION, ABI_VERSION};

use super::AttachError;

/// Whether an object has the layouts that this program reads: told before anything of it is loaded.
pub(super) fn check(object: &[u8]) -> Result<(), AttachError> {
    let version = version(object).ok_or(AttachError::Missing("version"))?;
    if version == ABI_VERSION {
        return Ok(());
    }
    Err(AttachError::OtherAbi {
        object: version,
        ours: ABI_VERSION,
    })
}

fn version(object: &[u8]) -> Option<u16> {
    let file = File::parse(object).ok()?;
    let section = file.section_by_name(ABI_SECTION)?;
    Some(u16::from_ne_bytes(section.data().ok()?.try_into().ok()?))
}

/// The embedded object.
#[cfg(synfin_object)]
pub(super) fn embedded() -> Result<&'static [u8], AttachError> {
    Ok(aya::include_bytes_aligned!(concat!(
        env!("OUT_DIR"),
        "/synfin.bpf.o"
    )))
}

/// The embedded object, which this build has not.
#[cfg(not(synfin_object))]
pub(super) fn embedded() -> Result<&'static [u8], AttachError> {
    Err(AttachError::NoObject)
}
