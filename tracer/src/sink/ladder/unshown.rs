//! What was carried between the segments of a ladder, from their numbers alone.
//!
//! A record keeps the segments that open and close a connection. The numbers of one say how far both
//! ends had come since the one before; what lies between was not kept, and is told as an amount.

use synfin_ebpf::seq::Seq;

use crate::sink::numbers::Numbers;
use crate::sink::verdict::amount;
use crate::timeline::{Bytes, Connection, OpenOutcome, ResetProof, Role, Step};
use crate::units::{Lasting, Octets};

/// A number this far past another one lies behind it: no window is larger than 1 GiB (RFC 7323
/// §2.3), so what is older by more than that is newer by up to three.
const BEHIND: u32 = 3 << 30;

/// How far the two ends have come: the next number of each, as far as the segments so far tell.
pub(super) struct Progress<'a> {
    connection: &'a Connection,
    numbers: &'a Numbers,
    client: Option<Seq>,
    server: Option<Seq>,
}

impl<'a> Progress<'a> {
    /// Before the first segment.
    pub(super) const fn new(connection: &'a Connection, numbers: &'a Numbers) -> Self {
        Self {
            connection,
            numbers,
            client: None,
            server: None,
        }
    }

    /// Takes the next segment; `26 B →  ← 94 B, 1.93 s` where something lay before it.
    pub(super) fn take(&mut self, step: &Step, ns: u64) -> Option<String> {
        if !self.trusts(step) {
            return None;
        }
        let control = u32::from(step.flags.syn()) + u32::from(step.flags.fin());
        let end = step.seq.add(step.len).add(control);
        // One that answers a SYN, or that is not exactly the next, says nothing of what came before.
        let own = if step.flags.rst() && !self.proved() {
            0
        } else {
            self.reach(step.from, step.seq, end)
        };
        let peer = step
            .ack
            .map_or(0, |ack| self.reach(step.from.peer(), ack, ack));
        let (up, down) = match step.from {
            Role::Client => (own, peer),
            Role::Server => (peer, own),
        };
        let told = |count: u32| (count > 0).then(|| Octets(count.into()).to_string());
        row(told(up), told(down), ns)
    }

    /// What came after the last segment.
    pub(super) fn rest(&self, ns: u64) -> Option<String> {
        if !self.carries_data() {
            return None;
        }
        let rest = |role: Role| {
            let bytes = self.connection.end(role).bytes?;
            let initial = self.numbers.initial(role)?;
            // The SYN occupies a number of its own (RFC 9293 §3.4).
            let shown = self
                .next(role)
                .map_or(0, |next| next.since(initial.add(1)).into());
            let count = bytes.count.checked_sub(shown).filter(|&count| count > 0)?;
            Some(amount(Some(Bytes { count, ..bytes })))
        };
        row(rest(Role::Client), rest(Role::Server), ns)
    }

    /// Whether the numbers of a segment say how far the connection has come.
    fn trusts(&self, step: &Step) -> bool {
        let holds = step.check.map(|check| check.ok());
        let flags = step.flags;
        self.carries_data()
            && !flags.anomalous()
            && holds != Some(false)
            // Anybody can make up a RST.
            && (!flags.rst() || holds == Some(true))
            && (!flags.syn() || self.numbers.initial(step.from) == Some(step.seq))
    }

    /// Whether the RST's number is the one that follows what its sender had sent.
    const fn proved(&self) -> bool {
        matches!(
            self.connection.close.proof,
            Some(ResetProof::Exact | ResetProof::NotBefore)
        )
    }

    const fn carries_data(&self) -> bool {
        matches!(
            self.connection.open.outcome,
            OpenOutcome::Established | OpenOutcome::Unobserved
        )
    }

    /// Moves an end to `end`, and tells how far `start` is past where it was.
    fn reach(&mut self, role: Role, start: Seq, end: Seq) -> u32 {
        let next = match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        };
        let past = |number: Seq| {
            let from = next.unwrap_or(number);
            Some(number.since(from)).filter(|&octets| octets < BEHIND)
        };
        let skipped = past(start).unwrap_or_default();
        if past(end).is_some() {
            *next = Some(end);
        }
        skipped
    }

    const fn next(&self, role: Role) -> Option<Seq> {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }
}

fn row(up: Option<String>, down: Option<String>, ns: u64) -> Option<String> {
    let mut text = match (up, down) {
        (Some(up), Some(down)) => format!("{up} →  ← {down}"),
        (Some(up), None) => format!("{up} →"),
        (None, Some(down)) => format!("← {down}"),
        (None, None) => return None,
    };
    if ns > 0 {
        text.push_str(&format!(", {}", Lasting(ns)));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{ACK, FIN_ACK, PSH_ACK, RST, X, Y, ftp, half_close, step};
    use crate::timeline::Proof;

    const SECOND: u64 = 1_000_000_000;

    /// What is told of a connection after the handshake of the article's.
    fn told(connection: &Connection, steps: &[Step]) -> Vec<Option<String>> {
        let numbers = Numbers::from(connection);
        let mut progress = Progress::new(connection, &numbers);
        for step in &connection.steps[..3] {
            assert_eq!(progress.take(step, 0), None);
        }
        let mut told: Vec<_> = steps
            .iter()
            .map(|step| progress.take(step, SECOND))
            .collect();
        told.push(progress.rest(SECOND));
        told
    }

    fn words(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_fin_tells_what_both_sides_had_sent() {
        let fin = step(Role::Server, FIN_ACK, Y.add(95)).ack(X.add(27));
        let rows = told(&ftp(), &[fin]);
        assert_eq!(rows, [words("26 B →  ← 94 B, 1.00 s"), None]);
    }

    #[test]
    fn data_that_is_shown_is_not_told_again() {
        let data = step(Role::Client, PSH_ACK, X.add(1)).ack(Y.add(1)).len(20);
        let fin = step(Role::Client, FIN_ACK, X.add(27)).ack(Y.add(1));
        let rows = told(&ftp(), &[data.clone(), data, fin]);
        assert_eq!(
            rows,
            [None, None, words("6 B →, 1.00 s"), words("← 94 B, 1.00 s")]
        );
    }

    #[test]
    fn what_follows_a_half_close_is_told_after_it() {
        let connection = half_close();
        let rows = told(&connection, &connection.steps[3..]);
        assert_eq!(rows[2], words("≥ 1.0 MB →, 1.00 s"));
    }

    #[test]
    fn a_number_behind_or_not_to_be_trusted_tells_nothing() {
        let old = step(Role::Client, ACK, X.add(1)).ack(Y);
        let forged = step(Role::Server, RST, Y.add(1_000_000));
        let wrong = forged.clone().expected(Proof::ResetAcceptable, Y.add(1));
        let steps = [old, forged, wrong];
        assert_eq!(told(&ftp(), &steps)[..3], [None, None, None]);
    }

    #[test]
    fn three_gigabytes_are_more_and_not_less() {
        let fin = step(Role::Server, FIN_ACK, Y.add(3_000_000_001));
        assert_eq!(told(&ftp(), &[fin])[0], words("← 3.0 GB, 1.00 s"));
    }
}
