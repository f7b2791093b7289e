//! Embeds the BPF object where `cargo xtask build-ebpf` has left one.
//!
//! Without it the crate still compiles; `synfin trace` then says what to run.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rustc-check-cfg=cfg(synfin_object)");
    println!("cargo:rerun-if-changed=build.rs");
    let object = Path::new("../target/bpf/synfin.bpf.o");
    println!("cargo:rerun-if-changed={}", object.display());
    if let (true, Some(out)) = (object.exists(), env::var_os("OUT_DIR")) {
        fs::copy(object, Path::new(&out).join("synfin.bpf.o"))?;
        println!("cargo:rustc-cfg=synfin_object");
    }
    Ok(())
}
