//! Two accounts of the same traffic: what synfin told as it went by, and what it told from a capture.
//!
//! In: the records of both. Out: every difference, by name. What depends on the observer's clock is
//! not compared, nor what an observer that does not count segments cannot know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;

use crate::record::{Connection, Segment};

/// Letters of a history that need every segment with data (README, "Limits").
const LETTERS_OF_COUNTING: &str = "TWG";
/// Flags of the segments that everybody keeps.
const OPENS_OR_CLOSES: [&str; 3] = ["SYN", "FIN", "RST"];
/// What is odd about segments that only someone who counts looks at.
const ANOMALIES_OF_COUNTING: [&str; 2] = ["duplicate", "late_segment"];

/// Whether the one who watched live looked at every segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// At those that open and close.
    Lifecycles,
    /// At all of them (`--account`).
    Accounts,
}

/// What is told of a connection, by the names of its fields.
type Told = BTreeMap<String, String>;

/// All differences between the two.
#[must_use]
pub fn differences(live: &[Connection], read: &[Connection], how: Live) -> Vec<String> {
    let mut differences = Vec::new();
    let mut untold: Vec<&Connection> = read.iter().collect();
    for record in live {
        let place = (untold.iter()).position(|other| identity(record) == identity(other));
        let Some(place) = place else {
            differences.push(format!("{}: told live alone", named(record)));
            continue;
        };
        let other = untold.remove(place);
        let (mut live, mut read) = (told(record, how), told(other, how));
        for field in bounded(record, other, how) {
            live.remove(&field);
            read.remove(&field);
        }
        differences.extend(apart(&live, &read).map(|difference| {
            let name = named(record);
            format!("{name}: {difference}")
        }));
    }
    let untold = untold.into_iter();
    differences.extend(untold.map(|record| format!("{}: read alone", named(record))));
    differences
}

/// The fields that one of them has otherwise than the other, or that one alone has.
fn apart<'a>(live: &'a Told, read: &'a Told) -> impl Iterator<Item = String> {
    let fields = live.keys().chain(read.keys()).collect::<BTreeSet<_>>();
    fields.into_iter().filter_map(move |field| {
        let of = |told: &'a Told| told.get(field).map_or("not told", String::as_str);
        let (live, read) = (of(live), of(read));
        (live != read).then(|| format!("{field} is {live} live, {read} in the capture"))
    })
}

/// The counts of octets that may be smaller live. What the peer acknowledged is a lower bound: where
/// nobody closed, who does not look at every segment has not seen the last ACK.
fn bounded(live: &Connection, read: &Connection, how: Live) -> Vec<String> {
    if how != Live::Lifecycles || live.close.kind != "none" {
        return Vec::new();
    }
    let sides = live.ends().into_iter().zip(read.ends());
    let bounded = sides.filter(|((_, live), (_, read))| {
        let basis = [&live.bytes_basis, &read.bytes_basis];
        let both = basis.map(|basis| basis.as_deref() == Some("acknowledged"));
        both == [true; 2] && live.bytes <= read.bytes
    });
    bounded
        .map(|((side, _), _)| format!("{side} bytes"))
        .collect()
}

fn identity(record: &Connection) -> (SocketAddr, SocketAddr, Option<u32>) {
    let isn = record.client.isn;
    (record.client.endpoint(), record.server.endpoint(), isn)
}

fn named(record: &Connection) -> String {
    format!("{} (X = {:?})", record.name(), record.client.isn)
}

fn told(record: &Connection, how: Live) -> Told {
    let mut told = Told::new();
    let mut tell = |field: &str, value: &dyn Debug| {
        told.insert(field.to_owned(), format!("{value:?}"));
    };
    tell("vlans", &record.vlans);
    tell("tunnel", &record.tunnel);
    tell("community_id", &record.community_id);
    tell("previous", &record.previous);
    for (side, end) in record.ends() {
        tell(&format!("{side} isn"), &end.isn);
        tell(&format!("{side} bytes"), &end.bytes);
        tell(&format!("{side} bytes_basis"), &end.bytes_basis);
        tell(&format!("{side} options"), &end.options);
        tell(&format!("{side} state"), &end.state);
        if how == Live::Accounts {
            tell(&format!("{side} bytes_modulo"), &end.bytes_modulo);
            tell(&format!("{side} account"), &end.account);
        }
    }
    tell("options", &record.options);
    let open = &record.open;
    tell("open.outcome", &open.outcome);
    tell("open.kind", &open.kind);
    tell("open.confidence", &open.confidence);
    tell("open.syn_retries", &open.syn_retries);
    tell("open.synack_retries", &open.synack_retries);
    tell("open.backoff_ns, how many", &open.backoff_ns.len());
    tell("open.backoff_doubles", &open.backoff_doubles);
    tell("open.fast_open", &open.fast_open);
    tell("open.ack_via_data", &open.ack_via_data);
    tell("open.wrong_ack", &open.wrong_ack);
    let (rtt, refused) = (&open.rtt_ns, open.refused_after_ns);
    let legs = [rtt.syn_to_synack, rtt.synack_to_ack, rtt.total, refused];
    tell("open, times that are known", &legs.map(|leg| leg.is_some()));
    let close = &record.close;
    tell("close.kind", &close.kind);
    // Who is told as the first of two FINs that crossed depends on where one looks.
    let crossed = close.kind == "simultaneous";
    tell("close.by", &close.by.as_ref().filter(|_| !crossed));
    tell("close.cause", &close.cause);
    tell("close.text", &close.text);
    tell("close.last_ack", &close.last_ack);
    let half_close = close.half_close_ns.is_some();
    tell("close.half_close_ns is known", &half_close);
    tell("originator", &record.originator);
    tell("conn_state", &record.conn_state);
    tell("completeness", &record.completeness);
    tell("asymmetric", &record.asymmetric);
    tell("observation_gap", &record.observation_gap);
    tell("segments_omitted", &record.segments_omitted);
    match how {
        Live::Lifecycles => {
            tell("history, letters", &letters(&record.history));
            tell("anomalies", &uncounted(&record.anomalies));
            let opens_or_closes = |segment: &&Segment| {
                OPENS_OR_CLOSES
                    .iter()
                    .any(|flag| segment.flags.contains(flag))
            };
            tell(
                "segments",
                &kept(record.segments.iter().filter(opens_or_closes)),
            );
        }
        Live::Accounts => {
            if crossed {
                tell("history, letters", &sorted(record.history.chars()));
            } else {
                tell("history", &record.history);
            }
            tell("anomalies", &record.anomalies);
            tell("accounts_whole", &record.accounts_whole);
            tell("close.proof", &close.proof);
            tell("close.gap_bytes", &close.gap_bytes);
            tell("segments", &kept(record.segments.iter()));
        }
    }
    told
}

/// The letters that need no counting, in no order.
fn letters(history: &str) -> String {
    let needs_none = |letter: &char| !LETTERS_OF_COUNTING.contains(letter.to_ascii_uppercase());
    sorted(history.chars().filter(needs_none))
}

fn sorted(letters: impl Iterator<Item = char>) -> String {
    let mut letters: Vec<char> = letters.collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

fn uncounted(anomalies: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    let anomalies = anomalies
        .iter()
        .map(|(name, count)| (name.as_str(), *count));
    anomalies
        .filter(|(name, _)| !ANOMALIES_OF_COUNTING.contains(name))
        .collect()
}

/// Segments without their times, in no order: what two CPUs saw at once has none.
fn kept<'a>(segments: impl Iterator<Item = &'a Segment>) -> Vec<String> {
    let shown = segments.map(|segment| {
        let Segment {
            from,
            flags,
            seq,
            ack,
            len,
            check,
            ..
        } = segment;
        format!("{from} {flags} seq {seq} ack {ack:?} len {len:?} {check:?}")
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort_unstable();
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::judge::tests::told;

    fn found(live: &[Value], read: &[Value], how: Live) -> Vec<String> {
        let parsed = |records: &[Value]| {
            let records = records.iter().cloned();
            let records = records.map(|record| serde_json::from_value(record).unwrap());
            records.collect::<Vec<_>>()
        };
        differences(&parsed(live), &parsed(read), how)
    }

    fn but(place: &str, value: Value) -> Value {
        let mut told = told();
        *told.pointer_mut(place).unwrap() = value;
        told
    }

    #[test]
    fn what_is_told_alike_shows_no_difference() {
        for how in [Live::Lifecycles, Live::Accounts] {
            assert_eq!(found(&[told()], &[told()], how), [""; 0]);
            let later = but("/segments/1/t_ns", json!(7));
            assert_eq!(found(&[later], &[told()], how), [""; 0]);
        }
    }

    #[test]
    fn every_field_that_is_told_otherwise_is_a_difference_of_its_name() {
        let places = [
            ("/client/bytes", json!(27), "client bytes"),
            ("/server/bytes_basis", json!("reset"), "server bytes_basis"),
            ("/server/isn", json!(2001), "server isn"),
            ("/server/state", json!("TIME-WAIT"), "server state"),
            ("/open/outcome", json!("half_open"), "open.outcome"),
            ("/open/syn_retries", json!(1), "open.syn_retries"),
            ("/open/backoff_ns", json!([1]), "open.backoff_ns, how many"),
            ("/close/kind", json!("three_way"), "close.kind"),
            ("/close/by", json!("client"), "close.by"),
            ("/close/last_ack", json!(false), "close.last_ack"),
            ("/conn_state", json!("S1"), "conn_state"),
            ("/completeness", json!(15), "completeness"),
            ("/asymmetric", json!(true), "asymmetric"),
            ("/segments/3/seq", json!(2094), "segments"),
            (
                "/segments/1/check",
                json!({"proof": "syn", "ok": false, "expected": 1}),
                "segments",
            ),
            ("/segments/4/flags", json!("FIN,PSH,ACK"), "segments"),
            ("/anomalies", json!({"rst_after_close": 1}), "anomalies"),
        ];
        for (place, value, name) in places {
            for how in [Live::Lifecycles, Live::Accounts] {
                let found = found(&[told()], &[but(place, value.clone())], how);
                let [one] = found.as_slice() else {
                    panic!("{place}: {found:?}");
                };
                assert!(one.contains(&format!("): {name} is ")), "{place}: {one}");
            }
        }
    }

    #[test]
    fn what_needs_counting_is_compared_where_it_was_done() {
        let counted = [
            ("/history", json!("ShADTdfFa")),
            ("/segments/2/seq", json!(7)),
            ("/anomalies", json!({"duplicate": 1})),
        ];
        for (place, value) in counted {
            let other = [but(place, value)];
            let none = found(&[told()], &other, Live::Lifecycles);
            assert_eq!(none, [""; 0], "{place}");
            assert_eq!(found(&[told()], &other, Live::Accounts).len(), 1, "{place}");
        }
        let other = [but("/history", json!("ShADdfF"))];
        assert_eq!(found(&[told()], &other, Live::Lifecycles).len(), 1);
    }

    #[test]
    fn what_was_acknowledged_is_a_lower_bound_where_nobody_counts() {
        let bytes = |bytes: u64, close: &str| {
            let mut told = but("/server/bytes_basis", json!("acknowledged"));
            told["server"]["bytes"] = json!(bytes);
            told["close"]["kind"] = json!(close);
            [told]
        };
        let (less, more) = (bytes(0, "none"), bytes(94, "none"));
        assert_eq!(found(&less, &more, Live::Lifecycles), [""; 0]);
        assert_eq!(found(&more, &less, Live::Lifecycles).len(), 1);
        assert_eq!(found(&less, &more, Live::Accounts).len(), 1);
        // A reset acknowledges what had come.
        let (less, more) = (bytes(0, "reset"), bytes(94, "reset"));
        assert_eq!(found(&less, &more, Live::Lifecycles).len(), 1);
    }

    #[test]
    fn of_fins_that_crossed_either_may_be_told_first() {
        let crossed = |by: &str, history: &str| {
            let mut told = but("/close/kind", json!("simultaneous"));
            told["close"]["by"] = json!(by);
            told["history"] = json!(history);
            [told]
        };
        let (live, read) = (crossed("client", "ShADdFfa"), crossed("server", "ShADdfFa"));
        for how in [Live::Lifecycles, Live::Accounts] {
            assert_eq!(found(&live, &read, how), [""; 0]);
        }
    }

    #[test]
    fn a_connection_that_one_of_them_alone_tells_is_a_difference() {
        for how in [Live::Lifecycles, Live::Accounts] {
            assert_eq!(found(&[told()], &[], how).len(), 1);
            assert_eq!(found(&[], &[told()], how).len(), 1);
            let other = but("/client/isn", json!(7));
            assert_eq!(found(&[told()], &[other], how).len(), 2);
        }
    }
}
