//! Flags that cannot be meant end with status 2, before anything is opened, and are named.

use std::process::Command;

use anyhow::{Result, ensure};
use synfin_ebpf::event::ABI_VERSION;
use synfin_tests::cases;
use synfin_tests::process::{self, Output};
use synfin_tests::requirement::{self, Requirement::Daemon};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Daemon];
        an_interface_is_needed,
        an_unknown_flag_is_refused,
        a_host_that_is_no_address_is_refused,
        a_port_that_is_none_is_refused,
        a_ring_of_an_impossible_size_is_refused,
        other_sizes_that_cannot_be_are_refused,
        an_unknown_format_mode_or_direction_is_refused,
        a_duration_that_is_none_is_refused,
        an_unknown_wish_is_refused_and_nothing_waits_for_the_end_while_it_follows,
        more_ports_or_hosts_than_the_filter_holds_are_refused,
        help_names_every_flag,
        the_version_is_told,
    ]
}

fn an_interface_is_needed() -> Result<()> {
    refused(&[], "iface")
}

fn an_unknown_flag_is_refused() -> Result<()> {
    refused(&["-i", "lo", "--sideways"], "--sideways")
}

fn a_host_that_is_no_address_is_refused() -> Result<()> {
    for host in [
        "nonsense",
        "10.0.0.0/33",
        "fd00::/129",
        "10.0.0",
        "10.0.0.0/",
        "",
        "/8",
    ] {
        refused(&["-i", "lo", "--host", host], "--host")?;
    }
    Ok(())
}

fn a_port_that_is_none_is_refused() -> Result<()> {
    for port in ["0", "70000", "-1", "http", "", "80,", "80,0"] {
        refused(&["-i", "lo", &format!("--port={port}")], "--port")?;
    }
    Ok(())
}

fn a_ring_of_an_impossible_size_is_refused() -> Result<()> {
    for size in ["3", "0", "16X", "5000", "-1", "99999999999G"] {
        refused(&["-i", "lo", &format!("--ring-size={size}")], "--ring-size")?;
    }
    Ok(())
}

fn other_sizes_that_cannot_be_are_refused() -> Result<()> {
    for wrong in [
        "--table-size=1",
        "--watch-slots=1000",
        "--unproved-rate=0",
        "--flood-threshold=0",
    ] {
        let (flag, _) = wrong.split_once('=').unwrap_or_default();
        refused(&["-i", "lo", wrong], flag)?;
    }
    Ok(())
}

fn an_unknown_format_mode_or_direction_is_refused() -> Result<()> {
    refused(&["-i", "lo", "--format", "xml"], "--format")?;
    refused(&["-i", "lo", "--xdp-mode", "magic"], "--xdp-mode")?;
    refused(&["-i", "lo", "--direction", "up"], "--direction")
}

fn an_unknown_wish_is_refused_and_nothing_waits_for_the_end_while_it_follows() -> Result<()> {
    refused(&["-i", "lo", "--only", "nice"], "--only")?;
    refused(&["-i", "lo", "--slow", "soon"], "--slow")?;
    refused(&["-i", "lo", "--follow", "--only", "failed"], "--only")?;
    refused(&["-i", "lo", "--follow", "--slow", "1s"], "--slow")?;
    refused(&["-i", "lo", "--follow", "--format", "csv"], "--format")
}

fn a_duration_that_is_none_is_refused() -> Result<()> {
    for flag in ["--handshake-timeout", "--duration"] {
        for duration in ["soon", "5 parsecs", "-1s", ""] {
            refused(&["-i", "lo", &format!("{flag}={duration}")], flag)?;
        }
    }
    Ok(())
}

fn more_ports_or_hosts_than_the_filter_holds_are_refused() -> Result<()> {
    let most = synfin_ebpf::flow::filter::MAX_TERMS;
    let ports: Vec<String> = (1..=most + 1).map(|port| port.to_string()).collect();
    refused(&["-i", "lo", "--port", &ports.join(",")], "--port")?;
    let hosts = ports
        .iter()
        .flat_map(|last| ["--host".to_owned(), format!("10.0.0.{last}")]);
    let hosts: Vec<String> = hosts.collect();
    let hosts = hosts.iter().map(String::as_str);
    refused(
        &["-i", "lo"].into_iter().chain(hosts).collect::<Vec<_>>(),
        "--host",
    )
}

fn help_names_every_flag() -> Result<()> {
    let help = synfin(&["trace", "--help"])?;
    ensure!(help.status.success(), "help ended with {}", help.status);
    for flag in [
        "--iface",
        "--format",
        "--follow",
        "--only",
        "--slow",
        "--summary",
        "--port",
        "--host",
        "--handshake-timeout",
        "--duration",
        "--count",
        "--ring-size",
        "--output-queue",
        "--table-size",
        "--watch-slots",
        "--unproved-rate",
        "--flood-threshold",
        "--max-connections",
        "--direction",
        "--xdp-mode",
    ] {
        ensure!(
            help.stdout.contains(flag),
            "help does not name {flag}: {}",
            help.stdout
        );
    }
    Ok(())
}

fn the_version_is_told() -> Result<()> {
    let version = synfin(&["--version"])?;
    let begins = concat!("synfin ", env!("CARGO_PKG_VERSION"), " (commit ");
    let ends = format!(", kernel ABI {ABI_VERSION})");
    let version = version.stdout.trim();
    ensure!(
        version.starts_with(begins) && version.ends_with(&ends),
        "{version}"
    );
    Ok(())
}

/// `synfin trace` with these arguments ends with status 2, and says something that names `what`.
fn refused(arguments: &[&str], what: &str) -> Result<()> {
    let output = synfin(&[&["trace"], arguments].concat())?;
    let words = arguments.join(" ");
    ensure!(
        output.status.code() == Some(2),
        "`{words}` ended with {} and said {}",
        output.status,
        output.stderr
    );
    ensure!(
        output.stderr.contains(what),
        "`{words}` does not name {what}: {}",
        output.stderr
    );
    assert_eq!(output.stdout, "", "`{words}`");
    Ok(())
}

fn synfin(arguments: &[&str]) -> Result<Output> {
    process::run(Command::new(requirement::daemon()).args(arguments))
}
