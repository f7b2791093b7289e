//! Which records people want to see.
//!
//! In: a finished record. Out: whether it is shown. Absent on purpose: every judgement that the
//! record does not hold already; and what is not shown is still counted by the summary.

use clap::ValueEnum;

use crate::timeline::{Account, Anomaly, CloseKind, Connection, OpenOutcome};

/// A kind of record that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Only {
    /// Did not come to be: no_reply, refused, half_open, rejected or aborted
    Failed,
    /// The SYN was never answered
    #[value(alias = "no-reply", alias = "unanswered")]
    NoReply,
    /// The server answered the SYN with RST
    Refused,
    /// The SYN-ACK was never acknowledged
    #[value(alias = "half-open")]
    HalfOpen,
    /// The client answered a SYN-ACK of a wrong number with RST
    Rejected,
    /// The client answered a valid SYN-ACK with RST
    Aborted,
    /// Came to be
    Established,
    /// The opening was not over
    Pending,
    /// Was there before
    Unobserved,
    /// Ended by RST after it had opened
    Reset,
    /// One side never finished
    #[value(alias = "half-closed")]
    HalfClosed,
    /// The handshake took longer than --slow, or 100ms
    Slow,
    /// Something was sent again
    Retransmitted,
    /// A window was closed
    #[value(alias = "zero-window")]
    ZeroWindow,
    /// Something was odd
    Anomalous,
    /// One direction only was seen
    Asymmetric,
    /// No connection: a lone RST
    Backscatter,
    /// No connection: a lone segment with flags that no TCP sends
    Probe,
}

/// The kinds of records that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    only: Vec<Only>,
    slow_ns: u64,
}

impl Selection {
    /// Takes what is one of these, and everything where there are none; a handshake that takes
    /// longer than `slow_ns` is slow.
    #[must_use]
    pub const fn new(only: Vec<Only>, slow_ns: u64) -> Self {
        Self { only, slow_ns }
    }

    /// Whether it takes everything.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.only.is_empty()
    }

    /// Whether the record is shown.
    #[must_use]
    pub fn takes(&self, connection: &Connection) -> bool {
        let wanted = |&only: &Only| self.is(only, connection);
        self.is_everything() || self.only.iter().any(wanted)
    }

    fn is(&self, only: Only, connection: &Connection) -> bool {
        let outcome = connection.open.outcome;
        match only {
            Only::Failed => outcome.is_failure(),
            Only::NoReply => outcome == OpenOutcome::NoReply,
            Only::Refused => outcome == OpenOutcome::Refused,
            Only::HalfOpen => outcome == OpenOutcome::HalfOpen,
            Only::Rejected => outcome == OpenOutcome::Rejected,
            Only::Aborted => outcome == OpenOutcome::Aborted,
            Only::Established => outcome == OpenOutcome::Established,
            Only::Pending => outcome == OpenOutcome::Pending,
            Only::Unobserved => outcome == OpenOutcome::Unobserved,
            Only::Reset => connection.was_reset(),
            Only::HalfClosed => connection.close.kind == CloseKind::Half,
            Only::Slow => connection
                .open
                .rtt
                .total
                .is_some_and(|ns| ns > self.slow_ns),
            Only::Retransmitted => retransmitted(connection),
            Only::ZeroWindow => accounts(connection).any(|account| account.zero_windows > 0),
            Only::Anomalous => !connection.anomalies.is_empty(),
            Only::Asymmetric => connection.asymmetric,
            Only::Backscatter => outcome == OpenOutcome::Backscatter,
            Only::Probe => outcome == OpenOutcome::Probe,
        }
    }
}

fn retransmitted(connection: &Connection) -> bool {
    let again = [Anomaly::FinRetransmitted, Anomaly::SynAckRetransmitted];
    connection.open.syn_retries > 0
        || connection.open.synack_retries > 0
        || accounts(connection).any(|account| account.retransmissions > 0)
        || connection
            .anomalies
            .iter()
            .any(|(anomaly, _)| again.contains(anomaly))
}

fn accounts(connection: &Connection) -> impl Iterator<Item = Account> {
    let both = connection.accounts.map(|both| [both.client, both.server]);
    both.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures;
    use crate::timeline::Accounts;

    const SLOW_NS: u64 = 100_000_000;

    fn taken(only: &[Only]) -> Vec<&'static str> {
        let selection = Selection::new(only.to_vec(), SLOW_NS);
        let taken = fixtures::all().into_iter();
        let taken = taken.filter(|(_, connection)| selection.takes(connection));
        taken.map(|(name, _)| name).collect()
    }

    #[test]
    fn without_a_wish_everything_is_taken() {
        assert!(Selection::default().is_everything());
        assert_eq!(taken(&[]).len(), fixtures::all().len());
    }

    #[test]
    fn each_way_of_failing_has_its_name_and_all_have_one() {
        let each = [
            Only::NoReply,
            Only::Refused,
            Only::HalfOpen,
            Only::Rejected,
            Only::Aborted,
        ];
        assert_eq!(taken(&[Only::NoReply]), ["no_reply"]);
        assert_eq!(taken(&[Only::Refused]), ["refused", "xmas"]);
        assert_eq!(taken(&[Only::HalfOpen]), ["half_open"]);
        assert_eq!(taken(&[Only::Rejected]), ["rejected"]);
        assert_eq!(taken(&[Only::Aborted]), ["aborted"]);
        assert_eq!(taken(&each), taken(&[Only::Failed]));
    }

    #[test]
    fn a_refusal_is_no_reset() {
        let taken = taken(&[Only::Reset]);
        assert!(taken.contains(&"reset_in_data"), "{taken:?}");
        let refused = ["refused", "rejected", "aborted"];
        assert!(!refused.iter().any(|name| taken.contains(name)));
    }

    #[test]
    fn what_lasts_as_long_as_the_limit_is_not_slow() {
        let mut connection = fixtures::ftp();
        let slow = Selection::new(vec![Only::Slow], SLOW_NS);
        for (ns, taken) in [
            (Some(SLOW_NS), false),
            (Some(SLOW_NS + 1), true),
            (None, false),
        ] {
            connection.open.rtt.total = ns;
            assert_eq!(slow.takes(&connection), taken, "{ns:?}");
        }
    }

    #[test]
    fn what_was_sent_again_is_known_from_the_opening_the_anomalies_or_the_accounts() {
        let again = ["fin_again", "no_reply", "half_open"];
        let taken = taken(&[Only::Retransmitted]);
        assert!(again.iter().all(|name| taken.contains(name)), "{taken:?}");
        let mut connection = fixtures::ftp();
        let only = Selection::new(vec![Only::Retransmitted], 0);
        assert!(!only.takes(&connection));
        let mut accounts = Accounts::default();
        accounts.server.retransmissions = 1;
        connection.accounts = Some(accounts);
        assert!(only.takes(&connection));
        let only = Selection::new(vec![Only::ZeroWindow], 0);
        assert!(!only.takes(&connection));
    }

    #[test]
    fn a_record_passes_where_any_wish_fits() {
        let taken = taken(&[Only::Asymmetric, Only::Pending]);
        assert_eq!(taken, ["pending", "lone_fin", "backscatter", "probe"]);
        let lone = self::taken(&[Only::Backscatter, Only::Probe]);
        assert_eq!(lone, ["backscatter", "probe"]);
    }
}
