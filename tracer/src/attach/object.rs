//! The BPF object inside the daemon.

use super::AttachError;

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
