//! Captures: every way to hand one over, and what is said of one that is damaged, or none.

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::corpus;
use synfin_tests::daemon;
use synfin_tests::packets::{self, ETHERNET, Packet, Packets};
use synfin_tests::process::{self, Background, Output};
use synfin_tests::record;
use synfin_tests::requirement::{
    self,
    Requirement::{Corpus, Daemon, Tool},
};
use synfin_tests::scratch::Scratch;
use synfin_tests::suite::Case;

use crate::talks::{between, whole};

/// When the captures begin, in ns since the Unix epoch: 2023-11-14 22:13:20 UTC.
const START_NS: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
/// Frames of a whole connection.
const FRAMES: u64 = 9;

/// Captures of the corpus that cannot be read, and what is said of them.
const UNREAD: [(&str, &str); 1] = [(
    "tcptrace/single_byte_rexmit.dmp",
    "link type 10 (fddi), which is not read",
)];

pub(crate) fn cases() -> Vec<Case> {
    let plain = cases![&[Daemon];
        a_capture_is_read_to_its_end,
        how_many_connections_are_followed_side_by_side_changes_nothing,
        a_clock_that_is_set_back_ends_no_handshake,
        the_standard_input_is_read_while_it_is_written,
        a_live_capture_ends_connections_while_nothing_comes,
        an_interrupt_ends_the_reading_in_good_order,
        both_directions_in_files_of_their_own_are_one_connection,
        a_capture_that_is_cut_gives_what_comes_before,
        what_is_no_capture_is_an_error,
        a_link_type_that_is_not_read_is_named,
        only_packets_of_the_time_asked_for_are_looked_at,
        a_reader_of_the_output_that_goes_away_ends_it_quietly,
        headers_beyond_the_snap_length_are_counted,
        wrong_flags_are_refused,
    ];
    let gzip = cases![&[Daemon, Tool("gzip")]; a_capture_of_gzip_is_read_by_any_name];
    let zstd = cases![&[Daemon, Tool("zstd")]; a_capture_of_zstd_is_read_by_any_name];
    let corpus = cases![&[Daemon, Corpus]; every_capture_of_the_corpus_is_read];
    [plain, gzip, zstd, corpus].concat()
}

fn a_capture_is_read_to_its_end() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file("capture.pcap");
    packets::write(&capture(&[one()]), &file)?;
    let output = read(&[], &[&file])?;
    holds_one(&output)?;
    assert_eq!(daemon::count(&output, "packets"), Some(FRAMES));
    assert_eq!(daemon::count(&output, daemon::SEGMENTS), Some(FRAMES));
    let connections = record::connections(&output.stdout)?;
    assert_eq!(connections[0].interface, "capture.pcap");
    assert_eq!(connections[0].start.as_nanosecond(), i128::from(START_NS));
    Ok(())
}

/// Where only a thousand may be open, one thread follows them all; otherwise there are several.
fn how_many_connections_are_followed_side_by_side_changes_nothing() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file("capture.pcap");
    let talks = |ports: Range<u16>| {
        ports.map(|port| {
            let client = format!("10.1.1.2:{port}");
            let server = format!("10.1.1.{}:{}", 3 + port % 5, 80 + port % 3);
            match port % 4 {
                0 => between(&client, &server).open(),
                1 => between(&client, &server).syn(),
                2 => between(&client, &server).open().rst(Sender::Server),
                _ => whole(&client, &server),
            }
        })
    };
    let mut all = capture(&talks(40_000..40_400).collect::<Vec<_>>());
    // The second half comes when the first is over.
    for packet in all.packets.iter_mut().skip(700) {
        packet.time_ns += 60_000 * MS;
    }
    packets::write(&all, &file)?;
    for form in [
        &["--format", "json"][..],
        &["--format", "csv"],
        &["--format", "json", "--follow"],
        &["--format", "json", "--only", "failed"],
        &["--summary"],
    ] {
        let read = |more: &[&str]| {
            let mut command = Command::new(requirement::daemon());
            process::run(command.arg("read").args(form).args(more).arg(&file))
        };
        let (several, one) = (read(&[])?, read(&["--max-connections", "1000"])?);
        ensure!(several.status.success(), "{form:?}: {}", several.stderr);
        assert_eq!(several.stdout, one.stdout, "{form:?}");
        assert_eq!(several.stderr, one.stderr, "{form:?}");
        let told = several.stderr.contains("synfin: 400 connections");
        ensure!(told, "{form:?}: {}", several.stderr);
    }
    Ok(())
}

fn a_clock_that_is_set_back_ends_no_handshake() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file("capture.pcap");
    let others = between("10.1.1.9:40000", "10.1.1.1:80").open();
    let frames = |talk: &Conversation| -> Vec<Vec<u8>> {
        talk.frames().map(|(_, frame)| frame.octets()).collect()
    };
    let (one, other) = (frames(&one()), frames(&others));
    let [syn, rest @ ..] = one.as_slice() else {
        anyhow::bail!("a connection without segments");
    };
    let [.., ack] = other.as_slice() else {
        anyhow::bail!("a handshake without segments");
    };
    // So many segments of another connection come in between that the two halves of the handshake are
    // looked at in different turns.
    let between = vec![ack.clone(); 3_000];
    let octets = other.iter().chain([syn]).chain(&between).chain(rest);
    let packets = (0..).zip(octets).map(|(place, octets)| {
        let set_back = if place == 0 { 3_600_000 * MS } else { 0 };
        packet(START_NS + set_back + place * MS, octets)
    });
    let capture = Packets {
        link_type: ETHERNET,
        packets: packets.collect(),
    };
    packets::write(&capture, &file)?;
    let output = read(&[], &[&file])?;
    let connections = record::connections(&output.stdout)?;
    let outcomes = connections.iter().map(|one| one.open.outcome.as_str());
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        ["established"; 2],
        "{}",
        output.stderr
    );
    Ok(())
}

fn the_standard_input_is_read_while_it_is_written() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut capture = capture(&[one()]);
    // A later packet tells that time went on.
    let later = one().frames().next().context("a frame")?.1.octets();
    capture
        .packets
        .push(packet(START_NS + 3_600_000 * MS, &later));
    let pipe = Pipe::new(&scratch)?;
    let (mut reader, mut pipe) = pipe.read()?;
    pipe.write_all(&octets(&capture, &scratch)?)?;
    reader.wait_for_stdout("a record", |text| text.find("\"established\""))?;
    drop(pipe);
    let output = reader.wait()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        output.stderr
    );
    Ok(())
}

fn a_live_capture_ends_connections_while_nothing_comes() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut capture = capture(&[one()]);
    let now_ns = u64::try_from(UNIX_EPOCH.elapsed()?.as_nanos())?;
    for packet in &mut capture.packets {
        packet.time_ns = now_ns;
    }
    let (mut reader, mut pipe) = Pipe::new(&scratch)?.read()?;
    pipe.write_all(&octets(&capture, &scratch)?)?;
    reader.wait_for_stdout("a record", |text| text.find("\"established\""))?;
    drop(pipe);
    ensure!(reader.wait()?.status.success(), "a live capture failed");
    Ok(())
}

fn an_interrupt_ends_the_reading_in_good_order() -> Result<()> {
    let scratch = Scratch::new()?;
    let (mut reader, mut pipe) = Pipe::new(&scratch)?.read()?;
    let open = between("10.1.1.2:40001", "10.1.1.1:80").open();
    let mut head = octets(&capture(&[one(), open]), &scratch)?;
    // A packet of an hour later ends the first connection: when its record is there, all was read.
    let later = between("10.1.1.9:40000", "10.1.1.1:80").syn();
    let later = later.frames().next().context("a frame")?.1.octets();
    let tail = Packets {
        link_type: ETHERNET,
        packets: vec![packet(START_NS + 3_600_000 * MS, &later)],
    };
    head.extend(&octets(&tail, &scratch)?[24..]);
    pipe.write_all(&head)?;
    reader.wait_for_stdout("a record", |text| text.find("\"four_way\""))?;
    reader.signal(Signal::SIGINT)?;
    let output = reader.wait()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        output.stderr
    );
    assert_eq!(record::connections(&output.stdout)?.len(), 3);
    assert_eq!(daemon::count(&output, "established"), Some(2));
    drop(pipe);
    Ok(())
}

fn both_directions_in_files_of_their_own_are_one_connection() -> Result<()> {
    let scratch = Scratch::new()?;
    let all = capture(&[one()]);
    let from = |sender: Sender| {
        let frames = one();
        let senders = frames.frames().map(|(sender, _)| sender);
        let packets = all.packets.iter().zip(senders);
        let packets = packets.filter(|(_, of)| *of == sender);
        Packets {
            link_type: ETHERNET,
            packets: packets.map(|(packet, _)| packet.clone()).collect(),
        }
    };
    let files = [scratch.file("client.pcap"), scratch.file("server.pcap")];
    packets::write(&from(Sender::Client), &files[0])?;
    packets::write(&from(Sender::Server), &files[1])?;
    for files in [[&files[0], &files[1]], [&files[1], &files[0]]] {
        let output = read(&[], &files)?;
        holds_one(&output)?;
    }
    Ok(())
}

fn a_capture_that_is_cut_gives_what_comes_before() -> Result<()> {
    let scratch = Scratch::new()?;
    let octets = octets(&capture(&[one(), one()]), &scratch)?;
    let half = 24 + (octets.len() - 24) / 2;
    let file = scratch.write("cut.pcap", &octets[..half + 10])?;
    let output = read(&[], &[&file])?;
    holds_one(&output)?;
    let warning = format!("in the middle of a record, at octet {half}");
    ensure!(output.stderr.contains(&warning), "{}", output.stderr);
    ensure!(output.stderr.contains("cut.pcap"), "{}", output.stderr);
    Ok(())
}

fn what_is_no_capture_is_an_error() -> Result<()> {
    let scratch = Scratch::new()?;
    let good = scratch.file("good.pcap");
    packets::write(&capture(&[one()]), &good)?;
    let text = scratch.write("notes.txt", "nothing to see\n")?;
    let empty = scratch.write("empty.pcap", "")?;
    let missing = scratch.file("missing.pcap");
    for (file, what) in [
        (
            text.as_path(),
            "notes.txt is no capture: it looks like text",
        ),
        (&empty, "empty.pcap is empty"),
        (&missing, "missing.pcap: No such file"),
        (scratch.path(), "is a directory"),
    ] {
        // A good one beside it does not help: what was asked for cannot be given.
        let output = read(&[], &[good.as_path(), file])?;
        assert_eq!(output.status.code(), Some(1), "{what}");
        ensure!(output.stderr.contains(what), "{what}: {}", output.stderr);
        assert_eq!(output.stdout, "", "{what}");
    }
    Ok(())
}

fn a_link_type_that_is_not_read_is_named() -> Result<()> {
    const WLAN: u32 = 105;
    let scratch = Scratch::new()?;
    let wlan = scratch.file("wlan.pcap");
    let packets = Packets {
        link_type: WLAN,
        ..capture(&[one()])
    };
    packets::write(&packets, &wlan)?;
    let output = read(&[], &[&wlan])?;
    assert_eq!(output.status.code(), Some(1));
    let warning = "link type 105 (ieee802_11), which is not read";
    ensure!(output.stderr.contains(warning), "{}", output.stderr);
    assert_eq!(daemon::count(&output, "ieee802_11"), Some(FRAMES));
    // What else there is, is read.
    let good = scratch.file("good.pcap");
    packets::write(&capture(&[one()]), &good)?;
    let output = read(&[], &[&wlan, &good])?;
    holds_one(&output)?;
    ensure!(output.stderr.contains(warning), "{}", output.stderr);
    Ok(())
}

fn only_packets_of_the_time_asked_for_are_looked_at() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file("capture.pcap");
    let mut late = capture(&[whole("10.1.1.2:40001", "10.1.1.1:80")]);
    for packet in &mut late.packets {
        packet.time_ns += 60_000 * MS;
    }
    let mut both = capture(&[one()]);
    both.packets.extend(late.packets);
    packets::write(&both, &file)?;
    for (flags, port) in [
        (["--until", "+30s"], 40_000),
        (["--since", "+30s"], 40_001),
        (["--since", "2023-11-14T22:14:20Z"], 40_001),
        (["--until", "2023-11-14 22:13:30"], 40_000),
        (["--until", "2023-11-14T23:13:30+01:00"], 40_000),
    ] {
        let output = read(&flags, &[&file])?;
        let connections = record::connections(&output.stdout)?;
        let ports: Vec<_> = connections.iter().map(|one| one.client.port).collect();
        assert_eq!(ports, [port], "{flags:?}");
        let left_out = daemon::count(&output, "packets outside the time");
        assert_eq!(left_out, Some(FRAMES), "{flags:?}");
    }
    Ok(())
}

fn a_reader_of_the_output_that_goes_away_ends_it_quietly() -> Result<()> {
    let scratch = Scratch::new()?;
    let talks = (10_000..11_000).map(|port| whole(&format!("10.1.1.2:{port}"), "10.1.1.1:80"));
    let file = scratch.file("capture.pcap");
    packets::write(&capture(&talks.collect::<Vec<_>>()), &file)?;
    let mut command = Command::new(requirement::daemon());
    command.args(["read", "--format", "json"]).arg(&file);
    let (reader, stdout) = Background::start_unread(&mut command)?;
    drop(stdout);
    let output = reader.wait()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    ensure!(!output.stderr.contains("error"), "{}", output.stderr);
    Ok(())
}

fn headers_beyond_the_snap_length_are_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.file("capture.pcap");
    let mut short = capture(&[one()]);
    for packet in &mut short.packets {
        packet.octets.truncate(40);
    }
    packets::write(&short, &file)?;
    let output = read(&[], &[&file])?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let beyond = daemon::count(&output, "headers_out_of_reach");
    assert_eq!(beyond, Some(FRAMES), "{}", output.stderr);
    Ok(())
}

fn wrong_flags_are_refused() -> Result<()> {
    for (arguments, what) in [
        (&["read"][..], "FILE"),
        (&["read", "--since", "soon", "-"], "--since"),
        (&["read", "--until=-5s", "-"], "--until"),
        (&["read", "--iface", "lo", "-"], "--iface"),
        (&["read", "--port", "0", "-"], "--port"),
    ] {
        let output = process::run(Command::new(requirement::daemon()).args(arguments))?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        ensure!(output.stderr.contains(what), "{what}: {}", output.stderr);
    }
    Ok(())
}

fn a_capture_of_gzip_is_read_by_any_name() -> Result<()> {
    compressed(&["gzip", "-c"])
}

fn a_capture_of_zstd_is_read_by_any_name() -> Result<()> {
    compressed(&["zstd", "-q", "-c"])
}

fn compressed(program: &[&str]) -> Result<()> {
    let scratch = Scratch::new()?;
    let plain = scratch.file("capture.pcap");
    packets::write(&capture(&[one()]), &plain)?;
    let file = scratch.file("nothing.special");
    let line = format!("exec {} \"$0\" > \"$1\"", program.join(" "));
    let mut command = Command::new("sh");
    process::succeed(command.args(["-c", &line]).arg(&plain).arg(&file))?;
    holds_one(&read(&[], &[&file])?)
}

fn every_capture_of_the_corpus_is_read() -> Result<()> {
    let rows = corpus::rows()?;
    for row in &rows {
        let output = read(&[], &[&row.file])?;
        let said = format!(
            "{} ended with {}: {}",
            row.name, output.status, output.stderr
        );
        let unread = UNREAD.iter().find(|(name, _)| *name == row.name);
        let Some((_, warning)) = unread else {
            ensure!(output.status.success(), "{said}");
            // Words that are not of the summary would be a warning.
            let words = output.stderr.matches("synfin: ").count();
            ensure!(words == 1, "{said}");
            let packets = daemon::count(&output, "packets");
            let frames = daemon::count(&output, "frames");
            ensure!(packets > Some(0) && packets == frames, "{said}");
            continue;
        };
        assert_eq!(output.status.code(), Some(1), "{said}");
        ensure!(output.stderr.contains(warning), "{said}");
    }
    for (name, _) in UNREAD {
        ensure!(
            rows.iter().any(|row| row.name == name),
            "there is no {name}"
        );
    }
    Ok(())
}

/// A whole connection.
fn one() -> Conversation {
    whole("10.1.1.2:40000", "10.1.1.1:80")
}

/// These conversations one after the other, a frame each ms.
fn capture(talks: &[Conversation]) -> Packets {
    let frames = talks.iter().flat_map(Conversation::frames);
    let frames = (0..).zip(frames);
    Packets::ethernet(frames.map(|(place, (_, frame))| (START_NS + place * MS, frame.octets())))
}

fn packet(time_ns: u64, octets: &[u8]) -> Packet {
    Packet {
        time_ns,
        octets: octets.to_vec(),
        wire_len: octets.len(),
    }
}

/// The octets of the file of this capture.
fn octets(capture: &Packets, scratch: &Scratch) -> Result<Vec<u8>> {
    let file = scratch.file("written.pcap");
    packets::write(capture, &file)?;
    fs::read(&file).context("read what was written")
}

/// Reads these files with records in JSON.
fn read<P: AsRef<Path>>(flags: &[&str], files: &[P]) -> Result<Output> {
    let mut command = Command::new(requirement::daemon());
    command.args(["read", "--format", "json"]).args(flags);
    process::run(command.args(files.iter().map(AsRef::as_ref)))
}

/// Whether it ended well and told of [`one`].
fn holds_one(output: &Output) -> Result<()> {
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        output.stderr
    );
    let connections = record::connections(&output.stdout)?;
    let told: Vec<_> = connections
        .iter()
        .map(|one| (one.open.outcome.as_str(), one.close.kind.as_str()))
        .collect();
    assert_eq!(told, [("established", "four_way")], "{}", output.stdout);
    Ok(())
}

/// A named pipe, to be the standard input.
struct Pipe(std::path::PathBuf);

impl Pipe {
    fn new(scratch: &Scratch) -> Result<Self> {
        let path = scratch.file("pipe");
        mkfifo(&path, Mode::S_IRWXU).context("make a pipe")?;
        Ok(Self(path))
    }

    /// Starts reading it as the standard input; gives the end to write to.
    fn read(self) -> Result<(Background, File)> {
        let mut command = Command::new("sh");
        let line = "exec \"$0\" read --format json - < \"$1\"";
        command.args(["-c", line]).arg(requirement::daemon());
        let reader = Background::start(command.arg(&self.0))?;
        let pipe = File::options().write(true).open(&self.0);
        Ok((reader, pipe.context("open a pipe")?))
    }
}
