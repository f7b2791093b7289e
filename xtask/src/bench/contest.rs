//! The programs that read the same capture side by side.

use std::{ffi::OsString, path::Path, process::Command};

use crate::{
    exec::{self, say},
    packages::{self, Tool},
};

/// The yardstick.
pub(crate) const SCAN: &str = "bare scan";
/// Ours, where only the table by server is wanted.
pub(crate) const SUMMARY: &str = "synfin read --summary";
/// Ours, with a record of each connection.
pub(crate) const JSON: &str = "synfin read --format json";
/// What people use today who want to compute with connections.
pub(crate) const FIELDS: &str = "tshark -T fields";

/// How often those are run that take long.
const SLOW: usize = 3;

/// The programs of others, without those that come with the tests.
const PEERS: [Tool; 5] = [
    packages::tool("tcpdump", "tcpdump"),
    packages::tool("tshark", "tshark"),
    packages::tool("tcptrace", "tcptrace"),
    packages::tool("nfpcapd", "nfdump"),
    packages::tool("argus", "argus-server"),
];

/// A way to read a capture.
pub(crate) struct Contestant {
    /// As the report calls it.
    pub(crate) name: &'static str,
    /// How often it is run.
    pub(crate) runs: usize,
    /// What is run.
    pub(crate) command: Command,
}

/// Where things are.
pub(crate) struct Places<'a> {
    /// This program, built with optimizations.
    pub(crate) scanner: &'a Path,
    /// The program that this is all about.
    pub(crate) synfin: &'a Path,
    /// The capture.
    pub(crate) capture: &'a Path,
    /// A folder for what a program insists on writing.
    pub(crate) scratch: &'a Path,
}

/// Installs the peers that are missing, as far as that can be done.
pub(crate) fn obtain_peers() {
    for tool in PEERS {
        if let Err(error) = packages::obtain(&[tool]) {
            say(format_args!("{error:#}"));
        }
    }
}

/// Everyone who takes part; those whose program is not here are named and left out.
pub(crate) fn contestants(places: &Places<'_>, runs: usize, peers: bool) -> Vec<Contestant> {
    let scanner = |name, words: &[&str]| Contestant {
        name,
        runs,
        command: command(places.scanner, words, places),
    };
    let synfin = |name, words: &[&str]| Contestant {
        name,
        runs,
        command: command(places.synfin, words, places),
    };
    let mut contestants = vec![
        scanner(SCAN, &["bench-part", "scan", CAPTURE]),
        synfin(SUMMARY, &["read", "--summary", CAPTURE]),
        synfin(JSON, &["read", "--format", "json", CAPTURE]),
    ];
    let mut peer = |name, program: &str, runs, words: &[&str]| match exec::find(program) {
        Some(program) => contestants.push(Contestant {
            name,
            runs,
            command: command(&program, words, places),
        }),
        None => say(format_args!(
            "{name} is left out: there is no {program} here"
        )),
    };
    peer(
        "tcpdump, flags filtered",
        "tcpdump",
        runs,
        &[
            "-n",
            "-r",
            CAPTURE,
            "-w",
            "-",
            "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0",
        ],
    );
    if !peers {
        return contestants;
    }
    let slow = runs.min(SLOW);
    peer("nfpcapd", "nfpcapd", slow, &["-r", CAPTURE, "-w", SCRATCH]);
    peer("argus", "argus", slow, &["-r", CAPTURE, "-w", "-"]);
    peer("tcptrace -n", "tcptrace", slow, &["-n", CAPTURE]);
    peer(
        "tshark -z conv,tcp",
        "tshark",
        slow,
        &["-n", "-q", "-z", "conv,tcp", "-r", CAPTURE],
    );
    let fields = TSHARK_FIELDS.iter().flat_map(|field| ["-e", field]);
    let words: Vec<_> = ["-n", "-r", CAPTURE, "-T", "fields"]
        .into_iter()
        .chain(fields)
        .collect();
    peer(FIELDS, "tshark", slow, &words);
    contestants
}

/// What has to be known of a segment to write down the life of its connection.
const TSHARK_FIELDS: [&str; 12] = [
    "frame.time_epoch",
    "tcp.stream",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "tcp.flags",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.len",
    "tcp.completeness",
    "tcp.analysis.initial_rtt",
];

/// Stands for the capture in a list of words.
const CAPTURE: &str = "{capture}";
/// Stands for a folder that may be written to.
const SCRATCH: &str = "{scratch}";

fn command(program: &Path, words: &[&str], places: &Places<'_>) -> Command {
    let mut command = Command::new(program);
    command.args(words.iter().map(|word| match *word {
        CAPTURE => places.capture.into(),
        SCRATCH => places.scratch.into(),
        word => OsString::from(word),
    }));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_places_become_the_places() {
        let places = Places {
            scanner: Path::new("/x"),
            synfin: Path::new("/s"),
            capture: Path::new("/a b.pcap"),
            scratch: Path::new("/scratch"),
        };
        let command = command(places.synfin, &["read", CAPTURE], &places);
        let args: Vec<_> = command.get_args().collect();
        assert_eq!(args, ["read", "/a b.pcap"]);
    }

    #[test]
    fn the_yardstick_comes_first() {
        let nowhere = Path::new("/nonexistent");
        let places = Places {
            scanner: nowhere,
            synfin: nowhere,
            capture: nowhere,
            scratch: nowhere,
        };
        let names: Vec<_> = contestants(&places, 5, false)
            .iter()
            .map(|contestant| contestant.name)
            .take(3)
            .collect();
        assert_eq!(names, [SCAN, SUMMARY, JSON]);
    }
}
