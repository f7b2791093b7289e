//! From the wire to the page.

use anyhow::{Result, ensure};
use synfin_tests::cases;
use synfin_tests::daemon::Tracer;
use synfin_tests::netns::{Link, NEAR_V4};
use synfin_tests::requirement::Requirement::Root;
use synfin_tests::scratch::Scratch;
use synfin_tests::services;
use synfin_tests::suite::Case;

use crate::page::{ensure_silent, keep_picture, needs, opened, report, search};

const ECHO: u16 = 7;
/// Nobody listens here.
const CLOSED: u16 = 9;
const SHORT: usize = 200;
const REFUSED: usize = 3;

pub(crate) fn cases() -> Vec<Case> {
    cases![[&[Root], &needs()[..]].concat(); a_live_run_becomes_a_page]
}

fn a_live_run_becomes_a_page() -> Result<()> {
    let link = Link::new()?;
    let mut tracer = Tracer::json(&link.near, &[])?;
    services::talk_shortly(&link, ECHO, SHORT)?;
    for _ in 0..REFUSED {
        let refused = services::connect(&link.far, NEAR_V4, CLOSED);
        ensure!(refused.is_err(), "it was not refused");
    }
    tracer.await_connections(SHORT + REFUSED)?;
    let records = tracer.stop()?.stdout;
    let scratch = Scratch::new()?;
    let file = scratch.write("live.jsonl", records)?;
    let (output, page) = report(&scratch, &[], &[&file])?;
    let all = SHORT + REFUSED;
    ensure!(
        output.stderr.contains(&format!("{all} connections listed")),
        "{}",
        output.stderr
    );
    let browser = opened(&page)?;
    keep_picture(&browser, "live")?;
    search(&browser, "nothing listens", REFUSED)?;
    search(&browser, ":7", SHORT)?;
    browser.type_into("#list", "\u{e007}")?;
    browser.await_true("document.querySelector('#story .ladder')")?;
    keep_picture(&browser, "live-ladder")?;
    ensure_silent(&browser)
}
