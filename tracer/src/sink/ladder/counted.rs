//! What each side sent, where it was counted segment by segment.

use crate::sink::paint::{Clause, Tone};
use crate::timeline::{Account, Connection};
use crate::units::Octets;
use crate::units::counted;

/// A clause for each side; of what went wrong only what there was.
pub(super) fn accounts(connection: &Connection) -> Vec<Clause> {
    let Some(accounts) = &connection.accounts else {
        return Vec::new();
    };
    let mut clauses = vec![
        account("↑", &accounts.client),
        account("↓", &accounts.server),
    ];
    if !accounts.whole {
        clauses.push(Clause::new(Tone::Dim, "its beginning not counted"));
    }
    clauses
}

fn account(arrow: &str, account: &Account) -> Clause {
    let mut text = format!("{arrow} {}", counted(account.packets, "packet"));
    let mut tone = Tone::Dim;
    let mut say = |tone_of: Tone, what: String| {
        text.push_str(", ");
        text.push_str(&what);
        if tone_of == Tone::Odd {
            tone = Tone::Odd;
        }
    };
    if account.retransmissions > 0 {
        let octets = Octets(account.retransmitted_bytes);
        let count = counted(account.retransmissions, "retransmission");
        say(Tone::Odd, format!("{count} ({octets})"));
    }
    if account.out_of_order > 0 {
        say(Tone::Odd, format!("{} out of order", account.out_of_order));
    }
    if account.duplicates > 0 {
        say(Tone::Odd, counted(account.duplicates, "duplicate"));
    }
    if account.zero_windows > 0 {
        say(Tone::Odd, counted(account.zero_windows, "zero window"));
    }
    if account.probes > 0 {
        say(Tone::Dim, counted(account.probes, "probe"));
    }
    Clause::new(tone, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fixtures::{counted, ftp, text};

    #[test]
    fn only_what_there_was_is_told() {
        assert_eq!(
            text(&accounts(&counted())),
            "↑ 9 packets · ↓ 131 packets, 3 retransmissions (4.3 kB), 2 out of order, \
             1 duplicate, 1 zero window"
        );
        assert_eq!(text(&accounts(&ftp())), "");
    }

    #[test]
    fn a_count_that_began_late_says_so() {
        let mut connection = counted();
        let accounts = connection.accounts.as_mut().unwrap();
        accounts.whole = false;
        accounts.client = Account {
            packets: 1,
            probes: 2,
            ..Account::default()
        };
        accounts.server = Account::default();
        assert_eq!(
            text(&super::accounts(&connection)),
            "↑ 1 packet, 2 probes · ↓ 0 packets · its beginning not counted"
        );
    }
}
