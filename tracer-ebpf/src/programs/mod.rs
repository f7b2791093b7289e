//! The hooks. Each is a thin wrapper over one tracker, and each lets every frame pass unchanged.

#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "bench")]
mod bench_live;
mod diagnose;
mod tc;
mod xdp;
