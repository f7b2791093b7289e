//! What is measured: the segments of connections, in the order in which they come.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use synfin_ebpf::counters::Counter;
use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Sender;
use synfin_tests::frames::{Frame, SYN_OPTIONS};

use super::load::{Loaded, Turn, Which};
use super::report::{Row, Sample};

/// Runs of a series in which nothing is reported.
const QUIET: u32 = 1 << 20;
/// Connections whose handshakes are run: fewer than the table and the ring have room for.
const HANDSHAKES: u32 = 1 << 14;
/// What the other bits of the client's address are.
const NET: u32 = 10 << 24;

/// A hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Xdp,
    Tc,
}

/// A series of runs of one frame.
#[derive(Clone, Debug)]
struct Series {
    name: String,
    frame: Vec<u8>,
    /// Where the client's address is, and how many connections there are.
    place: u32,
    connections: u32,
    runs: u32,
    /// CPUs that run it at once.
    cpus: usize,
    /// What stands for nothing, and for the tracer, where that is not what the number of connections says.
    which: Option<(Which, Which)>,
    /// Events that it makes.
    events: usize,
}

/// Series that follow each other, on one hook.
pub(super) struct Scenario {
    hook: Hook,
    series: Vec<Series>,
    /// Nothing is reported of connections that are not proved.
    closed: bool,
}

/// All of it.
pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = vec![Scenario::new(Hook::Xdp, Talk { v6: false }.references())];
    for hook in [Hook::Xdp, Hook::Tc] {
        for v6 in [false, true] {
            let talk = Talk { v6 };
            all.push(Scenario::new(hook, talk.established()));
            all.push(Scenario::new(hook, talk.lives()));
            all.push(Scenario {
                closed: true,
                ..Scenario::new(hook, vec![talk.flood()])
            });
        }
    }
    all
}

/// A connection to make frames of.
#[derive(Clone, Copy)]
struct Talk {
    v6: bool,
}

impl Talk {
    /// What the kernel takes for the two things that every report asks of it: they tell how fast the
    /// machine is.
    fn references(self) -> Vec<Series> {
        let reference = |name: &str, which| Series {
            name: name.into(),
            which: Some((Which::Idle, which)),
            ..self.data(1)
        };
        vec![
            reference("(bpf_ktime_get_ns)", Which::Clock),
            Series {
                runs: HANDSHAKES,
                events: HANDSHAKES as usize,
                ..reference("(ring: an event of zeros)", Which::Ring)
            },
        ]
    }

    /// Data segments of connections that nobody watches.
    fn established(self) -> Vec<Series> {
        let counts = [0, 10, 17, 20].map(|power| 1 << power);
        let mut series: Vec<_> = counts.map(|connections| self.data(connections)).into();
        let data = self.data(1);
        series.push(Series {
            name: format!("{}, two CPUs", data.name),
            cpus: 2,
            ..data
        });
        series
    }

    fn data(self, connections: u32) -> Series {
        Series {
            connections,
            runs: QUIET,
            events: 0,
            ..self.series("data", Sender::Client, Flags::ACK.with(Flags::PSH), 5, 7)
        }
    }

    /// Whole connections, one segment of each after the other.
    fn lives(self) -> Vec<Series> {
        let (client, server) = (Sender::Client, Sender::Server);
        let (syn, ack, fin) = (Flags::SYN, Flags::ACK, Flags::FIN);
        let quiet = |series: Series| Series {
            events: 0,
            ..series
        };
        vec![
            self.series("SYN", client, syn, 999, 0),
            self.series("SYN-ACK", server, syn.with(ack), 1999, 1000),
            self.series("handshake ACK", client, ack, 1000, 2000),
            self.series("first data", client, ack.with(Flags::PSH), 1000, 2000),
            quiet(self.series("data, watched", client, ack.with(Flags::PSH), 1100, 2000)),
            self.series("FIN", client, fin.with(ack), 1200, 2000),
            self.series("FIN that acknowledges", server, fin.with(ack), 2000, 1201),
            self.series("last ACK", client, ack, 1201, 2001),
            self.series("RST", server, Flags::RST.with(ack), 2001, 1201),
        ]
    }

    /// SYNs of a flood.
    fn flood(self) -> Series {
        Series {
            connections: QUIET,
            runs: QUIET,
            events: 0,
            ..self.series("SYN, gate closed", Sender::Client, Flags::SYN, 1, 0)
        }
    }

    fn series(self, name: &str, sender: Sender, flags: Flags, seq: u32, ack: u32) -> Series {
        let (client, server): (IpAddr, IpAddr) = if self.v6 {
            (
                [0xfd00, 0, 0, 0, 0, 0, 0xa00, 0].into(),
                [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(),
            )
        } else {
            ([10, 0, 0, 0].into(), [192, 0, 2, 1].into())
        };
        let ends = [
            SocketAddr::new(client, 40_000),
            SocketAddr::new(server, 443),
        ];
        let [source, destination] = match sender {
            Sender::Client => ends,
            Sender::Server => [ends[1], ends[0]],
        };
        let frame = Frame::new(source, destination).seq(seq);
        let frame = if flags.ack() { frame.ack(ack) } else { frame };
        let frame = frame.flags(flags);
        let frame = if flags.syn() {
            frame.options(&SYN_OPTIONS)
        } else if flags.any(Flags::PSH) {
            frame.payload(100)
        } else {
            frame
        };
        Series {
            name: format!("{name}, {}", if self.v6 { "IPv6" } else { "IPv4" }),
            frame: frame.octets(),
            // The last word of the address: RFC 791 §3.1, RFC 8200 §3.
            place: 14
                + match (self.v6, sender) {
                    (false, Sender::Client) => 12,
                    (false, Sender::Server) => 16,
                    (true, Sender::Client) => 20,
                    (true, Sender::Server) => 36,
                },
            connections: HANDSHAKES,
            runs: HANDSHAKES,
            cpus: 1,
            which: None,
            events: HANDSHAKES as usize,
        }
    }
}

impl Scenario {
    fn new(hook: Hook, series: Vec<Series>) -> Self {
        Self {
            hook,
            series,
            closed: false,
        }
    }

    /// Whether a series of it has this in its name.
    pub(super) fn is_named(&self, part: &str) -> bool {
        let name = |series: &Series| format!("{}, {}", self.hook.name(), series.name);
        self.series.iter().any(|series| name(series).contains(part))
    }

    /// Measures every series, round by round in turns.
    pub(super) fn measure(&self, loaded: &mut Loaded, rounds: usize) -> Result<Vec<Row>> {
        let mut rows: Vec<_> = self
            .series
            .iter()
            .map(|series| series.row(self.hook))
            .collect();
        for _ in 0..rounds {
            for (series, row) in self.series.iter().zip(&mut rows) {
                let held = loaded.count(Counter::HeldSyn)?;
                row.samples.push(series.sample(self.hook, loaded)?);
                if self.closed {
                    let held = loaded.count(Counter::HeldSyn)? - held;
                    ensure!(held == u64::from(series.runs), "{held} SYNs were held back");
                }
                let events = loaded.drain();
                ensure!(
                    events == series.events,
                    "{}: {events} events, not {}",
                    series.name,
                    series.events
                );
            }
        }
        Ok(rows)
    }

    /// Whether connections that are not proved are reported.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Series {
    fn row(&self, hook: Hook) -> Row {
        Row {
            name: self.name.clone(),
            hook: hook.name(),
            connections: self.connections,
            samples: Vec::new(),
        }
    }

    /// The series twice: with the tracer and without.
    fn sample(&self, hook: Hook, loaded: &mut Loaded) -> Result<Sample> {
        let (nothing, tracer) = match self.which {
            Some(which) => which,
            None if self.connections == 1 => (Which::Idle, Which::Tracer),
            None => (Which::Turns, Which::Turned),
        };
        let turn: Turn = [0, self.connections - 1, self.place, NET];
        loaded.turn(turn)?;
        let idle_ns = loaded.run(hook, nothing, &self.frame, self.runs, self.cpus)?;
        loaded.turn(turn)?;
        let tracer_ns = loaded.run(hook, tracer, &self.frame, self.runs, self.cpus)?;
        Ok(Sample { idle_ns, tracer_ns })
    }
}

impl Hook {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "XDP",
            Self::Tc => "TC",
        }
    }

    /// What a program says to let a frame pass.
    pub(super) const fn pass(self) -> u32 {
        match self {
            Self::Xdp => 2,
            Self::Tc => u32::MAX,
        }
    }
}
