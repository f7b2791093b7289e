//! `synfin report`: what it takes, what it says of what it does not, and what lies there afterwards.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use synfin_tests::cases;
use synfin_tests::conversation::Conversation;
use synfin_tests::daemon;
use synfin_tests::packets::{self, Packets};
use synfin_tests::process::{self, Background, Output};
use synfin_tests::requirement::{
    self,
    Requirement::{Daemon, Tool},
};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;
use synfin_tests::wait;

use crate::talks::whole;

/// How a whole page ends.
const END: &str = "</html>\n";

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Daemon];
        captures_and_records_give_the_same_page,
        lines_that_are_no_records_are_counted_and_named,
        a_last_line_that_is_cut_is_survived,
        what_is_neither_capture_nor_records_is_an_error_and_leaves_nothing,
        a_page_is_not_written_where_it_cannot_be,
        what_lies_there_stays_until_the_page_is_whole,
        an_interrupt_makes_a_page_of_what_was_read,
        a_page_goes_to_the_standard_output_and_into_a_device,
        more_than_are_listed_are_counted,
        wrong_flags_are_refused,
    ];
    let gzip = cases![&[Daemon, Tool("gzip")]; records_may_be_compressed];
    [plain, gzip].concat()
}

fn captures_and_records_give_the_same_page() -> Result<()> {
    let scratch = Scratch::new()?;
    let capture = capture(&scratch, 20)?;
    let records = records(&scratch, &capture)?;
    let [from_capture, from_records] = [&capture, &records].map(|file| page(&scratch, &[file]));
    // They are called by what they were made of.
    let named = from_records?.replace("records.jsonl", "capture.pcap");
    assert_eq!(from_capture?, named);
    Ok(())
}

fn lines_that_are_no_records_are_counted_and_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let good = fs::read_to_string(records(&scratch, &capture(&scratch, 2)?)?)?;
    let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "x".repeat(70_000));
    let step = r#"{"v":1,"type":"step"}"#;
    let text = format!("{{}}\n{good}\nnonsense\n{long}\n{step}\n{good}");
    let file = scratch.write("mixed.jsonl", text)?;
    let output = made(&scratch, &[], &[&file])?;
    for words in [
        "mixed.jsonl, line 1: missing field",
        "mixed.jsonl, line 5: expected",
        "mixed.jsonl, line 6: it is longer than 65536 octets",
        "3 lines could not be read and are left out",
        "4 connections listed",
    ] {
        ensure!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
    let page = fs::read_to_string(scratch.file("report.html"))?;
    ensure!(
        page.contains("mixed.jsonl, line 5: expected"),
        "it is not on the page"
    );
    let none = scratch.write("none.jsonl", "{}\n{}\n")?;
    failed(&scratch, &[&none], "none of the lines is a record")
}

fn a_last_line_that_is_cut_is_survived() -> Result<()> {
    let scratch = Scratch::new()?;
    let good = fs::read_to_string(records(&scratch, &capture(&scratch, 3)?)?)?;
    let file = scratch.write("cut.jsonl", &good[..good.len() - 100])?;
    let output = made(&scratch, &[], &[&file])?;
    for words in [
        "cut.jsonl ends in the middle of line 3",
        "2 connections listed",
    ] {
        ensure!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
    // Without the end of its line a record is whole all the same.
    let file = scratch.write("whole.jsonl", good.trim_end())?;
    let output = made(&scratch, &[], &[&file])?;
    ensure!(
        output.stderr.contains("3 connections listed"),
        "{}",
        output.stderr
    );
    Ok(())
}

fn what_is_neither_capture_nor_records_is_an_error_and_leaves_nothing() -> Result<()> {
    let scratch = Scratch::new()?;
    let good = capture(&scratch, 1)?;
    let text = scratch.write("notes.txt", "nothing to see\n")?;
    let empty = scratch.write("empty.jsonl", "")?;
    let missing = scratch.file("missing.jsonl");
    for (file, words) in [
        (
            text.as_path(),
            "notes.txt is no capture: it looks like text",
        ),
        (&empty, "empty.jsonl is empty"),
        (&missing, "missing.jsonl: No such file"),
        (scratch.path(), "is a directory"),
    ] {
        failed(&scratch, &[&good, file], words)?;
    }
    Ok(())
}

fn a_page_is_not_written_where_it_cannot_be() -> Result<()> {
    let scratch = Scratch::new()?;
    let capture = capture(&scratch, 1)?;
    fs::create_dir(scratch.file("folder"))?;
    let link = scratch.file("link.html");
    std::os::unix::fs::symlink(&capture, &link)?;
    for (output, words) in [
        (scratch.file("folder"), "is a directory"),
        (scratch.file("nowhere/report.html"), "No such file"),
        (capture.clone(), "is read, and cannot be written"),
        (link, "is read, and cannot be written"),
    ] {
        let output = run(&output, &[], &[&capture])?;
        is_error(&output, words)?;
    }
    ensure!(fs::metadata(&capture)?.len() > 0, "the capture is gone");
    no_rests(&scratch)
}

fn what_lies_there_stays_until_the_page_is_whole() -> Result<()> {
    let scratch = Scratch::new()?;
    let place = scratch.write("report.html", "the old one")?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o640))?;
    let text = scratch.write("notes.txt", "nothing to see\n")?;
    is_error(&run(&place, &[], &[&text])?, "no capture")?;
    assert_eq!(fs::read_to_string(&place)?, "the old one");
    // Nor does one that is killed while it reads.
    let (killed, pipe) = reader_of_a_pipe(&scratch, &place)?;
    killed.kill()?;
    drop(pipe);
    wait::until("the end of what was begun", || Ok(no_rests(&scratch).ok()))?;
    assert_eq!(fs::read_to_string(&place)?, "the old one");
    let link = scratch.file("link.html");
    std::os::unix::fs::symlink(&place, &link)?;
    daemon::ended_well(&run(&link, &[], &[&capture(&scratch, 1)?])?)?;
    ensure!(
        fs::symlink_metadata(&link)?.is_symlink(),
        "the link is gone"
    );
    ensure!(fs::read_to_string(&place)?.ends_with(END), "no page");
    assert_eq!(fs::metadata(&place)?.permissions().mode() & 0o777, 0o640);
    no_rests(&scratch)
}

fn an_interrupt_makes_a_page_of_what_was_read() -> Result<()> {
    let scratch = Scratch::new()?;
    let place = scratch.file("report.html");
    let (mut reader, mut pipe) = reader_of_a_pipe(&scratch, &place)?;
    pipe.write_all(&fs::read(records(&scratch, &capture(&scratch, 5)?)?)?)?;
    // The threads of the reading are there, and so what was written is taken soon.
    pipe.write_all(b"nonsense\n")?;
    reader.wait_for_stderr("what was read", |said| said.find("line 6"))?;
    reader.signal(Signal::SIGINT)?;
    let output = reader.wait()?;
    daemon::ended_well(&output)?;
    drop(pipe);
    let page = fs::read_to_string(&place)?;
    ensure!(page.contains("Reading was interrupted"), "that is not said");
    ensure!(
        output.stderr.contains("5 connections listed"),
        "{}",
        output.stderr
    );
    no_rests(&scratch)
}

fn a_page_goes_to_the_standard_output_and_into_a_device() -> Result<()> {
    let scratch = Scratch::new()?;
    let capture = capture(&scratch, 3)?;
    let output = run(Path::new("-"), &[], &[&capture])?;
    daemon::ended_well(&output)?;
    assert_eq!(output.stdout, page(&scratch, &[&capture])?);
    daemon::ended_well(&run(Path::new("/dev/null"), &[], &[&capture])?)?;
    ensure!(
        !fs::metadata("/dev/null")?.is_file(),
        "/dev/null is a file now"
    );
    is_error(
        &run(Path::new("/dev/full"), &[], &[&capture])?,
        "No space left",
    )?;
    // A reader that has enough is no error.
    let mut command = command(Path::new("-"), &[], &[&capture]);
    let (process, stdout) = Background::start_unread(&mut command)?;
    drop(stdout);
    daemon::ended_well(&process.wait()?)
}

fn more_than_are_listed_are_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let capture = capture(&scratch, 30)?;
    let output = made(&scratch, &["--list", "10"], &[&capture])?;
    ensure!(
        output.stderr.contains("10 connections listed"),
        "{}",
        output.stderr
    );
    let page = fs::read_to_string(scratch.file("report.html"))?;
    ensure!(page.contains("10 of 30 are listed"), "that is not said");
    ensure!(
        page.contains("<dt>connections</dt><dd>30</dd>"),
        "not all are counted"
    );
    Ok(())
}

fn records_may_be_compressed() -> Result<()> {
    let scratch = Scratch::new()?;
    let records = records(&scratch, &capture(&scratch, 4)?)?;
    process::succeed(Command::new("gzip").arg("-kf").arg(&records))?;
    // By any name, and from the standard input.
    let packed = scratch.file("packed");
    fs::rename(records.with_extension("jsonl.gz"), &packed)?;
    let output = made(&scratch, &[], &[&packed])?;
    ensure!(
        output.stderr.contains("4 connections listed"),
        "{}",
        output.stderr
    );
    let place = scratch.file("report.html");
    let mut command = command(&place, &[], &[Path::new("-")]);
    let child = command
        .stdin(File::open(&packed)?)
        .stderr(Stdio::piped())
        .spawn()?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("4 connections listed"), "{said}");
    Ok(())
}

fn wrong_flags_are_refused() -> Result<()> {
    let scratch = Scratch::new()?;
    let capture = capture(&scratch, 1)?;
    let capture = capture.to_string_lossy();
    for (words, named) in [
        (&["report", &*capture][..], "--output"),
        (&["report", "-o", "x.html"], "FILE"),
        (
            &["report", &capture, "-o", "x.html", "--list", "0"],
            "--list",
        ),
        (
            &["report", &capture, "-o", "x.html", "--list", "1000001"],
            "--list",
        ),
        (
            &["report", &capture, "-o", "x.html", "--format", "json"],
            "--format",
        ),
        (
            &[
                "report",
                &capture,
                "-o",
                "x.html",
                "--port",
                "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
            ],
            "--port",
        ),
    ] {
        let mut command = Command::new(requirement::daemon());
        let output = process::run(command.args(words).current_dir(scratch.path()))?;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            output.stderr
        );
        ensure!(output.stderr.contains(named), "{named}: {}", output.stderr);
    }
    no_rests(&scratch)
}

/// A report that reads from a pipe, and the pipe.
fn reader_of_a_pipe(scratch: &Scratch, place: &Path) -> Result<(Background, File)> {
    let pipe = scratch.file("pipe");
    mkfifo(&pipe, Mode::S_IRWXU)?;
    let reader = Background::start(&mut command(place, &[], &[&pipe]))?;
    let pipe = File::options().write(true).open(&pipe)?;
    Ok((reader, pipe))
}

/// A page of these files.
fn page(scratch: &Scratch, files: &[&PathBuf]) -> Result<String> {
    let files: Vec<_> = files.iter().map(|file| file.as_path()).collect();
    made(scratch, &[], &files)?;
    let page = fs::read_to_string(scratch.file("report.html"))?;
    ensure!(page.ends_with(END), "it is cut");
    Ok(page)
}

fn made(scratch: &Scratch, options: &[&str], files: &[&Path]) -> Result<Output> {
    let output = run(&scratch.file("report.html"), options, files)?;
    daemon::ended_well(&output)?;
    no_rests(scratch)?;
    Ok(output)
}

fn failed(scratch: &Scratch, files: &[&Path], words: &str) -> Result<()> {
    let place = scratch.file("failed.html");
    is_error(&run(&place, &[], files)?, words)?;
    ensure!(!place.exists(), "a page was left: {words}");
    no_rests(scratch)
}

fn is_error(output: &Output, words: &str) -> Result<()> {
    assert_eq!(output.status.code(), Some(1), "{words}: {}", output.stderr);
    let error = output
        .stderr
        .lines()
        .find(|line| line.starts_with("synfin: error: "));
    ensure!(
        error.is_some_and(|error| error.contains(words)),
        "{words}: {}",
        output.stderr
    );
    assert_eq!(output.stdout, "", "{words}");
    Ok(())
}

/// That nothing is left of a page that was begun.
fn no_rests(scratch: &Scratch) -> Result<()> {
    wait::until("nothing to be left", || {
        let names = fs::read_dir(scratch.path())?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<Result<Vec<_>>>()?;
        let rest = names
            .iter()
            .any(|name| name.to_string_lossy().starts_with('.'));
        Ok((!rest).then_some(()))
    })
}

fn run(output: &Path, options: &[&str], files: &[&Path]) -> Result<Output> {
    process::run(&mut command(output, options, files))
}

fn command(output: &Path, options: &[&str], files: &[&Path]) -> Command {
    let mut command = Command::new(requirement::daemon());
    command
        .arg("report")
        .args(files)
        .arg("-o")
        .arg(output)
        .args(options);
    command
}

/// The records of a capture.
fn records(scratch: &Scratch, capture: &Path) -> Result<PathBuf> {
    let mut command = Command::new(requirement::daemon());
    command.args(["read", "--format", "json"]).arg(capture);
    scratch.write("records.jsonl", process::succeed(&mut command)?)
}

/// A capture of so many connections.
fn capture(scratch: &Scratch, connections: u16) -> Result<PathBuf> {
    let talks: Vec<_> = (0..connections)
        .map(|number| whole(&format!("10.1.1.2:{}", 40_000 + number), "10.1.1.1:80"))
        .collect();
    let frames = talks.iter().flat_map(Conversation::frames);
    let frames = (0..)
        .zip(frames)
        .map(|(place, (_, frame))| (1_700_000_000_000_000_000 + place * 1_000, frame.octets()));
    let packets = Packets::ethernet(frames);
    let file = scratch.file("capture.pcap");
    packets::write(&packets, &file).context("write a capture")?;
    Ok(file)
}
