//! The hooks. Each is a thin wrapper over one tracker, and each lets every frame pass unchanged.

#[cfg(feature = "bench")]
mod bench;
mod diagnose;
mod tc;
mod xdp;
