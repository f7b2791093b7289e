//! Why a connection failed or is odd, in plain words with the evidence.
//!
//! In: one record. Out: a sentence for each rule that fits, the weightiest first. A rule says what was
//! measured, then what usually is behind it; it asks the record alone, and concludes nothing from a
//! segment that was not seen without saying so. Absent on purpose: how it looks (see `sink`).

mod catalogue;
mod closing;
mod evidence;
mod opening;
mod transfer;

#[cfg(test)]
mod tests;

pub use catalogue::{Unknown, catalogue, explain};

use crate::timeline::Connection;

/// What is said of a connection by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The rule's name, as `synfin explain` takes it.
    pub code: &'static str,
    /// The evidence, a colon, and what is usually behind it.
    pub text: String,
}

/// One rule, and what there is to know of it.
pub struct Rule {
    /// Its name.
    pub code: &'static str,
    /// What it says, in a sentence.
    pub headline: &'static str,
    /// What has to be seen for it.
    pub when: &'static str,
    /// What is usually behind it, the likeliest first.
    pub causes: &'static [&'static str],
    /// What to look at next.
    pub look: &'static [&'static str],
    /// It concludes from a segment that did not come: where events were lost, one may have.
    by_absence: bool,
    find: fn(&Connection) -> Option<String>,
}

/// All rules, the weightiest first.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [opening::RULES, closing::RULES, transfer::RULES]
        .into_iter()
        .flatten()
}

/// What there is to say of a connection: nothing of one that is well.
#[must_use]
pub fn diagnose(connection: &Connection) -> Vec<Diagnosis> {
    let found = rules().filter_map(|rule| {
        let mut text = (rule.find)(connection)?;
        if rule.by_absence && connection.observation_gap {
            text.push_str(" (events were lost meanwhile: it may have come)");
        }
        let code = rule.code;
        Some(Diagnosis { code, text })
    });
    found.collect()
}
