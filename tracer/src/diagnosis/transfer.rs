//! Rules on what went on between opening and closing, as far as it was counted.

use super::Rule;
use crate::timeline::{Account, Connection, Negotiable, OpenOutcome, Role};
use crate::units::counted;

/// Fewer segments than this prove no loss worth telling.
const FEW: u64 = 3;
/// Nor does a smaller share of them than a hundredth.
const SHARE: u64 = 100;
/// What a window without scaling holds (RFC 7323 §1.1).
const UNSCALED_WINDOW: u64 = 65_535;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "segments_lost",
        headline: "Segments were sent again.",
        when: "three segments and more, and a hundredth and more of a side's, carried data that had been seen \
               before (needs counts: --account, or a capture)",
        causes: &[
            "loss between here and the receiver, or of its ACKs",
            "a retransmission timeout shorter than a delay",
        ],
        look: &[
            "drops of the interfaces on the way (ip -s link, ethtool -S)",
            "trace nearer to the receiver",
        ],
        by_absence: false,
        find: segments_lost,
    },
    Rule {
        code: "segments_late",
        headline: "Segments came out of order.",
        when: "three segments and more, and a hundredth and more of a side's, filled a hole that a later one had left \
               (needs counts: --account, or a capture)",
        causes: &[
            "loss between the sender and here, mended by a retransmission",
            "several ways of different length",
        ],
        look: &["trace nearer to the sender"],
        by_absence: false,
        find: segments_late,
    },
    Rule {
        code: "window_closed",
        headline: "A receiver closed its window.",
        when: "a window of zero was announced (needs counts: --account, or a capture)",
        causes: &[
            "the receiver's program reads more slowly than the other one sends",
            "its receive buffer is small",
        ],
        look: &[
            "ss -tnm on the receiver: Recv-Q is what waits to be read",
            "what the program does meanwhile",
        ],
        by_absence: false,
        find: window_closed,
    },
    Rule {
        code: "no_window_scaling",
        headline: "Window scaling was offered, and is not in effect.",
        when: "the SYN has the option, the SYN-ACK has not, and more than 65,535 octets went one way",
        causes: &[
            "a device on the way takes the option out",
            "the server has it off (net.ipv4.tcp_window_scaling)",
        ],
        look: &["trace on the server: whether its SYN has the option there"],
        by_absence: false,
        find: no_window_scaling,
    },
];

/// What each side sent, and who it is.
fn sides(connection: &Connection) -> Option<[(Role, &Account); 2]> {
    let accounts = connection.accounts.as_ref()?;
    Some([
        (Role::Client, &accounts.client),
        (Role::Server, &accounts.server),
    ])
}

const fn is_much(count: u64, of: u64) -> bool {
    count >= FEW && count.saturating_mul(SHARE) >= of
}

/// Tenths of a percent, written.
fn percent(count: u64, of: u64) -> String {
    let tenths = count.saturating_mul(1_000) / of.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// The sides of which this is much, each in a clause.
fn shares(connection: &Connection, count: fn(&Account) -> u64, what: &str) -> Option<String> {
    let clauses: Vec<_> = sides(connection)?
        .into_iter()
        .filter(|(_, account)| is_much(count(account), account.packets))
        .map(|(role, account)| {
            let (count, all) = (count(account), account.packets);
            format!(
                "{count} of the {}'s {all} segments {what} ({})",
                role.name(),
                percent(count, all)
            )
        })
        .collect();
    (!clauses.is_empty()).then(|| clauses.join(", "))
}

fn segments_lost(connection: &Connection) -> Option<String> {
    let shares = shares(
        connection,
        |account| account.retransmissions,
        "were sent again",
    )?;
    Some(format!("{shares}: lost beyond here, or their ACKs were"))
}

fn segments_late(connection: &Connection) -> Option<String> {
    let shares = shares(connection, |account| account.out_of_order, "came late")?;
    Some(format!("{shares}: lost before here, or overtaken"))
}

fn window_closed(connection: &Connection) -> Option<String> {
    let clauses: Vec<_> = sides(connection)?
        .into_iter()
        .filter(|(_, account)| account.zero_windows > 0)
        .map(|(role, account)| {
            let times = counted(account.zero_windows, "time");
            format!("{} closed its receive window {times}", role.name())
        })
        .collect();
    (!clauses.is_empty()).then(|| format!("{}: its program reads too slowly", clauses.join(", ")))
}

fn no_window_scaling(connection: &Connection) -> Option<String> {
    let both = connection.negotiated()?;
    let carried = [&connection.client, &connection.server]
        .map(|end| end.bytes.map_or(0, |bytes| bytes.count));
    let matters = connection.open.outcome == OpenOutcome::Established
        && carried.iter().any(|&octets| octets > UNSCALED_WINDOW);
    let missing = both
        .not_echoed()
        .any(|option| option == Negotiable::WindowScale);
    (matters && missing).then(|| {
        "window scaling was offered and not echoed: at most 64 KiB are on the way at a time"
            .to_owned()
    })
}
