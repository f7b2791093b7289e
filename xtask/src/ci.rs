//! What continuous integration runs, the same on every machine.

use anyhow::Result;

use crate::{
    build, deny,
    exec::{self, say},
    packages,
    setup::{self, Ebpf},
    test, unsafety,
    workspace::Workspace,
};

/// Checks format, lints of both sides and dependencies, then runs every test, and some of them on the oldest
/// kernel. The tests load every program, so the verifiers of both kernels are asked as well.
pub(crate) fn all(workspace: &Workspace) -> Result<()> {
    exec::run(
        exec::cargo()
            .args(["fmt", "--all", "--check"])
            .current_dir(workspace.root()),
    )?;
    unsafety::list(workspace)?;
    deny::all(workspace)?;
    // The daemon's build script embeds the object, so that comes before lints of the host's side.
    build::ebpf(workspace)?;
    lint_ebpf(workspace)?;
    exec::run(
        exec::cargo()
            .args(["clippy", "--workspace", "--all-targets"])
            .args(["--", "-D", "warnings"])
            .current_dir(workspace.root()),
    )?;
    test::all(workspace)?;
    test::on_the_oldest_kernel(workspace)
}

/// Lints the BPF programs, or where the toolchain has no clippy and none can be installed, makes
/// the compiler's own warnings errors. The library beside them is linted with the host's side.
fn lint_ebpf(workspace: &Workspace) -> Result<()> {
    let tools = setup::ebpf(workspace)?;
    let verb = if has_clippy(&tools) {
        "clippy"
    } else {
        say("the toolchain of the BPF programs has no clippy: only rustc's warnings are errors");
        "rustc"
    };
    let mut command = build::ebpf_cargo(workspace, &tools, verb, "bench")?;
    exec::run(command.args(["--", "-D", "warnings"]))
}

fn has_clippy(tools: &Ebpf) -> bool {
    let toolchain = &tools.toolchain;
    let of_debian = toolchain.rustup.is_none() && toolchain.bin.starts_with("/usr/bin");
    if !toolchain.has_clippy()
        && of_debian
        && let Err(error) = packages::install(&["rust-web-clippy"])
    {
        say(format_args!("{error:#}"));
    }
    toolchain.has_clippy()
}
