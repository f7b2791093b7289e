//! Embeds the BPF object where `cargo xtask build-ebpf` has left one, and names the commit that is built.
//!
//! Without the object the crate still compiles; `synfin trace` then says what to run.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// Where an ELF file says its byte order, and what it says there (elf(5)).
const ORDER: usize = 5;
const LITTLE: u8 = 1;
const BIG: u8 = 2;

fn main() -> io::Result<()> {
    println!("cargo:rustc-check-cfg=cfg(synfin_object)");
    println!("cargo:rerun-if-changed=build.rs");
    name_commit();
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

/// Where there is no git, or no repository, the commit stays unknown.
fn name_commit() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // What moves when there is a new commit.
    for place in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", place]);
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo:rustc-env=SYNFIN_COMMIT={commit}");
    }
}
