//! The page as text: what is in it, and that nothing from a record is markup there.

use proptest::prelude::*;

use super::collection::Gatherer;
use super::fate::Fate;
use super::inputs::Inputs;
use super::markup::Text;
use super::page;
use crate::diagnosis::diagnose;
use crate::printer::Gather as _;
use crate::sink::arbitrary::{config, connection};
use crate::sink::fixtures;
use crate::timeline::Connection;

fn page_of(connections: &[Connection], most: u32) -> String {
    let gatherer = Gatherer::new(most);
    connections
        .iter()
        .for_each(|connection| gatherer.take(connection));
    let mut page = Vec::new();
    page::write(
        &Inputs::new(&["a.pcap".into()]),
        gatherer.collected(),
        &mut page,
    )
    .unwrap();
    String::from_utf8(page).unwrap()
}

/// One after the other, as no two connections of the same ends are at once.
fn all() -> Vec<Connection> {
    let all = (0..).zip(fixtures::all());
    let later = all.map(|(place, (_, mut connection))| {
        connection.started_unix_ns = connection.started_unix_ns.saturating_sub(place);
        connection
    });
    later.collect()
}

#[test]
fn the_page_asks_for_nothing_and_allows_only_its_own_script_and_style() {
    let page = page_of(&all(), 100);
    for word in [
        "http://", "https://", "src=", "href=", "@import", "url(\"", " style=",
    ] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(word), "{word}");
    }
    let (_, policy) = page
        .split_once("Content-Security-Policy\" content=\"")
        .unwrap();
    let (policy, _) = policy.split_once('"').unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (_, rest) = page.split_once(begin).unwrap();
        let (text, _) = rest.split_once(end).unwrap();
        let hash = super::packed::hash(text);
        assert!(policy.contains(&format!("'{hash}'")), "{hash}: {policy}");
    }
    assert!(!page.contains("{{"), "a placeholder is left");
}

#[test]
fn what_is_not_listed_is_said_and_the_worst_is_listed() {
    let page = page_of(&all(), 3);
    let words = format!("3 of {} are listed", all().len());
    assert!(page.contains(&words), "{words}");
    assert!(page_of(&all(), 1_000).contains(&format!("All {} are listed", all().len())));
    let gatherer = Gatherer::new(3);
    all()
        .iter()
        .for_each(|connection| gatherer.take(connection));
    let list = gatherer.collected().list.into_sorted();
    let failed = |listed: &&super::row::Listed| listed.row.fate == Fate::Failed;
    assert_eq!(list.iter().filter(failed).count(), 3);
}

#[test]
fn the_order_of_the_records_does_not_matter() {
    let mut other = all();
    other.reverse();
    for most in [2, 5, 100] {
        assert_eq!(page_of(&all(), most), page_of(&other, most), "{most}");
    }
}

#[test]
fn every_failed_connection_is_there_with_its_reason_and_ladder() {
    let page = page_of(&all(), 100);
    let rows = page.matches("<tr class=\"story\">").count();
    assert_eq!(
        page.matches("<details><summary>Ladder</summary>").count(),
        rows
    );
    for (name, connection) in fixtures::all() {
        if Fate::of(&connection) != Fate::Well {
            let reason = Text(super::reason::of(&connection, &diagnose(&connection))).to_string();
            assert!(page.contains(&reason), "{name}: {reason}");
        }
    }
}

#[test]
fn without_any_record_there_is_a_page() {
    let page = page_of(&[], 100);
    for words in [
        "No connection failed or was reset.",
        "No handshake was seen whole.",
        "All 0 are listed.",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

/// What is between `<` and `>`, without what is in quotes.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for rest in page.split('<').skip(1) {
        let (tag, _) = rest.split_once('>').unwrap_or((rest, ""));
        let outside: String = tag.split('"').step_by(2).collect();
        tags.push(outside);
    }
    tags
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..config() })]

    /// A page without what records may hold has no fewer and no other tags but for what is counted.
    #[test]
    fn nothing_from_a_record_is_a_tag(
        connections in prop::collection::vec(connection().boxed(), 1..4),
        hostile in "[<>\"'&a-z/!{}-]{0,24}",
    ) {
        let mut connections = connections;
        for connection in &mut connections {
            connection.interface = hostile.as_str().into();
            connection.close.text = Some(hostile.clone());
        }
        let page = page_of(&connections, 10);
        let (_, body) = page.split_once("</style>").unwrap();
        let (body, _) = body.split_once("<script>").unwrap();
        const KNOWN: [&str; 47] = [
            "/head", "body", "header", "h1", "p", "fieldset", "legend", "label", "input", "main", "section", "h2",
            "dl", "div", "dt", "dd", "figure", "figcaption", "svg", "title", "text", "rect", "defs", "pattern",
            "path", "g", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "span", "tspan", "code",
            "noscript", "form", "select", "option", "output", "dialog", "button", "h3", "footer", "script",
        ];
        for tag in tags(body) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
            prop_assert!(KNOWN.contains(&name) || tag == "/head", "{:?}", tag);
            prop_assert!(!tag.contains(" on"), "{:?}", tag);
        }
    }
}
