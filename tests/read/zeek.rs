//! `conn_state` and `history` on every capture of the corpus of which Zeek's own are known.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use synfin_tests::cases;
use synfin_tests::corpus;
use synfin_tests::process::succeed;
use synfin_tests::requirement::{
    self,
    Requirement::{Corpus, Daemon},
};
use synfin_tests::suite::Case;

/// The column of the index.
const COLUMN: &str = "zeek_conn_state_history";

/// Captures of which synfin says something else, what that is, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "zeek/tcp__syn-bad.pcap",
        "S0 S",
        "the SYN's checksum is wrong: checksums are not verified, since those of what leaves a host \
         are filled in after it was seen",
    ),
    (
        "zeek/wikipedia.pcap",
        "OTH DdA; OTH ^h; S1 ShADad x8",
        "the index counts seven where the log that it was taken from has eight",
    ),
    (
        "zeek/pppoe-over-qinq.pcap",
        "SF ShADdtaTFft",
        "segments that come twice within 150 ms are copies, so that the tenth T is not reached; of \
         the responder's, nine go no further than before ahead of the FINs, where Zeek has ten",
    ),
    (
        "zeek/tunnels__gre-over-udp-4754.pcap",
        "",
        "GRE in UDP is not looked into",
    ),
    (
        "zeek/tunnels__gtp__gtp6_gtp_0x32.pcap",
        "",
        "GTP-U is not looked into",
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    cases![[Daemon, Corpus];
        every_capture_that_zeek_was_run_on_has_its_states_and_histories,
    ]
}

/// How often each state and history are said; `*` stands for any.
type Words = BTreeMap<(String, String), usize>;

fn every_capture_that_zeek_was_run_on_has_its_states_and_histories() -> Result<()> {
    let mut exceptions: BTreeMap<_, _> = EXCEPTIONS
        .iter()
        .map(|(capture, says, _)| (*capture, *says))
        .collect();
    let (mut rows, mut equal_rows, mut all, mut equal) = (0, 0, 0, 0);
    let mut differences = String::new();
    for row in corpus::rows()? {
        let Some(text) = row.column(COLUMN) else {
            continue;
        };
        let expected = expected(text).with_context(|| row.name.clone())?;
        if expected.is_empty() {
            eprintln!("{}: no state and history in `{text}`", row.name);
            continue;
        }
        let mut command = Command::new(requirement::daemon());
        command.args(["read", "--format", "json"]).arg(&row.file);
        let said = said(&succeed(&mut command)?).with_context(|| row.name.clone())?;
        let best = expected.iter().map(|words| (common(words, &said), words));
        let (common, words) = best
            .max_by_key(|(common, _)| *common)
            .context("one at least")?;
        let wanted: usize = words.values().sum();
        rows += 1;
        all += wanted;
        equal += common;
        let is_equal = common == wanted && wanted == said.values().sum::<usize>();
        equal_rows += usize::from(is_equal);
        match (exceptions.remove(row.name.as_str()), is_equal) {
            (None, true) => {}
            (None, false) => {
                writeln!(
                    differences,
                    "{}: Zeek says `{text}`, synfin `{}`",
                    row.name,
                    shown(&said)
                )?;
            }
            (Some(_), true) => {
                writeln!(differences, "{}: needs no exception any more", row.name)?;
            }
            (Some(excepted), false) => {
                if shown(&said) != excepted {
                    let said = shown(&said);
                    writeln!(
                        differences,
                        "{}: excepted is `{excepted}`, not `{said}`",
                        row.name
                    )?;
                }
            }
        }
    }
    eprintln!(
        "{equal_rows} of {rows} captures and {equal} of {all} connections are as Zeek has them"
    );
    ensure!(rows > 0, "no capture of the corpus has a state and history");
    for capture in exceptions.keys() {
        writeln!(differences, "{capture}: excepted, and not in the corpus")?;
    }
    if !differences.is_empty() {
        bail!("{differences}");
    }
    Ok(())
}

/// What the index has of Zeek: any of these, since a row may hold several of its logs.
fn expected(text: &str) -> Result<Vec<Words>> {
    let mut one = Words::new();
    let mut logs = Vec::new();
    for part in text.split(';').map(str::trim) {
        if let Some((log, words)) = part.split_once(": ") {
            if log.contains(".log") {
                let mut of_log = Words::new();
                for words in words.split(" + ") {
                    add(&mut of_log, words)?;
                }
                logs.push(of_log);
            }
        } else if let Some((state, _)) = part.split_once(" derived ") {
            *one.entry((state.to_owned(), "*".to_owned())).or_default() += 1;
        } else if let Some(history) = part.strip_prefix("(state n/a) ") {
            *one.entry(("*".to_owned(), history.to_owned())).or_default() += 1;
        } else if !part.contains(" / ") {
            add(&mut one, part)?;
        }
    }
    if !one.is_empty() {
        logs.push(one);
    }
    Ok(logs)
}

/// Adds `SF ShADadFf`, or `S1 ShADad x7`.
fn add(words: &mut Words, text: &str) -> Result<()> {
    let mut parts = text.split(' ');
    let (state, history) = parts
        .next()
        .zip(parts.next())
        .with_context(|| text.to_owned())?;
    let times = match parts.next().map(|times| times.strip_prefix('x')) {
        None => 1,
        Some(times) => times.with_context(|| text.to_owned())?.parse()?,
    };
    *words
        .entry((state.to_owned(), history.to_owned()))
        .or_default() += times;
    Ok(())
}

/// What synfin says of each connection, and of what is none to it and one to Zeek.
fn said(output: &str) -> Result<Words> {
    let mut words = Words::new();
    for line in output.lines() {
        let record: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if record["type"] == "step" {
            continue;
        }
        let word = |name: &str| record[name].as_str().map(str::to_owned);
        let both = word("conn_state").zip(word("history"));
        *words
            .entry(both.with_context(|| line.to_owned())?)
            .or_default() += 1;
    }
    Ok(words)
}

/// How many connections of both are the same.
fn common(expected: &Words, said: &Words) -> usize {
    let fits = |expected: &str, said: &str| expected == "*" || expected == said;
    let counts = expected.iter().map(|((state, history), times)| {
        let same = said
            .iter()
            .filter(|((own, letters), _)| fits(state, own) && fits(history, letters));
        (*times).min(same.map(|(_, times)| times).sum())
    });
    counts.sum()
}

fn shown(words: &Words) -> String {
    let one = |((state, history), times): (&(String, String), &usize)| {
        if *times == 1 {
            format!("{state} {history}")
        } else {
            format!("{state} {history} x{times}")
        }
    };
    words.iter().map(one).collect::<Vec<_>>().join("; ")
}
