//! Another reading of the same frames: tshark's, field by field, gathered into its own streams.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::succeed;

/// In the order in which [`Seen`] is read from them.
const FIELDS: [&str; 20] = [
    "tcp.stream",
    "frame.number",
    "frame.time_epoch",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.len",
    "tcp.completeness",
    "tcp.window_size_value",
    "tcp.checksum",
    "ip.id",
    "tcp.analysis.initial_rtt",
    "ieee8021ad.id",
    "vlan.id",
];

/// One segment as tshark read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The frame's place in the capture, from 1.
    pub number: u64,
    /// When it was captured, in ns since the Unix epoch.
    pub time_ns: i128,
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK as on the wire.
    pub ack: u32,
    /// The eight control bits.
    pub flags: u8,
    /// Payload.
    pub len: u32,
    /// The stream's completeness so far.
    pub completeness: u8,
    /// SEG.WND as on the wire.
    pub window: u16,
    /// Checksum and identification as tshark writes them: what a copy has in common with its
    /// original.
    pub stamp: [String; 2],
    /// From the SYN to the ACK, as tshark reckons, in ns.
    pub initial_rtt_ns: Option<i128>,
    /// VLAN identifiers, outer first.
    pub vlans: Vec<u16>,
}

/// The segments of one connection as tshark tells connections apart, in the order of the capture.
pub type Stream = Vec<Seen>;

/// Reads a capture.
///
/// # Errors
/// Where tshark fails, or says something that cannot be read.
pub fn streams(capture: &Path) -> Result<Vec<Stream>> {
    let mut command = Command::new("tshark");
    // Two passes: a frame of the first one does not know what it adds to the completeness itself.
    command.args(["-n", "-2", "-r"]).arg(capture);
    // It makes the data connection's conversation before its SYN, and then does not see that.
    command.args(["--disable-protocol", "ftp"]);
    // Packets that an ICMP message quotes were not seen on this wire; a header that was cut short
    // has no numbers.
    command.args([
        "-Y",
        "tcp.window_size_value && !icmp && !icmpv6",
        "-T",
        "fields",
    ]);
    command.args(["-E", "separator=/t", "-E", "occurrence=a"]);
    command.args(["-E", "aggregator=,"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let mut streams: BTreeMap<u32, Stream> = BTreeMap::new();
    for line in succeed(&mut command)?.lines() {
        let (stream, seen) = parse(line).with_context(|| format!("read tshark's line {line}"))?;
        streams.entry(stream).or_default().push(seen);
    }
    Ok(streams.into_values().collect())
}

/// The last of several values: that of the innermost header.
fn inner(field: &str) -> &str {
    field.rsplit_once(',').map_or(field, |(_, last)| last)
}

fn parse(line: &str) -> Result<(u32, Seen)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [
        stream,
        number,
        time,
        v4_source,
        v4_destination,
        v6_source,
        v6_destination,
        source_port,
        destination_port,
        seq,
        ack,
        flags,
        len,
        completeness,
        window,
        checksum,
        ident,
        initial_rtt,
        service_vlans,
        customer_vlans,
    ] = fields[..]
    else {
        bail!(
            "{} fields where {} were asked for",
            fields.len(),
            FIELDS.len()
        );
    };
    let endpoint = |v4: &str, v6: &str, port: &str| -> Result<SocketAddr> {
        let address: IpAddr = inner(if v4.is_empty() { v6 } else { v4 }).parse()?;
        Ok(SocketAddr::new(address, inner(port).parse()?))
    };
    let flags = u16::from_str_radix(inner(flags).trim_start_matches("0x"), 16)?;
    let vlans = [service_vlans, customer_vlans]
        .into_iter()
        .flat_map(|ids| ids.split(','));
    let vlans = vlans.filter(|id| !id.is_empty()).map(str::parse);
    let seen = Seen {
        number: number.parse()?,
        time_ns: nanoseconds(time)?,
        source: endpoint(v4_source, v6_source, source_port)?,
        destination: endpoint(v4_destination, v6_destination, destination_port)?,
        seq: inner(seq).parse()?,
        ack: inner(ack).parse()?,
        // Above the eight control bits are the reserved ones.
        flags: u8::try_from(flags & 0xff)?,
        // A packet whose length is a lie has none.
        len: match inner(len) {
            "" => 0,
            len => len.parse()?,
        },
        completeness: inner(completeness).parse()?,
        window: inner(window).parse()?,
        stamp: [inner(checksum).to_owned(), inner(ident).to_owned()],
        initial_rtt_ns: match initial_rtt {
            "" => None,
            time => Some(nanoseconds(time)?),
        },
        vlans: vlans.collect::<Result<_, _>>()?,
    };
    Ok((inner(stream).parse()?, seen))
}

/// Reads seconds with a fraction; tshark gives a time before zero, too.
fn nanoseconds(time: &str) -> Result<i128> {
    let (sign, time) = match time.strip_prefix('-') {
        Some(time) => (-1, time),
        None => (1, time),
    };
    let (seconds, fraction) = time.split_once('.').context("a time with a fraction")?;
    let fraction: i128 = format!("{fraction:0<9}").parse()?;
    Ok(sign * (seconds.parse::<i128>()? * 1_000_000_000 + fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tshark() {
        let line = "3\t9\t1700000000.5\t10.1.1.2\t10.1.1.1\t\t\t52144\t21\t2452765130\t0\t0x0002\t0\t1\t64240\t0x1234\t0x0001\t-0.000000002\t5\t6";
        let (stream, seen) = parse(line).unwrap();
        assert_eq!(stream, 3);
        assert_eq!(seen.time_ns, 1_700_000_000_500_000_000);
        assert_eq!(seen.source, ([10, 1, 1, 2], 52144).into());
        assert_eq!(
            (seen.seq, seen.flags, seen.completeness),
            (2_452_765_130, 2, 1)
        );
        assert_eq!((seen.number, seen.window), (9, 64240));
        assert_eq!(seen.initial_rtt_ns, Some(-2));
        assert_eq!(seen.vlans, [5, 6]);
    }

    #[test]
    fn a_line_that_lacks_a_field_is_refused() {
        assert!(parse("3\t1700000000.5").is_err());
    }
}
