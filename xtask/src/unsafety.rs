//! Every `unsafe` of the workspace with its reason, generated from the sources.
//!
//! Clippy asks for a `SAFETY` comment where there is a clippy; this looks at both sides, and is what a
//! reviewer reads.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    exec::{self, say},
    workspace::Workspace,
};

/// What a comment begins with that gives the reason.
const REASON: &str = "// SAFETY:";

/// Prints all of them; an error where one has no reason.
pub(crate) fn list(workspace: &Workspace) -> Result<()> {
    let files = exec::read(
        Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "*.rs",
            ])
            .current_dir(workspace.root()),
    )
    .context("list the sources")?;
    let (mut all, mut without) = (0, Vec::new());
    for file in files.lines() {
        let source = fs::read_to_string(workspace.root().join(file))
            .with_context(|| format!("read {file}"))?;
        for Unsafe { line, reason } in unsafes(&source) {
            all += 1;
            match reason {
                Some(reason) => println!("{file}:{line}: {reason}"),
                None => without.push(format!("{file}:{line}")),
            }
        }
    }
    say(format_args!("{all} times unsafe"));
    ensure!(
        without.is_empty(),
        "unsafe without `{REASON}` in front of it: {}",
        without.join(", ")
    );
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Unsafe {
    line: usize,
    reason: Option<String>,
}

/// All of a source. Unsafe functions are not among them, whose calls are; nor are unsafe attributes: what
/// they say is checked by whoever loads the object.
fn unsafes(source: &str) -> Vec<Unsafe> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        // Words in comments and strings are none.
        let code = line.split("//").next().unwrap_or_default();
        let is_one = ["unsafe {", "unsafe impl", "unsafe extern"]
            .iter()
            .any(|word| code.contains(word) && !code.contains('"'));
        if is_one {
            found.push(Unsafe {
                line: index + 1,
                reason: reason(&lines[..index]),
            });
        }
    }
    found
}

/// The comment in front, in one line. A statement may begin on lines before the word.
fn reason(before: &[&str]) -> Option<String> {
    let is_comment = |line: &&str| line.starts_with("//");
    let statement = before.iter().rev().take_while(|line| !is_comment(line));
    let begun = statement
        .take_while(|line| !line.ends_with([';', '}', '{']))
        .count();
    let before = &before[..before.len() - begun];
    let first = before.iter().rposition(|line| line.starts_with(REASON))?;
    let comment = &before[first..];
    comment.iter().all(is_comment).then(|| {
        let words: Vec<&str> = comment
            .iter()
            .map(|line| {
                line.trim_start_matches(REASON)
                    .trim_start_matches("//")
                    .trim()
            })
            .collect();
        words.join(" ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sources of this test are made of parts, so that they are no findings themselves.
    fn source(lines: &[&str]) -> String {
        lines.join("\n").replace("UNSAFE", "unsafe")
    }

    #[test]
    fn the_reason_is_the_comment_in_front() {
        let text = source(&[
            "// SAFETY: the pointer is of a",
            "// reference.",
            "let x =",
            "    UNSAFE { *p };",
        ]);
        let reason = Some("the pointer is of a reference.".to_owned());
        assert_eq!(unsafes(&text), [Unsafe { line: 4, reason }]);
    }

    #[test]
    fn one_without_a_reason_is_found() {
        for lines in [
            &["let x = 1;", "UNSAFE { f() }"][..],
            &["// SAFETY: of another one.", "let x = 1;", "UNSAFE { f() }"],
            &["// It is fast.", "UNSAFE impl Sync for X {}"],
        ] {
            let found = unsafes(&source(lines));
            assert_eq!(found.len(), 1, "{lines:?}");
            assert_eq!(found[0].reason, None, "{lines:?}");
        }
    }

    #[test]
    fn words_and_attributes_are_none() {
        let text = source(&[
            "// UNSAFE { here }",
            "#[UNSAFE(no_mangle)]",
            "let s = \"UNSAFE {\";",
        ]);
        assert_eq!(unsafes(&text), []);
    }
}
