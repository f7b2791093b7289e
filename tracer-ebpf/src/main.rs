//! The BPF programs: three hooks over one tracker.
//!
//! All `unsafe` of the kernel side lives in this binary. Every program ends in PASS: synfin only
//! looks (see `programs`).
#![no_std]
#![no_main]
#![feature(asm_experimental_arch, core_intrinsics)]
#![expect(
    internal_features,
    reason = "atomic read-modify-write has no other name on the BPF target"
)]

mod frame;
mod globals;
mod host;
mod maps;
mod programs;
mod table;

/// Kernel helpers are for GPL-compatible programs only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Which layouts these programs have: the loader reads it before it asks the kernel for anything.
#[unsafe(no_mangle)]
#[unsafe(link_section = "synfin_abi")]
static ABI: [u8; 2] = synfin_ebpf::event::ABI_VERSION.to_ne_bytes();

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is reachable: the verifier refuses a program that could get here.
    loop {}
}
