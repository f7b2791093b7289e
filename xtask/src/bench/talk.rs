//! One connection that two hosts play: opened, used and closed, without loss.

use super::packet::{ACK, End, FIN, PSH, SYN, Segment};

/// Segments of the close.
const CLOSE: u32 = 4;
/// Octets that fill a segment whose options are timestamps.
const FULL: u16 = 1448;
/// From one segment to the next of the same sender, in µs.
const BACK_TO_BACK_US: u64 = 12;

/// A connection, as far as it has come. Ordered by when its next segment is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Talk {
    /// When its next segment is due.
    pub(crate) due_us: u64,
    /// Its number, which decides where two are due at once.
    pub(crate) number: u32,
    /// Who opens it.
    pub(crate) client: End,
    /// Who is connected to.
    pub(crate) server: End,
    /// The next sequence numbers of both.
    pub(crate) next: [u32; 2],
    /// Segments said so far.
    pub(crate) said: u32,
    /// Segments that it will have.
    pub(crate) packets: u32,
    /// How long the client takes to hear and answer, in µs: this is seen beside the server.
    pub(crate) round_trip_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

impl Talk {
    /// Whether all is said.
    pub(crate) const fn is_over(&self) -> bool {
        self.said >= self.packets
    }

    /// The segment that is due; then another is.
    pub(crate) fn say(&mut self, random: &mut fastrand::Rng) -> Segment {
        let (sender, flags) = self.script(self.said);
        let len = match (sender, flags & PSH != 0) {
            (_, false) => 0,
            (Sender::Client, true) => random.u16(40..600),
            (Sender::Server, true) if random.u8(..4) == 0 => random.u16(100..FULL),
            (Sender::Server, true) => FULL,
        };
        let [client_next, server_next] = &mut self.next;
        let (source, destination, own, peers) = match sender {
            Sender::Client => (self.client, self.server, client_next, *server_next),
            Sender::Server => (self.server, self.client, server_next, *client_next),
        };
        let segment = Segment {
            source,
            destination,
            seq: *own,
            ack: if flags & ACK == 0 { 0 } else { peers },
            flags,
            len,
            // The low half of the clock is all that the option has room for.
            clock_ms: u32::try_from(self.due_us / 1000 % (1 << 32)).unwrap_or_default(),
        };
        // SYN and FIN occupy one sequence number each (RFC 9293 §3.4).
        let control = u32::from(flags & (SYN | FIN) != 0);
        *own = own.wrapping_add(u32::from(len) + control);
        self.said += 1;
        self.due_us += self.pause_us(sender, random);
        segment
    }

    /// Who says what as segment number `said`.
    fn script(&self, said: u32) -> (Sender, u8) {
        use Sender::{Client, Server};
        match (said, self.packets - said) {
            (0, _) => (Client, SYN),
            (1, _) => (Server, SYN | ACK),
            (2, _) => (Client, ACK),
            (_, CLOSE) => (Client, FIN | ACK),
            (_, 3) => (Server, ACK),
            (_, 2) => (Server, FIN | ACK),
            (_, 1) => (Client, ACK),
            // A question, its answer, and whatever else the answer takes.
            (3, _) => (Client, PSH | ACK),
            (said, _) => match said % 3 {
                0 => (Server, PSH | ACK),
                1 => (Server, PSH | ACK),
                _ => (Client, ACK),
            },
        }
    }

    /// How long the next segment takes to come after one of this sender.
    fn pause_us(&self, last: Sender, random: &mut fastrand::Rng) -> u64 {
        if self.is_over() {
            return 0;
        }
        let (next, _) = self.script(self.said);
        let pause = match (last, next) {
            (Sender::Client, Sender::Server) => random.u64(20..100),
            (Sender::Server, Sender::Client) => self.round_trip_us + random.u64(..200),
            _ => BACK_TO_BACK_US,
        };
        // The server looks for its answer, and the client looks at it before it closes.
        match self.said {
            4 => pause + random.u64(100..20_000),
            _ if self.packets - self.said == CLOSE => pause + random.u64(..200_000),
            _ => pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_packets_are_a_whole_life() {
        let end = |address, port| End { address, port };
        let mut talk = Talk {
            due_us: 5,
            number: 0,
            client: end(1, 1000),
            server: end(2, 80),
            next: [u32::MAX, 7],
            said: 0,
            packets: 10,
            round_trip_us: 1000,
        };
        let mut random = fastrand::Rng::with_seed(1);
        let mut segments = Vec::new();
        while !talk.is_over() {
            segments.push(talk.say(&mut random));
        }
        let flags: Vec<_> = segments.iter().map(|segment| segment.flags).collect();
        assert_eq!(
            flags,
            [
                SYN,
                SYN | ACK,
                ACK,
                PSH | ACK,
                PSH | ACK,
                ACK,
                FIN | ACK,
                ACK,
                FIN | ACK,
                ACK
            ]
        );
        assert_eq!(
            segments
                .iter()
                .map(|segment| segment.ack)
                .take(3)
                .collect::<Vec<_>>(),
            [0, 0, 8]
        );
        let asked = u32::from(segments[3].len);
        assert_eq!(segments[4].ack, asked);
        assert_eq!(segments[6].seq, asked);
    }
}
