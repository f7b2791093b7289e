//! A hundred thousand connections.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::frames::patch;
use synfin_tests::packets::{self, Packets};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::page::{ensure_silent, keep_picture, needs, opened, report, search};

const CONNECTIONS: u32 = 100_000;
/// Every so many is reset by its server.
const RESET: u32 = 1_000;
/// Octets before the addresses of IPv4, and before the ports, in a frame without tags.
const SOURCE: usize = 14 + 12;
const PORTS: usize = 14 + 20;
/// How many elements a list may have that shows a window full.
const MOST_ROWS: u64 = 100;

pub(crate) fn cases() -> Vec<Case> {
    cases![needs(); a_hundred_thousand_connections_can_be_searched_and_opened]
}

fn a_hundred_thousand_connections_can_be_searched_and_opened() -> Result<()> {
    let scratch = Scratch::new()?;
    let (output, page) = report(&scratch, &[], &[&capture(&scratch)?])?;
    ensure!(
        output.stderr.contains("100000 connections listed"),
        "{}",
        output.stderr
    );
    let browser = opened(&page)?;
    assert_eq!(browser.text("#count")?, "100\u{202f}000 of 100\u{202f}000");
    let rows = browser.run("return document.querySelectorAll('#list .row').length")?;
    ensure!(
        rows.as_u64()
            .is_some_and(|rows| (10..MOST_ROWS).contains(&rows)),
        "{rows} rows"
    );
    keep_picture(&browser, "many")?;

    // The last one, by its keys.
    browser.run("document.getElementById('list').focus()")?;
    browser.type_into("#list", "\u{e010}")?;
    let last = format!(
        "document.getElementById('row-{}').textContent.includes('10.10.134.159')",
        CONNECTIONS - 1
    );
    browser.await_true(&last)?;
    browser.type_into("#list", "\u{e007}")?;
    browser.await_true("document.getElementById('ladder').open")?;
    let arrows = browser.run("return document.querySelectorAll('#story .ladder .arrow').length")?;
    ensure!(
        arrows.as_u64().is_some_and(|arrows| arrows >= 7),
        "{arrows} arrows"
    );
    keep_picture(&browser, "ladder")?;
    browser.click("#ladder button")?;

    // By client, by port, by what became of it, and by all of them.
    let (client, _) = client(77_777);
    search(
        &browser,
        &client.map(|octet| octet.to_string()).join("."),
        1,
    )?;
    search(&browser, "nowhere-to-be-found", 0)?;
    search(&browser, "reset", usize::try_from(CONNECTIONS / RESET)?)?;
    browser.type_into("#search", " 10.9.0.0:40000")?;
    browser.await_true("document.getElementById('count').textContent.startsWith('1 of')")?;
    ensure_silent(&browser)
}

/// One conversation, again and again between other hosts.
fn capture(scratch: &Scratch) -> Result<PathBuf> {
    let from = || {
        Conversation::between(
            ("10.9.0.0:1".parse().expect("a client"), 1_000),
            ("10.1.1.1:443".parse().expect("a server"), 2_000),
        )
    };
    let octets = |talk: Conversation| -> Vec<_> {
        talk.frames()
            .map(|(sender, frame)| (sender, frame.octets()))
            .collect()
    };
    let whole = octets(
        from()
            .open()
            .data(Sender::Client, 5)
            .data(Sender::Server, 9)
            .close(Sender::Client),
    );
    let reset = octets(from().open().data(Sender::Client, 5).rst(Sender::Server));
    let mut frames = Vec::new();
    for number in 0..CONNECTIONS {
        let talk = if number % RESET == 0 { &reset } else { &whole };
        for (place, (sender, frame)) in (0..).zip(talk) {
            let mut octets = frame.clone();
            let (address, port) = client(number);
            let second = usize::from(*sender == Sender::Server);
            patch(&mut octets, SOURCE + 4 * second, &address);
            patch(&mut octets, PORTS + 2 * second, &port.to_be_bytes());
            let time_ns = 1_700_000_000_000_000_000 + u64::from(number) * 100_000 + place * 1_000;
            frames.push((time_ns, octets));
        }
    }
    let file = scratch.file("many.pcap");
    packets::write(&Packets::ethernet(frames), &file).context("write a capture")?;
    Ok(file)
}

/// Who opens the connection of this number.
fn client(number: u32) -> ([u8; 4], u16) {
    let [_, high, middle, low] = number.to_be_bytes();
    ([10, 9 + high, middle, low], 40_000)
}
