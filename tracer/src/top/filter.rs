//! Which rows are shown, by what is typed.
//!
//! All words have to be true of a row. Digits are the beginning of a port, `:443` is a whole port, an
//! address with a length is a network; anything else is looked for among addresses, service, interface,
//! outcome and verdict. `!` before a word turns it round.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::row::Row;

/// What was typed, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<(bool, Word)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// A port that begins so.
    PortFrom(String),
    Port(u16),
    Network(IpNet),
    Text(String),
}

impl Filter {
    pub(super) fn new(typed: &str) -> Self {
        let words = typed.split_whitespace().filter_map(|word| {
            let (wanted, word) = match word.strip_prefix('!') {
                Some(rest) => (false, rest),
                None => (true, word),
            };
            (!word.is_empty()).then(|| (wanted, Word::new(word)))
        });
        Self(words.collect())
    }

    pub(super) fn takes(&self, row: &Row) -> bool {
        self.0
            .iter()
            .all(|(wanted, word)| word.is_of(row) == *wanted)
    }
}

impl Word {
    fn new(word: &str) -> Self {
        if word.bytes().all(|octet| octet.is_ascii_digit()) {
            return Self::PortFrom(word.to_owned());
        }
        let port = word.strip_prefix(':').and_then(|port| port.parse().ok());
        if let Some(port) = port {
            return Self::Port(port);
        }
        match word.parse() {
            Ok(network) => Self::Network(network),
            Err(_) => Self::Text(word.to_lowercase()),
        }
    }

    fn is_of(&self, row: &Row) -> bool {
        let ends = [&row.connection.client, &row.connection.server].map(|end| end.socket());
        let any = |holds: &dyn Fn(&SocketAddr) -> bool| ends.iter().any(holds);
        match self {
            Self::PortFrom(digits) => any(&|end| end.port().to_string().starts_with(digits)),
            Self::Port(port) => any(&|end| end.port() == *port),
            Self::Network(network) => any(&|end| network.contains(&end.ip())),
            Self::Text(text) => row.words.contains(&**text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{ftp, no_reply};

    fn takes(typed: &str) -> [bool; 2] {
        let rows = [ftp(), no_reply()].map(|connection| Row::new(1, false, connection));
        rows.each_ref().map(|row| Filter::new(typed).takes(row))
    }

    #[test]
    fn a_word_is_a_port_a_network_an_address_or_an_outcome() {
        let [ftp, lost] = [ftp(), no_reply()];
        assert_eq!(ftp.server.port, 21);
        assert_ne!(lost.server.port, 21);
        for (typed, expected) in [
            ("", [true, true]),
            (":21", [true, false]),
            ("no_reply", [false, true]),
            ("NO_REPLY", [false, true]),
            ("failed", [false, true]),
            ("!failed", [true, false]),
            ("four-way", [true, false]),
            ("10.1.0.0/16", [true, true]),
            ("!10.1.0.0/16", [false, false]),
            ("192.", [false, false]),
            ("10.1 failed", [false, true]),
            ("!", [true, true]),
        ] {
            assert_eq!(takes(typed), expected, "{typed:?}");
        }
        assert!(takes("521")[0]);
        assert!(!takes("9999")[0]);
    }
}
