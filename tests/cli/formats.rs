//! Formats for other tools, and what is printed of what was read: of a small capture.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::packets::{self, Packets};
use synfin_tests::process::{self, Output};
use synfin_tests::requirement::{self, Requirement::Daemon};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::talks::{between, whole};

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Daemon];
        a_conn_log_names_its_fields_and_has_a_line_for_each_connection,
        a_table_has_one_header_line_and_a_row_for_each_connection,
        only_what_is_asked_for_is_printed_and_all_is_counted,
        a_handshake_is_slow_where_it_takes_longer_than_said,
        a_summary_has_a_line_for_each_server_and_the_total,
        a_summary_in_json_is_an_object_for_each_server_and_the_total,
    ]
}

/// Two connections to one server, the first with a handshake of 2 ms, and one that is refused.
fn read(arguments: &[&str]) -> Result<Output> {
    let refused = between("10.1.1.2:40002", "10.1.1.1:81")
        .syn()
        .rst(Sender::Server);
    let scratch = Scratch::new()?;
    let capture = capture(
        &scratch,
        &[
            whole("10.1.1.2:40000", "10.1.1.1:80"),
            whole("10.1.1.2:40001", "10.1.1.1:80"),
            refused,
        ],
    )?;
    let output = process::run(
        Command::new(requirement::daemon())
            .arg("read")
            .arg(capture)
            .args(arguments),
    )?;
    ensure!(output.status.success(), "it ended with {output:?}");
    Ok(output)
}

/// A capture with a frame each millisecond.
pub(crate) fn capture(scratch: &Scratch, talks: &[Conversation]) -> Result<PathBuf> {
    let frames = talks.iter().flat_map(Conversation::frames);
    let frames = frames
        .zip(0_u64..)
        .map(|((_, frame), ms)| (1_795_370_400_000_000_000 + ms * 1_000_000, frame.octets()));
    let packets = Packets::ethernet(frames);
    let path = scratch.file("talks.pcap");
    packets::write(&packets, &path)?;
    Ok(path)
}

fn a_conn_log_names_its_fields_and_has_a_line_for_each_connection() -> Result<()> {
    let log = read(&["--format", "zeek"])?.stdout;
    let comment = |line: &&str| line.starts_with('#');
    let header: Vec<_> = log.lines().take_while(comment).collect();
    for line in ["#separator \\x09", "#set_separator\t,", "#path\tconn"] {
        ensure!(header.contains(&line), "{line:?} is missing in {header:?}");
    }
    let last = log.lines().last().context("nothing was written")?;
    ensure!(last.starts_with("#close\t"), "the last line is {last:?}");
    let named = |name| {
        let lines = header.iter();
        let mut fields = lines.filter_map(|line| line.strip_prefix(name));
        fields
            .next()
            .with_context(|| format!("no {name:?} in {header:?}"))
    };
    let names: Vec<_> = named("#fields\t")?.split('\t').collect();
    assert_eq!(named("#types\t")?.split('\t').count(), names.len());
    let records: Vec<HashMap<_, _>> = log
        .lines()
        .filter(|line| !comment(line))
        .map(|line| names.iter().copied().zip(line.split('\t')).collect())
        .collect();
    let mut states: Vec<_> = records.iter().map(|record| record["conn_state"]).collect();
    states.sort_unstable();
    assert_eq!(states, ["REJ", "SF", "SF"]);
    assert!(records.iter().all(|record| record["proto"] == "tcp"));
    let ids = records
        .iter()
        .filter(|record| record["community_id"].starts_with("1:"));
    assert_eq!(ids.count(), 3);
    Ok(())
}

fn a_table_has_one_header_line_and_a_row_for_each_connection() -> Result<()> {
    let table = read(&["--format", "csv"])?.stdout;
    let mut lines = table.lines();
    let names: Vec<_> = lines.next().context("no header")?.split(',').collect();
    let rows: Vec<HashMap<_, _>> = lines
        .map(|line| names.iter().copied().zip(line.split(',')).collect())
        .collect();
    let mut outcomes: Vec<_> = rows.iter().map(|row| row["outcome"]).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["established", "established", "refused"]);
    let whole = rows.iter().find(|row| row["client_port"] == "40000");
    let whole = whole.context("the first connection is missing")?;
    assert_eq!(whole["client_bytes"], "5");
    assert_eq!(whole["handshake_ns"], "2000000");
    Ok(())
}

fn only_what_is_asked_for_is_printed_and_all_is_counted() -> Result<()> {
    for (only, ports) in [
        ("failed", &[40_002][..]),
        ("refused,no_reply", &[40_002]),
        ("established", &[40_000, 40_001]),
        ("no-reply", &[]),
    ] {
        let output = read(&["--format", "json", "--only", only])?;
        let lines = output.stdout.lines();
        let records: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        let port = |record: &Value| record.pointer("/client/port").and_then(Value::as_u64);
        let mut seen: Vec<_> = records.iter().filter_map(port).collect();
        seen.sort_unstable();
        assert_eq!(seen, ports, "{only}");
        let told = format!("3 connections, {} shown", ports.len());
        ensure!(
            output.stderr.contains(&told),
            "{told:?} is not in {}",
            output.stderr
        );
    }
    Ok(())
}

fn a_handshake_is_slow_where_it_takes_longer_than_said() -> Result<()> {
    for (limit, count) in [("1ms", 2), ("2ms", 0), ("1s", 0)] {
        let lines = read(&["--format", "json", "--slow", limit])?.stdout;
        assert_eq!(lines.lines().count(), count, "{limit}");
    }
    Ok(())
}

fn a_summary_has_a_line_for_each_server_and_the_total() -> Result<()> {
    let table = read(&["--summary"])?.stdout;
    let words: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let [title, busy, refusing, total] = words.as_slice() else {
        panic!("the table is {table}");
    };
    assert_eq!(title[..3], ["server", "attempts", "established"]);
    assert_eq!(busy[..4], ["10.1.1.1:80", "http", "2", "2"]);
    assert_eq!(refusing[..4], ["10.1.1.1:81", "1", "–", "1"]);
    assert_eq!(total[..4], ["total", "3", "2", "1"]);
    Ok(())
}

fn a_summary_in_json_is_an_object_for_each_server_and_the_total() -> Result<()> {
    let lines = read(&["--summary", "--format", "json"])?.stdout;
    let lines: Vec<Value> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let of: Vec<_> = lines.iter().map(|line| &line["of"]).collect();
    assert_eq!(of, ["server", "server", "total"]);
    assert_eq!(lines[0]["server"]["port"], 80);
    assert_eq!(lines[0]["handshake_ns"]["p50"], 2_000_000);
    assert_eq!(lines[2]["attempts"], 3);
    Ok(())
}
