//! A report, and what is done with every one of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use synfin_tests::browser::{Browser, TOOLS};
use synfin_tests::daemon;
use synfin_tests::process::{self, Output};
use synfin_tests::requirement::{
    self,
    Requirement::{self, Daemon, Tool},
};
use synfin_tests::scratch::Scratch;

/// Names a folder for pictures of what the browser showed.
const PICTURES: &str = "SYNFIN_PICTURES";
/// The script has shown the list.
pub(crate) const READY: &str = "document.documentElement.dataset.ready";

pub(crate) fn needs() -> Vec<Requirement> {
    let tools = TOOLS.map(Tool);
    [&[Daemon], &tools[..]].concat()
}

/// Makes a report of files; gives what was said, and the page.
pub(crate) fn report(
    scratch: &Scratch,
    options: &[&str],
    files: &[&Path],
) -> Result<(Output, PathBuf)> {
    let page = scratch.file("report.html");
    let mut command = Command::new(requirement::daemon());
    command
        .arg("report")
        .args(options)
        .args(files)
        .arg("-o")
        .arg(&page);
    let output = process::run(&mut command)?;
    daemon::ended_well(&output)?;
    Ok((output, page))
}

/// Opens a page whose script runs, and waits for its list.
pub(crate) fn opened(page: &Path) -> Result<Browser> {
    let browser = Browser::start(true)?;
    browser.open(page)?;
    browser.await_true(READY)?;
    Ok(browser)
}

/// That the page asked for nothing, and nothing stands on the console: no error, and nothing that the policy of
/// the page had to refuse.
pub(crate) fn ensure_silent(browser: &Browser) -> Result<()> {
    let said = browser.console()?;
    ensure!(said.is_empty(), "{said:#?}");
    let asked =
        browser.run("return performance.getEntriesByType('resource').map((one) => one.name)")?;
    ensure!(asked == Value::Array(Vec::new()), "it asked for {asked}");
    Ok(())
}

/// Types into the search field, and waits until so many are shown.
pub(crate) fn search(browser: &Browser, words: &str, shown: usize) -> Result<()> {
    browser.run("document.getElementById('search').value = ''")?;
    browser.type_into("#search", words)?;
    let left = format!("document.getElementById('count').textContent.startsWith('{shown} of')");
    browser.await_true(&left)
}

/// Keeps a picture of the window where somebody wants it.
pub(crate) fn keep_picture(browser: &Browser, name: &str) -> Result<()> {
    let Some(folder) = std::env::var_os(PICTURES) else {
        return Ok(());
    };
    let picture = browser.screenshot()?;
    Ok(std::fs::write(
        Path::new(&folder).join(name).with_extension("png.base64"),
        picture,
    )?)
}
