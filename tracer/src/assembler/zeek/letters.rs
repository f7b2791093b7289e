//! The letters of a history, and when one is written again.

/// Letters that a history keeps; later ones are left out.
const MAX_LETTERS: usize = 32;

/// What a packet is. The originator's letters are upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A SYN.
    Syn,
    /// A SYN-ACK ("handshake").
    SynAck,
    /// An ACK by itself.
    Ack,
    /// Payload without SYN, FIN and RST.
    Data,
    /// A FIN.
    Fin,
    /// A RST.
    Rst,
    /// FIN with RST.
    FinRst,
    /// SYN with FIN or RST.
    SynAndMore,
}

/// What is told the 1st, 10th, 100th … time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaled {
    /// Payload that brought nothing new.
    Retransmission,
    /// A closed window.
    ZeroWindow,
    /// An acknowledgment of payload that was not seen.
    Gap,
}

/// A history as it grows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Letters {
    octets: [u8; MAX_LETTERS],
    len: u8,
    /// Kinds seen of the originator and of the responder, as bits. They stay with the role where the
    /// direction turns, as they do in Zeek.
    seen: [u8; 2],
    /// How often each [`Scaled`] was reported, and how often it was written, of each role.
    scaled: [[Told; 3]; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    reported: u8,
    written: u8,
}

impl Kind {
    const fn letter(self) -> u8 {
        match self {
            Self::Syn => b's',
            Self::SynAck => b'h',
            Self::Ack => b'a',
            Self::Data => b'd',
            Self::Fin => b'f',
            Self::Rst => b'r',
            Self::FinRst => b'i',
            Self::SynAndMore => b'q',
        }
    }

    /// SYN and SYN-ACK are one kind where it is asked what came before.
    const fn bit(self) -> u8 {
        match self {
            Self::Syn | Self::SynAck => 1,
            Self::Fin => 1 << 1,
            Self::Rst => 1 << 2,
            Self::FinRst => 1 << 3,
            Self::Data => 1 << 4,
            Self::Ack => 1 << 5,
            Self::SynAndMore => 1 << 6,
        }
    }
}

impl Scaled {
    const fn letter(self) -> u8 {
        match self {
            Self::Retransmission => b't',
            Self::ZeroWindow => b'w',
            Self::Gap => b'g',
        }
    }
}

impl Letters {
    /// Writes what a packet is: the first time, and again where that is asked for.
    pub(super) fn write(&mut self, originator: bool, kind: Kind, again: bool) {
        let [of_originator, of_responder] = &mut self.seen;
        let seen = if originator {
            of_originator
        } else {
            of_responder
        };
        if *seen & kind.bit() == 0 || again {
            *seen |= kind.bit();
            self.push(cased(originator, kind.letter()));
        }
    }

    /// Writes what is told on a scale. A report stands for the next place on it; without one, the
    /// packet itself has shown that there was a first time.
    pub(super) fn scale(&mut self, originator: bool, scaled: Scaled, reported: bool) {
        let [of_originator, of_responder] = &mut self.scaled;
        let role = if originator {
            of_originator
        } else {
            of_responder
        };
        let Some(told) = role.get_mut(scaled as usize) else {
            return;
        };
        told.reported = told.reported.saturating_add(reported.into());
        if told.written < told.reported.max(1) {
            told.written = told.reported.max(1);
            self.push(cased(originator, scaled.letter()));
        }
    }

    /// Writes that the direction was turned.
    pub(super) fn write_turn(&mut self) {
        self.push(b'^');
    }

    /// Begins again with a SYN-ACK of the responder in a direction that was turned.
    pub(super) fn restart_turned(&mut self) {
        self.len = 0;
        self.push(b'^');
        self.push(Kind::SynAck.letter());
    }

    /// A SYN-ACK of the originator is all there is.
    pub(super) fn are_one_syn_ack(&self) -> bool {
        self.octets() == b"H"
    }

    /// The originator's SYN, and a RST before anything but its SYNs and the responder's packets.
    pub(super) fn are_syn_then_rst(&self) -> bool {
        let octets = self.octets();
        let octets = octets.strip_prefix(b"^").unwrap_or(octets);
        let Some(rest) = octets.strip_prefix(b"S") else {
            return false;
        };
        let before = rest.iter().take_while(|octet| !b"HAFGIQ".contains(octet));
        before.into_iter().any(|octet| *octet == b'R')
    }

    /// The history as it is printed.
    pub(super) fn text(&self) -> String {
        self.octets().iter().copied().map(char::from).collect()
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len.into()).unwrap_or_default()
    }

    fn push(&mut self, letter: u8) {
        if let Some(place) = self.octets.get_mut(usize::from(self.len)) {
            *place = letter;
            self.len += 1;
        }
    }
}

const fn cased(originator: bool, letter: u8) -> u8 {
    if originator {
        letter.to_ascii_uppercase()
    } else {
        letter
    }
}
