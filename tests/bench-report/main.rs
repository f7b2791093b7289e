//! What a report of many connections costs: `cargo xtask bench report` runs this.
//!
//! A capture of the bench becomes a page, and the page is opened, searched and asked for a ladder in Chromium,
//! round by round. Times in the browser are its own, from the beginning of the navigation or of the script on. A page
//! that does not list every connection stops the bench.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use synfin_tests::bench::Options;
use synfin_tests::browser::Browser;
use synfin_tests::process;
use synfin_tests::requirement;

/// What is promised, in ms on a page of 200,000 connections: nobody waits, and nothing freezes.
const READY_MS: f64 = 5_000.0;
const SEARCH_MS: f64 = 250.0;
const LADDER_MS: f64 = 250.0;

/// Searches for what few have, and gives how long that took, and how many are shown.
const SEARCH: &str = "
    const begin = performance.now();
    document.getElementById('search').value = '192.0.2.45 :22';
    document.getElementById('wishes').requestSubmit();
    return [performance.now() - begin, document.getElementById('count').textContent];";
/// Opens the first ladder of a block that was not looked at, and gives how long that took.
const LADDER: &str = "return (async () => {
    const list = document.getElementById('list');
    const press = (key) => list.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    document.getElementById('search').value = '';
    document.getElementById('wishes').requestSubmit();
    press('End');
    const begin = performance.now();
    press('Enter');
    while (!document.querySelector('#story .ladder')) await new Promise((done) => setTimeout(done, 1));
    return performance.now() - begin;
})()";

/// The figures of a round.
struct Round {
    made_s: f64,
    ready_ms: f64,
    search_ms: f64,
    ladder_ms: f64,
}

fn main() -> Result<()> {
    let options = Options::parse(&["--json", "--rounds", "--capture", "--connections"])?;
    let (json, capture) = (options.path("--json")?, options.path("--capture")?);
    let connections: u64 = options.text("--connections")?.parse()?;
    let page = json.with_extension("html");
    let mut rounds = Vec::new();
    for _ in 0..options.rounds()? {
        rounds.push(round(capture, &page, connections)?);
    }
    let octets = fs::metadata(&page).context("look at the page")?.len();
    let each = |of: fn(&Round) -> f64| {
        let mut figures: Vec<_> = rounds.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        [
            at(figures.len() / 2),
            at(0),
            at(figures.len().saturating_sub(1)),
        ]
    };
    let series = [
        ("made, s", each(|round| round.made_s), None),
        (
            "list shown, ms",
            each(|round| round.ready_ms),
            Some(READY_MS),
        ),
        (
            "searched, ms",
            each(|round| round.search_ms),
            Some(SEARCH_MS),
        ),
        (
            "ladder opened, ms",
            each(|round| round.ladder_ms),
            Some(LADDER_MS),
        ),
    ];
    println!("report of {connections} connections: {octets} octets\n");
    println!("{:<18} {:>10} {:>10} {:>10}", "", "median", "least", "most");
    let mut broken = 0;
    for (name, [median, least, most], promised) in &series {
        println!("{name:<18} {median:>10.1} {least:>10.1} {most:>10.1}");
        broken += usize::from(promised.is_some_and(|promised| median > &promised));
    }
    println!();
    for (name, [median, ..], promised) in &series {
        if let Some(promised) = promised {
            let verdict = if median <= promised { "PASS" } else { "FAIL" };
            println!("{verdict} {name}: {median:.0} of at most {promised:.0}");
        }
    }
    let figures = series.map(|(name, [median, least, most], _)| json!({"name": name, "median": median, "least": least, "most": most}));
    let text = serde_json::to_vec_pretty(
        &json!({"connections": connections, "octets": octets, "series": figures}),
    )?;
    fs::write(json, text).with_context(|| format!("write {}", json.display()))?;
    ensure!(broken == 0, "{broken} promises not kept");
    Ok(())
}

fn round(capture: &Path, page: &Path, connections: u64) -> Result<Round> {
    let begin = Instant::now();
    let mut command = Command::new(requirement::daemon());
    process::succeed(command.arg("report").arg(capture).arg("-o").arg(page))?;
    let made_s = begin.elapsed().as_secs_f64();
    let browser = Browser::start(true)?;
    browser.open(page)?;
    browser.await_true("document.documentElement.dataset.ready")?;
    let ready = browser.run("return Number(document.documentElement.dataset.ready)")?;
    let shown = browser.text("#count")?.replace('\u{202f}', "");
    ensure!(
        shown == format!("{connections} of {connections}"),
        "it lists {shown}"
    );
    let searched = browser.run(SEARCH)?;
    ensure!(searched[1] != json!("0 of 0"), "it found {}", searched[1]);
    let ladder = browser.run(LADDER)?;
    let console = browser.console()?;
    ensure!(console.is_empty(), "{console:#?}");
    Ok(Round {
        made_s,
        ready_ms: number(&ready)?,
        search_ms: number(&searched[0])?,
        ladder_ms: number(&ladder)?,
    })
}

fn number(value: &Value) -> Result<f64> {
    value
        .as_f64()
        .with_context(|| format!("{value} is no time"))
}
