//! Every diagnosis on a connection to which it happens: real servers and clients where a host can be brought
//! to it, and made segments where that would take another system.

mod closings;
mod hosts;
mod made;
mod openings;
mod transfers;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use synfin::diagnosis::rules;
use synfin_tests::cases;
use synfin_tests::daemon::Tracer;
use synfin_tests::netns::Link;
use synfin_tests::record::{self, Connection};
use synfin_tests::suite::Case;

pub(crate) fn cases() -> Vec<Case> {
    let all = cases![[]; every_rule_is_made_to_happen];
    [
        all,
        openings::cases(),
        closings::cases(),
        transfers::cases(),
        made::cases(),
    ]
    .concat()
}

fn every_rule_is_made_to_happen() -> Result<()> {
    let all = [
        openings::CODES,
        closings::CODES,
        transfers::CODES,
        made::CODES,
    ];
    let made: BTreeSet<_> = all.into_iter().flatten().copied().collect();
    let known: BTreeSet<_> = rules().map(|rule| rule.code).collect();
    assert_eq!(made, known);
    Ok(())
}

/// What the daemon says of what happens on this link.
fn traced(
    link: &Link,
    options: &[&str],
    happens: impl FnOnce(&mut Tracer) -> Result<()>,
) -> Result<Vec<Connection>> {
    let mut tracer = Tracer::json(&link.near, options)?;
    happens(&mut tracer)?;
    record::connections(&tracer.stop()?.stdout)
}

/// That one of these is said to have this, and how.
fn said(connections: &[Connection], code: &str, words: &[&str]) -> Result<()> {
    let all = connections
        .iter()
        .flat_map(|connection| &connection.diagnoses);
    let fits = |text: &str| words.iter().all(|words| text.contains(words));
    let found = all.clone().any(|one| one.code == code && fits(&one.text));
    let all: Vec<_> = all.map(|one| one.text.as_str()).collect();
    ensure!(
        found,
        "{code} {words:?} is not among {all:#?}: {connections:#?}"
    );
    Ok(())
}
