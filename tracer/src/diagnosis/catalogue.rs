//! What `synfin explain` prints: the rules, in words.

use std::fmt::Write as _;

use super::{Rule, rules};

/// A name that no rule has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no diagnosis is called {0}; synfin explain lists them")]
pub struct Unknown(String);

/// All rules, a line each.
#[must_use]
pub fn catalogue() -> String {
    let width = rules().map(|rule| rule.code.len()).max().unwrap_or(0);
    let mut text = String::new();
    for rule in rules() {
        // A string takes what is written to it.
        let _ = writeln!(text, "{:<width$}  {}", rule.code, rule.headline);
    }
    text.push_str(
        "\nsynfin explain NAME tells when it is said, what is behind it, and where to look next.\n",
    );
    text
}

/// Everything there is to know of one rule.
///
/// # Errors
/// Where none has this name.
pub fn explain(code: &str) -> Result<String, Unknown> {
    let rule = rules().find(|rule| rule.code == code);
    rule.map(whole).ok_or_else(|| Unknown(code.to_owned()))
}

fn whole(rule: &Rule) -> String {
    let mut text = format!(
        "{}\n  {}\n\nSaid when\n  {}\n",
        rule.code, rule.headline, rule.when
    );
    for (title, lines) in [("Usually behind it", rule.causes), ("Look at", rule.look)] {
        let _ = writeln!(text, "\n{title}");
        for line in lines {
            let _ = writeln!(text, "  · {line}");
        }
    }
    text
}
