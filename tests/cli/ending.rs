//! How tracing ends: by signal, by limit, by a reader that has enough.

use std::io::Read;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use synfin_tests::cases;
use synfin_tests::conversation::Sender;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::record::{self, Connection};
use synfin_tests::requirement::Requirement::{Daemon, Root};
use synfin_tests::suite::Case;

use crate::talks::{between, whole};

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Daemon];
        an_interrupt_tells_what_is_open_and_ends_well,
        a_termination_ends_as_an_interrupt_does,
        the_duration_ends_it,
        the_count_ends_it_after_so_many_connections,
        a_reader_that_closes_the_pipe_ends_it_quietly,
        the_handshake_timeout_tells_a_syn_without_reply,
    ]
}

fn an_interrupt_tells_what_is_open_and_ends_well() -> Result<()> {
    what_is_open_is_told_after(Signal::SIGINT)
}

fn a_termination_ends_as_an_interrupt_does() -> Result<()> {
    what_is_open_is_told_after(Signal::SIGTERM)
}

fn what_is_open_is_told_after(signal: Signal) -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    let wire = Wire::of(&link)?;
    wire.play(
        &between("10.1.1.2:40000", "10.1.1.1:80")
            .open()
            .data(Sender::Client, 5),
    )?;
    wire.play(&between("10.1.1.2:40001", "10.1.1.1:80").syn())?;
    // Its end is so young that its record waits for trailing segments.
    wire.play(&whole("10.1.1.2:40002", "10.1.1.1:80"))?;
    let output = tracer.stop_by(signal)?;
    let mut connections = record::connections(&output.stdout)?;
    connections.sort_by_key(|connection| connection.client.port);
    let told: Vec<_> = connections.iter().map(verdict).collect();
    let expected = [
        (40000, "established", "none"),
        (40001, "pending", "none"),
        (40002, "established", "four_way"),
    ];
    assert_eq!(told, expected);
    // One frame each of SYN, SYN-ACK, ACK, data, ACK; a SYN; and nine of the whole connection.
    assert_eq!(daemon::count(&output, daemon::SEGMENTS), Some(5 + 1 + 9));
    Ok(())
}

fn the_duration_ends_it() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--duration", "1s"])?;
    let output = tracer.finish()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    assert_eq!(output.stdout, "");
    Ok(())
}

fn the_count_ends_it_after_so_many_connections() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--count", "2"])?;
    let wire = Wire::of(&link)?;
    for port in 40_000..40_003 {
        wire.play(&whole(&format!("10.1.1.2:{port}"), "10.1.1.1:80"))?;
    }
    let output = tracer.finish()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let connections = record::connections(&output.stdout)?;
    let ports: Vec<u16> = connections
        .iter()
        .map(|connection| connection.client.port)
        .collect();
    assert_eq!(ports, [40_000, 40_001]);
    Ok(())
}

fn a_reader_that_closes_the_pipe_ends_it_quietly() -> Result<()> {
    for format in ["ladder", "json"] {
        let link = Link::silent()?;
        let words = ["trace", "-i", NEAR, "--format", format];
        let mut command = daemon::command(&link.near, &words);
        let (tracer, mut stdout) = Tracer::start_unread(&mut command)?;
        let wire = Wire::of(&link)?;
        wire.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
        // As `head` does, which reads something and has enough.
        stdout.read_exact(&mut [0; 16])?;
        drop(stdout);
        wire.play(&whole("10.1.1.2:40001", "10.1.1.1:80"))?;
        let output = tracer.finish()?;
        ensure!(
            output.status.success(),
            "{format}: it ended with {}",
            output.status
        );
        for word in ["error", "pipe"] {
            let said = output.stderr.to_lowercase().contains(word);
            ensure!(!said, "{format}: it was not quiet: {}", output.stderr);
        }
    }
    Ok(())
}

fn the_handshake_timeout_tells_a_syn_without_reply() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--handshake-timeout", "1s"])?;
    let wire = Wire::of(&link)?;
    wire.play(&between("10.1.1.2:40000", "10.1.1.1:80").syn())?;
    wire.play(
        &between("10.1.1.2:40001", "10.1.1.1:80")
            .syn()
            .syn_ack()
            .again(),
    )?;
    let (mut connections, _) = tracer.connections(2)?;
    connections.sort_by_key(|connection| connection.client.port);
    let told: Vec<_> = connections.iter().map(verdict).collect();
    assert_eq!(
        told,
        [(40000, "no_reply", "none"), (40001, "half_open", "none")]
    );
    let retries = connections
        .iter()
        .map(|connection| connection.open.synack_retries);
    assert!(retries.eq([0, 1]));
    Ok(())
}

fn verdict(connection: &Connection) -> (u16, &str, &str) {
    let (open, close) = (&connection.open.outcome, &connection.close.kind);
    (connection.client.port, open, close)
}
