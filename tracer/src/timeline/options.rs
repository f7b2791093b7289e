//! The options of a SYN or SYN-ACK, read out of their octets.
//!
//! In: the octets as the parser copied them. Out: the options that a handshake negotiates. A length
//! that lies ends the reading and is told (RFC 9293 §3.1, RFC 7323, RFC 2018, RFC 7413, RFC 8684).

/// The options that a side offered or echoed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// Maximum segment size in octets (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// Window scale shift as sent; above 14 it counts as 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// Selective acknowledgments permitted (RFC 2018).
    pub sack: bool,
    /// Timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// Fast Open, with or without a cookie (RFC 7413).
    pub fast_open: bool,
    /// Multipath (RFC 8684).
    pub mptcp: bool,
    /// ECN was offered: ECE and CWR on a SYN, ECE alone on a SYN-ACK (RFC 3168 §6.1.1).
    pub ecn: bool,
    /// An option's length was impossible; what followed it was not read.
    pub malformed: bool,
}

/// An option that takes effect only where both sides send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Negotiable {
    /// Window scale.
    WindowScale,
    /// Selective acknowledgments.
    Sack,
    /// Timestamps.
    Timestamps,
    /// Explicit congestion notification.
    Ecn,
    /// Multipath.
    Mptcp,
}

impl Negotiable {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::WindowScale,
        Self::Sack,
        Self::Timestamps,
        Self::Ecn,
        Self::Mptcp,
    ];

    /// The name in JSON and in the ladder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WindowScale => "window_scale",
            Self::Sack => "sack",
            Self::Timestamps => "timestamps",
            Self::Ecn => "ecn",
            Self::Mptcp => "mptcp",
        }
    }
}

/// What came of the options that both sides have to send, where both SYNs were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated<'a> {
    client: &'a TcpOptions,
    server: &'a TcpOptions,
}

impl<'a> Negotiated<'a> {
    /// Holds the options of the SYN and those of its answer beside each other.
    #[must_use]
    pub const fn new(client: &'a TcpOptions, server: &'a TcpOptions) -> Self {
        Self { client, server }
    }

    /// Those that took effect.
    pub fn in_effect(self) -> impl Iterator<Item = Negotiable> {
        self.sent(true, true)
    }

    /// Those that the client offered and the server did not echo, or that were taken out on the way.
    pub fn not_echoed(self) -> impl Iterator<Item = Negotiable> {
        self.sent(true, false)
    }

    /// Those that the server sent without an offer, or whose offer was taken out before it got here.
    pub fn not_offered(self) -> impl Iterator<Item = Negotiable> {
        self.sent(false, true)
    }

    fn sent(self, by_client: bool, by_server: bool) -> impl Iterator<Item = Negotiable> {
        Negotiable::ALL.into_iter().filter(move |&option| {
            self.client.has(option) == by_client && self.server.has(option) == by_server
        })
    }
}

impl TcpOptions {
    /// The largest window scale shift that takes effect (RFC 7323 §2.3).
    pub const MAX_WINDOW_SCALE: u8 = 14;

    /// Reads the options of a SYN or SYN-ACK.
    #[must_use]
    pub fn parse(mut octets: &[u8]) -> Self {
        let mut options = Self::default();
        loop {
            let (kind, rest) = match octets {
                [] | [0, ..] => return options,
                [1, rest @ ..] => {
                    octets = rest;
                    continue;
                }
                [kind, len, rest @ ..] => match usize::from(*len).checked_sub(2) {
                    Some(len) if len <= rest.len() => (*kind, rest.split_at(len)),
                    _ => {
                        options.malformed = true;
                        return options;
                    }
                },
                [_] => {
                    options.malformed = true;
                    return options;
                }
            };
            let (value, rest) = rest;
            options.take(kind, value);
            octets = rest;
        }
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, &[hi, lo]) => self.mss = Some(u16::from_be_bytes([hi, lo])),
            (3, &[shift]) => self.window_scale = Some(shift),
            (4, []) => self.sack = true,
            (8, [_, _, _, _, _, _, _, _]) => self.timestamps = true,
            (30, [_, ..]) => self.mptcp = true,
            (34, _) => self.fast_open = true,
            (2 | 3 | 4 | 8 | 30, _) => self.malformed = true,
            _ => {}
        }
    }

    /// Whether the option was sent.
    #[must_use]
    pub const fn has(&self, option: Negotiable) -> bool {
        match option {
            Negotiable::WindowScale => self.window_scale.is_some(),
            Negotiable::Sack => self.sack,
            Negotiable::Timestamps => self.timestamps,
            Negotiable::Ecn => self.ecn,
            Negotiable::Mptcp => self.mptcp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_linux_syn() {
        let octets = [
            2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
        ];
        let expected = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack: true,
            timestamps: true,
            ..TcpOptions::default()
        };
        assert_eq!(TcpOptions::parse(&octets), expected);
    }

    #[test]
    fn an_end_of_options_ends_them() {
        assert_eq!(
            TcpOptions::parse(&[0, 2, 4, 5, 0xb4]),
            TcpOptions::default()
        );
    }

    #[test]
    fn a_length_that_lies_is_told_and_keeps_what_came_before() {
        for tail in [&[8, 10, 0][..], &[8, 1], &[8, 0], &[8]] {
            let octets = [&[2, 4, 0x05, 0xb4][..], tail].concat();
            let options = TcpOptions::parse(&octets);
            assert_eq!(
                (options.mss, options.malformed),
                (Some(1460), true),
                "{tail:?}"
            );
        }
    }

    #[test]
    fn an_option_takes_effect_where_both_sides_sent_it() {
        let client = TcpOptions {
            window_scale: Some(7),
            sack: true,
            ecn: true,
            ..TcpOptions::default()
        };
        let server = TcpOptions {
            window_scale: Some(0),
            timestamps: true,
            ..TcpOptions::default()
        };
        let both = Negotiated::new(&client, &server);
        assert!(both.in_effect().eq([Negotiable::WindowScale]));
        assert!(both.not_echoed().eq([Negotiable::Sack, Negotiable::Ecn]));
        assert!(both.not_offered().eq([Negotiable::Timestamps]));
    }

    #[test]
    fn an_option_of_a_wrong_length_is_not_taken() {
        let options = TcpOptions::parse(&[3, 4, 7, 7]);
        assert_eq!((options.window_scale, options.malformed), (None, true));
    }
}
