//! The hooks. Each is a thin wrapper over one tracker, and each lets every frame pass unchanged.

mod tc;
mod xdp;
