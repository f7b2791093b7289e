//! Embeds the BPF object where `cargo xtask build-ebpf` has left one.
//!
//! Without it the crate still compiles; `synfin trace` then says what to run.

use std::path::Path;
use std::{env, fs, io};

/// Where an ELF file says its byte order, and what it says there (elf(5)).
const ORDER: usize = 5;
const LITTLE: u8 = 1;
const BIG: u8 = 2;

fn main() -> io::Result<()> {
    println!("cargo:rustc-check-cfg=cfg(synfin_object)");
    println!("cargo:rerun-if-changed=build.rs");
    let object = Path::new("../target/bpf/synfin.bpf.o");
    println!("cargo:rerun-if-changed={}", object.display());
    let (true, Some(out)) = (object.exists(), env::var_os("OUT_DIR")) else {
        return Ok(());
    };
    let octets = fs::read(object)?;
    let big = env::var("CARGO_CFG_TARGET_ENDIAN").is_ok_and(|order| order == "big");
    // The kernel runs programs of its own byte order only.
    if octets.get(ORDER) != Some(if big { &BIG } else { &LITTLE }) {
        println!(
            "cargo:warning=target/bpf/synfin.bpf.o has another byte order than the target of this \
             build, and is left out: `synfin trace` will not work; run `cargo xtask build` on a \
             machine of that kind"
        );
        return Ok(());
    }
    fs::write(Path::new(&out).join("synfin.bpf.o"), octets)?;
    println!("cargo:rustc-cfg=synfin_object");
    Ok(())
}
