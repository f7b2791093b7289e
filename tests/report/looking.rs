//! What is on the page: with its script, without it, and on paper.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use synfin_tests::browser::Browser;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::packets::{self, Packets};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::page::{ensure_silent, keep_picture, needs, opened, report};

/// Opens one connection of the list after the other; gives what its ladder is called, and the ladder.
const ALL_LADDERS: &str = "
    const list = document.getElementById('list');
    const dialog = document.getElementById('ladder');
    const press = (key) => list.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const moment = () => new Promise((done) => setTimeout(done, 5));
    const count = Number(list.querySelector('.row').getAttribute('aria-setsize'));
    const all = [];
    press('Home');
    for (let place = 0; place < count; place += 1) {
        press('Enter');
        while (!dialog.open) await moment();
        all.push(document.getElementById('story').innerHTML);
        dialog.close();
        press('ArrowDown');
    }
    return all;";

pub(crate) fn cases() -> Vec<Case> {
    cases![needs();
        the_script_draws_what_the_page_shows_without_it,
        without_scripts_everything_but_the_list_is_there,
        colours_can_be_chosen,
        a_page_is_printed_without_what_is_for_the_screen,
    ]
}

fn the_script_draws_what_the_page_shows_without_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, page) = report(&scratch, &[], &[&failures(&scratch)?])?;
    let browser = opened(&page)?;
    let drawn = strings(&browser.run(&format!("return (async () => {{{ALL_LADDERS}}})()"))?)?;
    let shown = "return [...document.querySelectorAll('details')].map((one) => {
        one.querySelector('summary').remove();
        return one.innerHTML;
    })";
    let shown = strings(&browser.run(shown)?)?;
    assert_eq!(drawn.len(), 7);
    ensure!(
        shown.len() >= 6,
        "{} ladders without the script",
        shown.len()
    );
    for ladder in &shown {
        ensure!(
            drawn.contains(ladder),
            "only without the script: {ladder}\nbut {drawn:#?}"
        );
    }
    for (place, ladder) in drawn.iter().enumerate() {
        ensure!(ladder.contains("<svg"), "{place}: {ladder}");
    }
    ensure_silent(&browser)
}

fn without_scripts_everything_but_the_list_is_there() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, page) = report(&scratch, &[], &[&failures(&scratch)?])?;
    let browser = Browser::start(false)?;
    browser.open(&page)?;
    let text = browser.text("main")?;
    for words in [
        "connections\n7",
        "How they opened",
        "How long handshakes took",
        "When connections began",
        "Nothing answered the client's SYNs.",
        "10.1.1.1:81",
        "need JavaScript",
    ] {
        ensure!(text.contains(words), "{words} is not in {text}");
    }
    ensure!(!text.contains("SYN-SENT"), "a ladder is open");
    browser.click("details summary")?;
    ensure!(
        browser.text("details")?.contains("SYN-SENT"),
        "no ladder opens"
    );
    keep_picture(&browser, "without-scripts")?;
    ensure_no_list(&browser)
}

fn ensure_no_list(browser: &Browser) -> Result<()> {
    let list = browser.text("#browser")?;
    ensure!(list.is_empty(), "a list that does nothing: {list}");
    Ok(())
}

fn colours_can_be_chosen() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, page) = report(&scratch, &[], &[&failures(&scratch)?])?;
    let browser = opened(&page)?;
    let paper = || browser.run("return getComputedStyle(document.body).backgroundColor");
    browser.click("#dark")?;
    let dark = paper()?;
    keep_picture(&browser, "dark")?;
    browser.click("#light")?;
    keep_picture(&browser, "light")?;
    assert_ne!(dark, paper()?);
    ensure_silent(&browser)
}

fn a_page_is_printed_without_what_is_for_the_screen() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_, page) = report(&scratch, &[], &[&failures(&scratch)?])?;
    let browser = opened(&page)?;
    let document = browser.print()?;
    ensure!(
        document.starts_with("JVBERi0"),
        "no PDF: {}",
        document.get(..20).unwrap_or(&document)
    );
    if let Some(folder) = std::env::var_os("SYNFIN_PICTURES") {
        std::fs::write(PathBuf::from(folder).join("printed.pdf.base64"), &document)?;
    }
    // What is printed is what the style leaves for paper.
    let hidden = "const sheet = document.styleSheets[0];
        const paper = [...sheet.cssRules].find((rule) => rule.media?.mediaText === 'print');
        return [...paper.cssRules].find((rule) => rule.style?.display === 'none').selectorText";
    let hidden = browser.run(hidden)?;
    let hidden = hidden.as_str().context("what is hidden")?;
    for part in [".scheme", "#all", "dialog"] {
        ensure!(hidden.contains(part), "{part} is printed: {hidden}");
    }
    ensure_silent(&browser)
}

/// Connections that come to as many different ends.
fn failures(scratch: &Scratch) -> Result<PathBuf> {
    let talk = |server: &str| {
        Conversation::between(
            ("10.1.1.2:40000".parse().expect("a client"), 1_000),
            (server.parse().expect("a server"), 2_000),
        )
    };
    let talks = [
        talk("10.1.1.1:80")
            .open()
            .data(Sender::Client, 5)
            .close(Sender::Client),
        talk("10.1.1.1:81")
            .syn()
            .wait(1_000)
            .again()
            .wait(2_000)
            .again(),
        talk("10.1.1.1:82").syn().wait(1).rst(Sender::Server),
        talk("10.1.1.1:83")
            .syn()
            .wait(1)
            .syn_ack()
            .wait(1_000)
            .again(),
        talk("10.1.1.1:84")
            .open()
            .data(Sender::Client, 5)
            .rst(Sender::Server),
    ];
    // By then nobody waits for an answer any more.
    let later = talk("10.1.1.1:85").wait(3_600_000).syn();
    let six = Conversation::between(
        ("[2001:db8::2]:40000".parse().expect("a client"), 1_000),
        ("[2001:db8::1]:443".parse().expect("a server"), 2_000),
    );
    let talks = talks
        .into_iter()
        .chain([six.open().close(Sender::Server), later]);
    let mut frames: Vec<_> = talks
        .flat_map(|talk| {
            let times = talk.times_ns().collect::<Vec<_>>();
            let frames = talk
                .frames()
                .map(|(_, frame)| frame.octets())
                .collect::<Vec<_>>();
            times.into_iter().zip(frames)
        })
        .map(|(time_ns, octets)| (1_700_000_000_000_000_000 + time_ns, octets))
        .collect();
    frames.sort_by_key(|(time_ns, _)| *time_ns);
    let file = scratch.file("failures.pcap");
    packets::write(&Packets::ethernet(frames), &file)?;
    Ok(file)
}

fn strings(value: &Value) -> Result<Vec<String>> {
    let all = value.as_array().context("a list")?.iter();
    all.map(|one| Ok(one.as_str().context("a text")?.to_owned()))
        .collect()
}
