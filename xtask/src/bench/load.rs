//! What the captures of the bench hold. It is the same on every machine and in every run: all that
//! is random comes from a seed.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufWriter},
    ops::Range,
    path::Path,
};

use super::{
    packet::{End, Packet, SYN, Segment},
    pcap::Writer,
    talk::Talk,
};

const SEED: u64 = 0x5e9_f14_5ac;
/// Unix time of the first packet, in µs.
const BEGIN_US: u64 = 1_700_000_000_000_000;
/// Hosts that open connections, and the first of their addresses.
const CLIENTS: u32 = 5000;
const FIRST_CLIENT: u32 = 0x0a00_0001;
/// Hosts that are connected to, and the first of their addresses.
const SERVERS: u32 = 64;
const FIRST_SERVER: u32 = 0xc000_0201;
const SERVICES: [u16; 6] = [443, 80, 443, 8080, 22, 5432];
/// The first of the ports that clients take.
const FIRST_PORT: u16 = 32768;
/// Servers that are flooded.
const FLOODED: u32 = 4;
/// Two hundred thousand SYNs a second, in µs from one to the next.
const FLOOD_US: Range<u64> = 0..11;

/// A capture of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Many short connections: a busy site.
    Lifecycles,
    /// Few connections of many packets: transfers.
    Transfers,
    /// SYNs from everywhere that nobody answers.
    Flood,
}

impl Load {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Lifecycles, Self::Transfers, Self::Flood];

    /// Its name, and that of its file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lifecycles => "lifecycles",
            Self::Transfers => "transfers",
            Self::Flood => "flood",
        }
    }

    /// Connections in the capture.
    pub(crate) const fn connections(self) -> u32 {
        match self {
            Self::Lifecycles => 200_000,
            Self::Transfers => 100,
            Self::Flood => 1_000_000,
        }
    }

    /// Packets of each of them.
    pub(crate) const fn packets_each(self) -> u32 {
        match self {
            Self::Lifecycles => 10,
            Self::Transfers => 20_000,
            Self::Flood => 1,
        }
    }

    /// Writes the capture.
    pub(crate) fn write_file(self, path: &Path) -> io::Result<()> {
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut writer = Writer::new(file)?;
        self.play(
            self.connections(),
            self.packets_each(),
            |unix_us, segment| writer.packet(unix_us, &Packet::of(segment)),
        )?;
        writer.finish()
    }

    /// Gives every segment of so many connections with its time, in order.
    fn play(
        self,
        connections: u32,
        packets_each: u32,
        take: impl FnMut(u64, &Segment) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            // One every 50 µs, each for some 200 ms: a few thousand are open at a time.
            Self::Lifecycles => talks(connections, packets_each, 0..101, 1000..60_000, take),
            // All begin within a fifth of a second, on a fast network.
            Self::Transfers => talks(connections, packets_each, 0..4001, 200..2000, take),
            Self::Flood => flood(connections, take),
        }
    }
}

/// Connections that begin this long after one another and have these round-trip times, in µs.
fn talks(
    connections: u32,
    packets_each: u32,
    apart_us: Range<u64>,
    round_trip_us: Range<u64>,
    mut take: impl FnMut(u64, &Segment) -> io::Result<()>,
) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut talks: BinaryHeap<Reverse<Talk>> = BinaryHeap::new();
    let (mut begun, mut next_us) = (0, BEGIN_US);
    loop {
        let due_us = talks.peek().map(|Reverse(talk)| talk.due_us);
        if begun < connections && due_us.is_none_or(|due_us| next_us <= due_us) {
            talks.push(Reverse(Talk {
                due_us: next_us,
                number: begun,
                client: client(begun),
                server: server(SERVERS, &mut random),
                next: [random.u32(..), random.u32(..)],
                said: 0,
                packets: packets_each,
                round_trip_us: random.u64(round_trip_us.clone()),
            }));
            begun += 1;
            next_us += random.u64(apart_us.clone());
        } else if let Some(Reverse(mut talk)) = talks.pop() {
            take(talk.due_us, &talk.say(&mut random))?;
            if !talk.is_over() {
                talks.push(Reverse(talk));
            }
        } else {
            return Ok(());
        }
    }
}

fn flood(syns: u32, mut take: impl FnMut(u64, &Segment) -> io::Result<()>) -> io::Result<()> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut unix_us = BEGIN_US;
    for _ in 0..syns {
        let segment = Segment {
            source: End {
                address: random.u32(..),
                port: random.u16(1024..),
            },
            destination: server(FLOODED, &mut random),
            seq: random.u32(..),
            ack: 0,
            flags: SYN,
            len: 0,
            clock_ms: random.u32(..),
        };
        take(unix_us, &segment)?;
        unix_us += random.u64(FLOOD_US);
    }
    Ok(())
}

/// Another client for each number: the hosts take turns, then the next port does.
fn client(number: u32) -> End {
    let port = u16::try_from(number / CLIENTS).unwrap_or_default();
    End {
        address: FIRST_CLIENT + number % CLIENTS,
        port: FIRST_PORT + port,
    }
}

fn server(servers: u32, random: &mut fastrand::Rng) -> End {
    End {
        address: FIRST_SERVER + random.u32(..servers),
        port: random.choice(SERVICES).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::{
        super::packet::{ACK, FIN},
        *,
    };

    fn played(load: Load, connections: u32, packets_each: u32) -> Vec<(u64, Segment)> {
        let mut segments = Vec::new();
        load.play(connections, packets_each, |unix_us, segment| {
            segments.push((unix_us, *segment));
            Ok(())
        })
        .unwrap();
        segments
    }

    /// The segments of each connection.
    fn flows(segments: &[(u64, Segment)]) -> HashMap<[End; 2], Vec<Segment>> {
        let mut flows: HashMap<_, Vec<_>> = HashMap::new();
        for (_, segment) in segments {
            let mut ends = [segment.source, segment.destination];
            ends.sort_unstable();
            flows.entry(ends).or_default().push(*segment);
        }
        flows
    }

    #[test]
    fn the_captures_are_of_the_promised_size() {
        let packets = Load::ALL.map(|load| load.connections() * load.packets_each());
        assert_eq!(packets, [2_000_000, 2_000_000, 1_000_000]);
    }

    #[test]
    fn there_are_so_many_connections_of_so_many_packets() {
        for (load, connections, packets) in
            [(Load::Lifecycles, 6000, 10), (Load::Transfers, 20, 500)]
        {
            let flows = flows(&played(load, connections, packets));
            assert_eq!(u32::try_from(flows.len()), Ok(connections));
            for segments in flows.values() {
                assert_eq!(u32::try_from(segments.len()), Ok(packets));
            }
        }
    }

    #[test]
    fn no_client_is_used_twice() {
        let connections = Load::Lifecycles.connections();
        let clients: HashSet<_> = (0..connections).map(client).collect();
        assert_eq!(u32::try_from(clients.len()), Ok(connections));
    }

    #[test]
    fn every_connection_is_opened_and_closed_by_right_numbers() {
        for segments in flows(&played(Load::Lifecycles, 300, 10)).values() {
            let [syn, syn_ack, ack, .., fin, fin_ack, other_fin, last] = segments.as_slice() else {
                panic!("ten segments");
            };
            assert_eq!((syn.flags, syn_ack.flags), (SYN, SYN | ACK));
            assert_eq!(syn_ack.ack, syn.seq.wrapping_add(1));
            assert_eq!(ack.ack, syn_ack.seq.wrapping_add(1));
            assert_eq!((fin.flags, other_fin.flags), (FIN | ACK, FIN | ACK));
            assert_eq!(fin_ack.ack, fin.seq.wrapping_add(1));
            assert_eq!(last.ack, other_fin.seq.wrapping_add(1));
            assert!(
                segments
                    .iter()
                    .any(|one| one.source == syn.source && one.len > 0)
            );
            assert!(
                segments
                    .iter()
                    .any(|one| one.source != syn.source && one.len > 0)
            );
        }
    }

    #[test]
    fn times_never_go_back() {
        for load in Load::ALL {
            let segments = played(load, 400, 30);
            assert!(
                segments.is_sorted_by_key(|(unix_us, _)| *unix_us),
                "{load:?}"
            );
        }
    }

    #[test]
    fn a_few_thousand_connections_are_open_at_a_time() {
        let (mut open, mut most) = (0, 0);
        for (_, segment) in played(Load::Lifecycles, 20_000, 10) {
            if segment.flags == SYN {
                open += 1;
                most = most.max(open);
            } else if segment.flags & FIN != 0 && segment.source.port >= FIRST_PORT {
                open -= 1;
            }
        }
        assert!((2000..6000).contains(&most), "{most}");
    }

    #[test]
    fn a_flood_comes_from_everywhere_and_goes_to_a_few() {
        let segments = played(Load::Flood, 10_000, 1);
        assert!(segments.iter().all(|(_, segment)| segment.flags == SYN));
        let sources: HashSet<_> = segments.iter().map(|(_, one)| one.source).collect();
        let targets: HashSet<_> = segments.iter().map(|(_, one)| one.destination).collect();
        assert!(sources.len() > 9_990, "{}", sources.len());
        assert!(targets.len() <= 24, "{}", targets.len());
    }

    #[test]
    fn the_same_seed_gives_the_same_capture() {
        let digest = |load| {
            let segments = played(load, 50, 20);
            format!("{segments:?}")
        };
        for load in Load::ALL {
            assert_eq!(digest(load), digest(load));
        }
    }
}
