//! What is told: lines of JSON as the contract has them, steps as they happen, colours where a
//! terminal is.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use synfin_tests::cases;
use synfin_tests::conversation::Sender;
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::process;
use synfin_tests::record::{self, Record};
use synfin_tests::requirement::{
    self,
    Requirement::{Daemon, Root, Tool},
};
use synfin_tests::suite::Case;

use crate::talks::{between, whole};

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Root, Daemon];
        a_record_has_the_fields_of_the_contract,
        a_field_that_was_not_seen_is_null,
        steps_are_told_as_they_happen_in_json,
        steps_are_told_as_they_happen_in_the_ladder,
        a_pipe_gets_no_colours,
        the_summary_goes_to_standard_error,
    ];
    let terminal = cases![&[Root, Daemon, Tool("script")]; no_color_is_heeded_on_a_terminal];
    [plain, terminal].concat()
}

fn a_record_has_the_fields_of_the_contract() -> Result<()> {
    let contract = [
        (
            "",
            "v type start interface seen_on vlans tunnel community_id previous client server accounts_whole \
              options open close duration_ns originator conn_state history completeness asymmetric \
              observation_gap anomalies segments segments_omitted",
        ),
        (
            "/client",
            "addr port isn bytes bytes_basis bytes_modulo state account options",
        ),
        (
            "/server",
            "addr port isn bytes bytes_basis bytes_modulo state account options",
        ),
        ("/options", "in_effect not_echoed not_offered"),
        (
            "/client/options",
            "mss window_scale sack timestamps ecn fast_open mptcp malformed",
        ),
        (
            "/open",
            "outcome kind confidence rtt_ns syn_retries synack_retries backoff_ns \
                   backoff_doubles fast_open refused_after_ns ack_via_data wrong_ack",
        ),
        ("/open/rtt_ns", "syn_to_synack synack_to_ack total"),
        (
            "/close",
            "kind by cause proof text gap_bytes half_close_ns last_ack",
        ),
        (
            "/segments/0",
            "t_ns from flags seq ack len window check client_state server_state",
        ),
    ];
    let record = raw_record(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    for (place, fields) in contract {
        let object = record.pointer(place).and_then(Value::as_object);
        let object = object.with_context(|| format!("find an object at {place:?} in {record}"))?;
        for field in fields.split_whitespace() {
            ensure!(
                object.contains_key(field),
                "{place}/{field} is missing in {record}"
            );
        }
    }
    assert_eq!(record.pointer("/v"), Some(&Value::from(1)));
    assert_eq!(record.pointer("/type"), Some(&Value::from("connection")));
    Ok(())
}

fn a_field_that_was_not_seen_is_null() -> Result<()> {
    let record = raw_record(&between("10.1.1.2:40000", "10.1.1.1:80").syn())?;
    for place in [
        "/server/isn",
        "/server/bytes",
        "/server/bytes_basis",
        "/server/options",
        "/open/rtt_ns/syn_to_synack",
        "/open/rtt_ns/synack_to_ack",
        "/open/rtt_ns/total",
        "/open/refused_after_ns",
        "/open/wrong_ack",
        "/close/by",
        "/close/cause",
        "/close/half_close_ns",
        "/close/last_ack",
        "/segments/0/ack",
        "/segments/0/check",
    ] {
        assert_eq!(
            record.pointer(place),
            Some(&Value::Null),
            "{place} in {record}"
        );
    }
    Ok(())
}

fn steps_are_told_as_they_happen_in_json() -> Result<()> {
    let link = Link::silent()?;
    let mut tracer = Tracer::json(&link.near, &["--follow"])?;
    let wire = Wire::of(&link)?;
    let talk = between("10.1.1.2:40000", "10.1.1.1:80").syn();
    wire.play(&talk)?;
    // The step is there while the connection has only begun.
    tracer.await_text("\n")?;
    let talk = talk.syn_ack().ack(Sender::Client).close(Sender::Client);
    for (sender, frame) in talk.frames().skip(1) {
        match sender {
            Sender::Client => wire.ingress(&frame.octets())?,
            Sender::Server => wire.egress(&frame.octets())?,
        }
    }
    tracer.await_connections(1)?;
    let records = record::parse(&tracer.stop()?.stdout)?;
    let (last, steps) = records.split_last().context("no record")?;
    let Record::Connection(connection) = last else {
        panic!("the last record is {last:?}");
    };
    assert_eq!(steps.len(), connection.segments.len());
    for (step, segment) in steps.iter().zip(&connection.segments) {
        let Record::Step(step) = step else {
            panic!("a connection before its end: {step:?}");
        };
        assert_eq!(step.client.port, 40_000);
        assert_eq!(step.server.port, 80);
        let told = (&step.segment.flags, step.segment.seq, step.segment.ack);
        assert_eq!(told, (&segment.flags, segment.seq, segment.ack));
        // The wall clock may be set between a step and the record.
        let since = step.time.as_nanosecond() - connection.start.as_nanosecond();
        let apart = (since - i128::from(segment.t_ns)).abs();
        ensure!(
            apart < 1_000_000_000,
            "a step was told {apart} ns from its place"
        );
    }
    Ok(())
}

fn steps_are_told_as_they_happen_in_the_ladder() -> Result<()> {
    let link = Link::silent()?;
    let words = ["trace", "-i", NEAR, "--follow"];
    let mut tracer = Tracer::start(&mut daemon::command(&link.near, &words), 1)?;
    Wire::of(&link)?.play(&between("10.1.1.2:40000", "10.1.1.1:80").syn())?;
    tracer.await_text("40000")?;
    tracer.await_text("SYN")?;
    tracer.stop()?;
    Ok(())
}

fn a_pipe_gets_no_colours() -> Result<()> {
    let link = Link::silent()?;
    let words = ["trace", "-i", NEAR, "--count", "1"];
    let tracer = Tracer::start(
        daemon::command(&link.near, &words).env_remove("NO_COLOR"),
        1,
    )?;
    Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    let output = tracer.finish()?;
    ensure!(
        output.stdout.contains("10.1.1.2:40000"),
        "no ladder: {}",
        output.stdout
    );
    ensure!(
        !output.stdout.contains('\x1b'),
        "colours in a pipe: {}",
        output.stdout
    );
    ensure!(
        !output.stderr.contains('\x1b'),
        "colours in a pipe: {}",
        output.stderr
    );
    Ok(())
}

fn no_color_is_heeded_on_a_terminal() -> Result<()> {
    for (no_color, coloured) in [(None, true), (Some("1"), false)] {
        let link = Link::silent()?;
        let program = requirement::daemon();
        let words = format!("{} trace -i {NEAR} --count 1", program.display());
        let mut command = link.near.command("script");
        command.args(["--quiet", "--return", "--command", &words, "/dev/null"]);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut terminal = process::Background::start(&mut command)?;
        // A terminal shows both streams as one.
        terminal.wait_for_stdout("tracing", |text| text.find("synfin: tracing"))?;
        Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
        let output = terminal.wait()?;
        ensure!(
            output.stdout.contains("10.1.1.2:40000"),
            "no ladder: {}",
            output.stdout
        );
        let seen = output.stdout.contains("\x1b[");
        ensure!(
            seen == coloured,
            "NO_COLOR is {no_color:?}, and colours are {seen}"
        );
    }
    Ok(())
}

fn the_summary_goes_to_standard_error() -> Result<()> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    Wire::of(&link)?.play(&whole("10.1.1.2:40000", "10.1.1.1:80"))?;
    let (_, output) = tracer.connections(1)?;
    assert_eq!(daemon::count(&output, daemon::SEGMENTS), Some(9));
    assert_eq!(daemon::count(&output, "established"), Some(1));
    assert_eq!(daemon::count(&output, "four_way"), Some(1));
    Ok(())
}

/// The one record of this conversation, as it was written.
fn raw_record(conversation: &synfin_tests::conversation::Conversation) -> Result<Value> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &[])?;
    Wire::of(&link)?.play(conversation)?;
    let output = tracer.stop()?;
    serde_json::from_str(output.stdout.trim()).context("read one record")
}
