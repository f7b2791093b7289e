//! Records that somebody made up to get something into the page.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use synfin_tests::cases;
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::page::{ensure_silent, needs, opened, report};

/// Ways out of text, attributes, scripts and comments.
const HOSTILE: [&str; 7] = [
    "<script>window.caught=1</script>",
    "</script><script>window.caught=2</script>",
    "\"><img src=x onerror=\"window.caught=3\">",
    "' onmouseover='window.caught=4",
    "--><svg onload=window.caught=5>",
    "{{data}}{{script}}",
    "\u{202e}evil\u{2028}\u{0}\u{1b}[31m",
];

pub(crate) fn cases() -> Vec<Case> {
    cases![needs(); nothing_in_a_record_becomes_markup_or_script]
}

fn nothing_in_a_record_becomes_markup_or_script() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut lines = String::new();
    for (place, text) in HOSTILE.iter().enumerate() {
        for outcome in ["established", "refused"] {
            lines.push_str(&record(place, text, outcome).to_string());
            lines.push('\n');
        }
        // Wrong lines are told on the page as well.
        let wrong = json!({"v": 1, "type": text});
        lines.push_str(&wrong.to_string());
        lines.push('\n');
    }
    let file = scratch.write("a<b>&\"'.jsonl", lines)?;
    let (output, page) = report(&scratch, &[], &[&file])?;
    ensure!(
        output.stderr.contains("7 lines could not be read"),
        "{}",
        output.stderr
    );
    let controls = output
        .stderr
        .chars()
        .filter(|c| c.is_control() && *c != '\n');
    ensure!(controls.count() == 0, "{:?}", output.stderr);

    let browser = opened(&page)?;
    let open_all = "document.querySelectorAll('details').forEach((one) => { one.open = true; })";
    browser.run(open_all)?;
    // Every row of the list, and a ladder.
    browser.type_into("#list", "\u{e007}")?;
    browser.await_true("document.getElementById('ladder').open")?;
    assert_eq!(browser.run("return window.caught ?? null")?, Value::Null);
    let made = browser.run(
        "return [document.querySelectorAll('img, iframe, object, embed, link, base').length,
            [...document.scripts].filter((one) => one.type !== 'application/gzip').length,
            [...document.querySelectorAll('*')].filter((one) => [...one.attributes].some((attribute) =>
                attribute.name.startsWith('on') || attribute.value.startsWith('javascript:'))).length]",
    )?;
    assert_eq!(made, json!([0, 1, 0]));
    // It is there as text.
    let text = browser.run("return document.querySelector('main').textContent")?;
    let text = text.as_str().unwrap_or_default();
    ensure!(
        text.contains("no records of type \"<script>window.caught=1</script>\""),
        "{text}"
    );
    ensure!(
        !text.contains('\u{202e}') && !text.contains('\u{1b}'),
        "what acts is on the page"
    );
    ensure_silent(&browser)
}

/// A record that holds a text wherever a text may be.
fn record(place: usize, text: &str, outcome: &str) -> Value {
    let end = |port: usize| json!({"addr": "10.0.0.1", "port": port, "isn": 7, "state": "CLOSED"});
    json!({
        "v": 1,
        "type": "connection",
        "start": format!("2026-11-22T18:00:0{place}Z"),
        "interface": text,
        "seen_on": [text, text],
        "vlans": [],
        "client": end(40_000 + place),
        "server": end(80),
        "open": {"outcome": outcome, "rtt_ns": {"total": 1_000_000}},
        "close": {"kind": "reset", "by": "server", "cause": "in_data", "proof": "exact", "text": text},
        "duration_ns": 5_000_000,
        "history": text,
        "diagnoses": [{"code": text, "text": text}],
        "segments": [
            {"t_ns": 0, "from": "client", "flags": "SYN", "seq": 7, "window": 1, "len": 0},
            {"t_ns": 9_000, "from": "server", "flags": "RST", "seq": 7, "window": 1, "len": 0},
        ],
        text: text,
    })
}
