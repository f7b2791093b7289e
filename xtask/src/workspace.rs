//! Where things are in this checkout: sources that are read and files that are made.
//!
//! BPF artefacts always lie under `target` of the checkout, because the build script of the daemon
//! looks for the object there; what the host's cargo builds follows `CARGO_TARGET_DIR`.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The checkout that this command works on.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that holds this package. `cargo run` names the package's folder at run time,
    /// which stays true in a tree that was moved after it was built.
    pub(crate) fn locate() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .with_context(|| format!("{} has no parent folder", package.display()))?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// The top folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The BPF object that the daemon embeds.
    pub(crate) fn bpf_object(&self) -> PathBuf {
        self.root.join("target/bpf/synfin.bpf.o")
    }

    /// The BPF object that benches measure with.
    pub(crate) fn bench_object(&self) -> PathBuf {
        self.root.join("target/bpf/bench.bpf.o")
    }

    /// Cargo's target directory for the BPF target. It is not the host's, so that the two builds
    /// neither wait for each other's lock nor undo each other's work.
    pub(crate) fn bpf_build(&self) -> PathBuf {
        self.root.join("target/bpf-build")
    }

    /// Where tools that setup builds are installed: a root in the sense of `cargo install`.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// Where the tests tell what they attached to.
    pub(crate) fn report(&self) -> PathBuf {
        self.root.join("target/devices.jsonl")
    }

    /// Where captures to measure with are made.
    pub(crate) fn bench(&self) -> PathBuf {
        self.root.join("target/bench")
    }

    /// Where fuzz targets are built, and what fuzzing found is kept.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("target/fuzz")
    }

    /// Where kernels for virtual machines are unpacked, and their file systems made.
    pub(crate) fn guest(&self) -> PathBuf {
        self.root.join("target/guest")
    }

    /// Cargo's target directory for other architectures: the compiler may be another one, too.
    pub(crate) fn arch(&self) -> PathBuf {
        self.root.join("target/arch")
    }

    /// The finished daemon.
    pub(crate) fn synfin(&self) -> PathBuf {
        self.release("synfin")
    }

    /// This program, built with optimizations.
    pub(crate) fn xtask(&self) -> PathBuf {
        self.release("xtask")
    }

    fn release(&self, program: &str) -> PathBuf {
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(elsewhere) => self.root.join(elsewhere),
            None => self.root.join("target"),
        };
        target.join("release").join(program)
    }
}
