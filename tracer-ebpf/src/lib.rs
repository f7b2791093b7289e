//! Reads TCP headers and follows connection openings and closings.
//!
//! Data goes one way, `octets → wire → segment → flow → event`: the same code runs in the kernel
//! programs and in the readers of user space, so that the same frames give the same events on both
//! ways. Absent on purpose: allocation, clocks, maps and `unsafe`; what a place
//! has of those comes in through [`flow::Host`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod account;
pub mod counters;
pub mod event;
pub mod flow;
pub mod octets;
pub mod segment;
pub mod seq;
pub mod wire;
