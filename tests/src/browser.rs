//! A browser without a screen: Chromium, by the WebDriver protocol of its driver.
//!
//! In: pages that are files. Out: what their scripts say, what stands on the console, and pictures. It has a
//! profile of its own, which is gone with it, and no network is asked for anything.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::process::Background;
use crate::requirement::tool;
use crate::scratch::Scratch;
use crate::wait;

/// The programs that it takes.
pub const TOOLS: [&str; 2] = ["chromium", "chromedriver"];
/// How long an answer is waited for: a large page takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the driver says once it listens.
const LISTENS: &str = "started successfully on port ";
/// The value of `javascript` in a profile that has scripts turned off.
const BLOCKED: u8 = 2;

/// A running browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Background,
    port: u16,
    session: String,
    _profile: Scratch,
}

impl Browser {
    /// Starts it, with scripts or without.
    ///
    /// # Errors
    /// Where one of [`TOOLS`] is missing, or does not start.
    pub fn start(scripts: bool) -> Result<Self> {
        let [chromium, chromedriver] =
            TOOLS.map(|name| tool(name).with_context(|| format!("find {name}")));
        let (chromium, chromedriver) = (chromium?, chromedriver?);
        let profile = Scratch::new()?;
        let mut driver = Background::start(
            Command::new(chromedriver)
                .arg("--port=0")
                // Fonts and caches belong to nobody else.
                .env("HOME", profile.path()),
        )?;
        let port = driver.wait_for_stdout(LISTENS, |said| {
            let (_, rest) = said.split_once(LISTENS)?;
            rest.split_once('.')?.0.parse::<u16>().ok()
        })?;
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            _profile: profile,
        };
        let mut preferences = json!({});
        if !scripts {
            preferences = json!({"profile.managed_default_content_settings.javascript": BLOCKED});
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": chromium,
                // Root has no sandbox of Chromium's, and pages are the test's own.
                "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                    "--window-size=1600,1000", "--disable-background-networking"],
                "prefs": preferences,
            },
        }}});
        let session = browser.ask("POST", "/session", &capabilities)?;
        let id = session["sessionId"].as_str().context("a session")?;
        browser.session = id.to_owned();
        Ok(browser)
    }

    /// Opens a file, and waits until it is loaded.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(&self, page: &Path) -> Result<()> {
        let page = page.canonicalize().context("look for the page")?;
        let url = format!("file://{}", page.display());
        self.command("url", &json!({ "url": url })).map(|_| ())
    }

    /// Runs a script in the page; gives what it returns.
    ///
    /// # Errors
    /// Where it throws.
    pub fn run(&self, script: &str) -> Result<Value> {
        let arguments = json!({"script": script, "args": []});
        self.command("execute/sync", &arguments)
            .with_context(|| format!("run {script:?}"))
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Errors
    /// Where it does not become true in time.
    pub fn await_true(&self, expression: &str) -> Result<()> {
        let script = format!("return Boolean({expression})");
        wait::until(expression, || {
            Ok((self.run(&script)? == Value::Bool(true)).then_some(()))
        })
    }

    /// Types into what is selected by CSS; special keys are those of WebDriver.
    ///
    /// # Errors
    /// Where there is no such element, or nothing can be typed into it.
    pub fn type_into(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector)?;
        let text = json!({ "text": text });
        self.command(&format!("element/{element}/value"), &text)
            .map(|_| ())
    }

    /// Clicks on what is selected by CSS.
    ///
    /// # Errors
    /// Where there is no such element, or something lies over it.
    pub fn click(&self, selector: &str) -> Result<()> {
        let element = self.find(selector)?;
        self.command(&format!("element/{element}/click"), &json!({}))
            .map(|_| ())
    }

    /// The text of what is selected by CSS, as far as it can be seen.
    ///
    /// # Errors
    /// Where there is no such element.
    pub fn text(&self, selector: &str) -> Result<String> {
        let element = self.find(selector)?;
        let path = format!("/session/{}/element/{element}/text", self.session);
        let text = self.ask("GET", &path, &Value::Null)?;
        Ok(text.as_str().context("a text")?.to_owned())
    }

    /// What stands on the console since it was last asked for.
    ///
    /// # Errors
    /// Where the driver does not tell.
    pub fn console(&self) -> Result<Vec<String>> {
        let log = self.command("se/log", &json!({"type": "browser"}))?;
        let entries = log.as_array().context("a log")?.iter();
        let text = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        Ok(entries.map(text).collect())
    }

    /// A picture of the window, as PNG in base64.
    ///
    /// # Errors
    /// Where there is none.
    pub fn screenshot(&self) -> Result<String> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = self.ask("GET", &path, &Value::Null)?;
        Ok(picture.as_str().context("a picture")?.to_owned())
    }

    /// The page as it is printed, as PDF in base64.
    ///
    /// # Errors
    /// Where it cannot be printed.
    pub fn print(&self) -> Result<String> {
        let options = json!({"orientation": "landscape", "background": true, "shrinkToFit": true});
        let printed = self.command("print", &options)?;
        Ok(printed.as_str().context("a document")?.to_owned())
    }

    /// The number of an element.
    fn find(&self, selector: &str) -> Result<String> {
        let query = json!({"using": "css selector", "value": selector});
        let found = self.command("element", &query)?;
        let id = found.as_object().and_then(|found| found.values().next());
        let id = id.and_then(Value::as_str).context("an element")?;
        Ok(id.to_owned())
    }

    fn command(&self, name: &str, arguments: &Value) -> Result<Value> {
        self.ask(
            "POST",
            &format!("/session/{}/{name}", self.session),
            arguments,
        )
    }

    /// One request to the driver, on a connection of its own.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let answer = read_answer(&mut stream).with_context(|| format!("ask for {path}"))?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        let value = answer["value"].take();
        if let Some(error) = value["error"].as_str() {
            bail!("{error}: {}", value["message"]);
        }
        Ok(value)
    }
}

/// The body of an answer, as long as its head says.
fn read_answer(stream: &mut TcpStream) -> Result<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut octets = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let end = octets.windows(END.len()).position(|four| four == END);
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&octets[..end]).to_ascii_lowercase();
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let len: usize = len.context("a length")?.trim().parse()?;
            let begin = end + END.len();
            if octets.len() >= begin + len {
                return Ok(octets[begin..begin + len].to_vec());
            }
        }
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the answer ends early");
        octets.extend_from_slice(&piece[..read]);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with the session; what of it fails shows in what is left behind.
        let session = format!("/session/{}", self.session);
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &session, &Value::Null);
        }
        let _ = self.driver.signal(Signal::SIGTERM);
    }
}
