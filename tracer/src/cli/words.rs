//! What `--help` says after the options.

macro_rules! examples {
    () => {
        "\
Examples:
  synfin trace -i eth0                      every connection on eth0, as ladders
  synfin trace -i any --only failed         what does not come to be, anywhere on this host
  synfin trace -i eth0 --port 443 --slow 100ms
  synfin top -i eth0                        the same on a screen, as it happens
  synfin read --summary capture.pcapng      a line for each server of a capture
  synfin report capture.pcap -o report.html all of a capture as a page for a browser
  synfin explain no_answer                  what a diagnosis means, and where to look next"
    };
}

/// After the short help of synfin itself.
pub(super) const EXAMPLES: &str = examples!();

/// After its long help.
pub(super) const ALL: &str = concat!(
    examples!(),
    "

Environment:
  SYNFIN_OPTION   any option, by its long name: SYNFIN_FORMAT=json, SYNFIN_UNPROVED_RATE=50000;
                  flags take true or false. The command line comes first
  NO_COLOR        no colours

Exit status:
  0  an ordinary end: a signal, the asked-for duration or count, a closed pipe
  1  nothing could be attached or read, all interfaces are gone, or the output cannot be written
  2  a wrong command line"
);

/// After the help of `synfin trace`.
pub(super) const TRACE: &str = "\
Examples:
  synfin trace -i eth0 --follow             each step as it happens
  synfin trace -i any --only failed,reset   what goes wrong on this host
  synfin trace -i eth0 --host 10.0.0.0/8 --port 5432 --format json > connections.json
  synfin trace --netns web -i eth0 --account --duration 30s";

/// After the help of `synfin top`.
pub(super) const TOP: &str = "\
Examples:
  synfin top -i eth0                        everything on eth0; ? shows the keys
  synfin top -i any --port 443 --account    octets grow while a connection is open
  synfin top --read capture.pcapng --speed 10";

/// After the help of `synfin read`.
pub(super) const READ: &str = "\
Examples:
  synfin read capture.pcapng.zst --only failed
  synfin read inside.pcap outside.pcap      both merged by time
  ssh host tcpdump -i eth0 -U -w - tcp | synfin read -";

/// After the help of `synfin report`.
pub(super) const REPORT: &str = "\
Examples:
  synfin report connections.json -o report.html
  synfin report client.pcap server.pcap.gz -o report.html --list 50000
  synfin trace -i eth0 --format json --duration 1m | synfin report - -o report.html";
