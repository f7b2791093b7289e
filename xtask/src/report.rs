//! `cargo xtask test --report`: the tests that attach to devices, and the table of what they saw.
//!
//! The rows are those that the tests wrote while they ran. A test that wrote none, or failed, makes the
//! command fail, as does a row that is not `ok`.

use std::{ffi::OsString, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    exec,
    test::{self, Choice},
    workspace::Workspace,
};

/// Names the file that the tests add their rows to.
const VARIABLE: &str = "SYNFIN_REPORT";
/// The tests that do.
const TESTS: [&str; 5] = ["-p", "synfin-tests", "--test", "live", "devices::"];
const COLUMNS: [&str; 7] = [
    "device",
    "mode",
    "direction",
    "attached",
    "made",
    "traced",
    "verdict",
];

/// Runs the tests and prints the table.
pub(crate) fn devices(workspace: &Workspace, unprivileged: bool) -> Result<()> {
    let rows = workspace.report();
    // What an earlier run saw is not what this one does.
    fs::write(&rows, "").with_context(|| format!("write {}", rows.display()))?;
    let choice = Choice {
        unprivileged,
        args: TESTS.map(OsString::from).into(),
        ..Choice::default()
    };
    let mut command = test::built(workspace, &choice)?;
    let outcome = exec::run(command.env(VARIABLE, &rows));
    let names = names(workspace, &mut command)?;
    let text = fs::read_to_string(&rows).with_context(|| format!("read {}", rows.display()))?;
    let (table, wrong) = table(&names, &text)?;
    println!("{table}");
    outcome?;
    ensure!(wrong.is_empty(), "not ok: {}", wrong.join(", "));
    Ok(())
}

/// The names of the tests, from the tests themselves.
fn names(workspace: &Workspace, command: &mut Command) -> Result<Vec<String>> {
    let listed = exec::read(command.args(["--", "--list"]).current_dir(workspace.root()));
    let listed = listed.context("list the tests")?;
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// The table, and what is wrong with it.
fn table(names: &[String], rows: &str) -> Result<(String, Vec<String>)> {
    let rows: Vec<Value> = rows
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("read the row {line}")))
        .collect::<Result<_>>()?;
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    let mut wrong = Vec::new();
    ensure!(!names.is_empty(), "no test attaches to devices");
    for name in names {
        let mut none = true;
        for row in rows.iter().filter(|row| row["test"] == name.as_str()) {
            none = false;
            let line = line(name, row);
            if row["not_run"].is_null() && row["verdict"] != "ok" {
                wrong.push(line[..3].join(" "));
            }
            lines.push(line);
        }
        if none {
            wrong.push(format!("{name} told nothing"));
        }
    }
    Ok((aligned(&lines), wrong))
}

fn line(name: &str, row: &Value) -> [String; 7] {
    if let Some(reason) = row["not_run"].as_str() {
        let device = name.rsplit("::").next().unwrap_or(name);
        let verdict = format!("not run: {reason}");
        return [device, "", "", "", "", "", &verdict].map(str::to_owned);
    }
    COLUMNS.map(|column| match &row[column] {
        Value::String(text) => text.clone(),
        Value::Null => "?".to_owned(),
        other => other.to_string(),
    })
}

/// Columns of one width, two spaces apart.
fn aligned(lines: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let shown = lines.iter().map(|line| {
        let cells = line.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = r#"{"test":"devices::veth","device":"veth","mode":"tcx","direction":"both",
        "attached":"TCX ingress","made":20,"traced":20,"verdict":"ok"}"#;

    fn told(names: &[&str], rows: &[&str]) -> (String, Vec<String>) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let rows: Vec<_> = rows.iter().map(|row| row.replace('\n', " ")).collect();
        table(&names, &rows.join("\n")).unwrap()
    }

    #[test]
    fn every_row_is_a_line_and_a_good_one_is_not_wrong() {
        let (table, wrong) = told(&["devices::veth"], &[OK, OK]);
        assert_eq!(table.lines().count(), 3);
        assert!(
            table.contains("veth    tcx   both       TCX ingress  20    20      ok"),
            "{table}"
        );
        assert!(wrong.is_empty());
    }

    #[test]
    fn a_test_that_told_nothing_is_wrong() {
        let (_, wrong) = told(&["devices::veth", "devices::tun"], &[OK]);
        assert_eq!(wrong, ["devices::tun told nothing"]);
    }

    #[test]
    fn a_row_that_is_not_ok_is_wrong() {
        let (_, wrong) = told(
            &["devices::veth"],
            &[&OK.replace(r#""ok""#, r#""19 told""#)],
        );
        assert_eq!(wrong, ["veth tcx both"]);
    }

    #[test]
    fn a_test_that_cannot_run_here_is_a_line_with_its_reason() {
        let row = r#"{"test":"devices::bond","not_run":"needs a kernel with bond devices"}"#;
        let (table, wrong) = told(&["devices::bond"], &[row]);
        assert!(
            table.ends_with("not run: needs a kernel with bond devices"),
            "{table}"
        );
        assert!(wrong.is_empty());
    }
}
