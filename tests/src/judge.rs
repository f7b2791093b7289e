//! Holds what synfin told against what tshark read from the same interface at the same time.
//!
//! In: records, and tshark's streams. Out: every difference, by name.

use std::fmt::Debug;

use anyhow::{Result, bail};

use crate::capture::Captured;
use crate::conversation::Sender;
use crate::evidence;
use crate::record::{Connection, End};
use crate::tshark;
use crate::verdict::{Verdict, judge, significant};

/// Both clocks are the machine's own; a busy machine may keep one observer waiting before the other.
const CLOCK_TOLERANCE_NS: i128 = 2_000_000_000;

/// Ensures that the records tell the captured connections, all of them, no others, and rightly.
///
/// # Errors
/// Where tshark saw something else; every difference is named.
pub fn agree(records: &[Connection], captured: &Captured) -> Result<Vec<Verdict>> {
    let verdicts: Vec<Verdict> = tshark::streams(&captured.file)?.iter().map(judge).collect();
    let differences = differences(records, &verdicts);
    if differences.is_empty() {
        return Ok(verdicts);
    }
    evidence::note("tshark saw", &format!("{verdicts:#?}"));
    bail!(
        "{} differences from tshark:\n{}",
        differences.len(),
        differences.join("\n")
    )
}
/// All differences between what was told and what was seen.
#[must_use]
pub fn differences(records: &[Connection], verdicts: &[Verdict]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut untold: Vec<&Verdict> = verdicts.iter().collect();
    for record in records {
        let place = untold.iter().position(|verdict| {
            record.client.endpoint() == verdict.client
                && record.server.endpoint() == verdict.server
                && record.client.isn == verdict.isns[0]
        });
        match place {
            Some(place) => compare(record, untold.remove(place), &mut differences),
            None => {
                let isn = record.client.isn;
                differences.push(format!(
                    "{} (X = {isn:?}): told, not captured",
                    record.name()
                ));
            }
        }
    }
    differences.extend(untold.iter().map(|verdict| {
        let (client, server, isn) = (verdict.client, verdict.server, verdict.isns[0]);
        format!("{client} → {server} (X = {isn:?}): captured, not told")
    }));
    differences
}

fn compare(record: &Connection, verdict: &Verdict, differences: &mut Vec<String>) {
    let name = record.name();
    let mut check = |what: &str, told: &dyn Debug, seen: &dyn Debug| {
        let (told, seen) = (format!("{told:?}"), format!("{seen:?}"));
        if told != seen {
            differences.push(format!("{name}: {what} told {told}, captured {seen}"));
        }
    };
    let clock = (record.start.as_nanosecond() - verdict.start_ns).abs();
    check(
        "start within tolerance",
        &(clock < CLOCK_TOLERANCE_NS),
        &true,
    );
    check("vlans", &record.vlans, &verdict.vlans);
    check("server isn", &record.server.isn, &verdict.isns[1]);
    check("open.outcome", &record.open.outcome, &verdict.outcome);
    check(
        "open.syn_retries",
        &record.open.syn_retries,
        &verdict.syn_retries,
    );
    check(
        "open.synack_retries",
        &record.open.synack_retries,
        &verdict.synack_retries,
    );
    check("completeness", &record.completeness, &verdict.completeness);
    check("observation_gap", &record.observation_gap, &false);
    check("segments_omitted", &record.segments_omitted, &0);
    for ((side, end), seen) in record.ends().into_iter().zip(verdict.bytes) {
        if let (Some(seen), Some("fin")) = (seen, basis(end)) {
            check(&format!("{side} bytes"), &end.bytes, &Some(seen));
        }
        let by_fin = basis(end) == Some("fin");
        check(
            &format!("{side} bytes counted by its FIN"),
            &by_fin,
            &seen.is_some(),
        );
    }
    if let Some(close) = verdict.close {
        check("close.kind", &record.close.kind, &close);
        // Two FINs that crossed pass the two observers of one interface in either order.
        if close != "simultaneous" {
            let by = verdict.closed_by.map(Sender::name);
            check("close.by", &record.close.by.as_deref(), &by);
        }
    }
    let told = record.segments.iter().filter(|segment| {
        ["SYN", "FIN", "RST"]
            .iter()
            .any(|flag| segment.flags.split(',').any(|name| name == *flag))
    });
    let mut told: Vec<String> = told
        .map(|told| {
            significant(
                &told.from,
                &told.flags,
                told.seq,
                told.ack,
                told.len.unwrap_or(0),
            )
        })
        .collect();
    let mut seen = verdict.significant.clone();
    // Two processors may have seen two sides in either order.
    told.sort();
    seen.sort();
    for missing in minus(&seen, &told) {
        check("segment", &"nothing", &missing);
    }
    for extra in minus(&told, &seen) {
        check("segment", &extra, &"nothing");
    }
}

/// What is in the first list and not in the second, each as often as it is missing.
fn minus(all: &[String], known: &[String]) -> Vec<String> {
    let mut known = known.to_vec();
    let missing = all
        .iter()
        .filter(|one| match known.iter().position(|other| other == *one) {
            Some(place) => {
                known.remove(place);
                false
            }
            None => true,
        });
    missing.cloned().collect()
}

fn basis(end: &End) -> Option<&str> {
    end.bytes_basis.as_deref()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::conversation::Conversation;
    use crate::tshark::{Seen, Stream};

    /// What synfin has to tell of [`captured`].
    pub(crate) fn told() -> Value {
        let step = |from: &str, flags: &str, seq: u32, ack: Option<u32>| {
            json!({
                "t_ns": 0, "from": from, "flags": flags, "seq": seq, "ack": ack, "len": 0,
                "window": 64240, "check": null, "client_state": null, "server_state": null,
            })
        };
        let end = |addr: &str, port: u16, isn: u32, bytes: u64| {
            json!({
                "addr": addr, "port": port, "isn": isn, "bytes": bytes, "bytes_basis": "fin",
                "state": "CLOSED", "options": null,
            })
        };
        json!({
            "v": 1, "start": "2026-01-01T00:00:00.000000000Z", "interface": "near0", "seen_on": ["near0"], "vlans": [],
            "client": end("10.1.1.2", 40000, 1000, 26),
            "server": end("10.1.1.1", 80, 2000, 94),
            "open": {
                "outcome": "established", "kind": "three_way", "confidence": "observed",
                "rtt_ns": {"syn_to_synack": 1, "synack_to_ack": 1, "total": 2},
                "syn_retries": 0, "synack_retries": 0, "backoff_ns": [],
                "refused_after_ns": null, "fast_open": "none", "ack_via_data": false, "wrong_ack": null,
            },
            "close": {
                "kind": "four_way", "by": "server", "cause": null, "half_close_ns": 1,
                "last_ack": true,
            },
            "community_id": "", "originator": "client", "conn_state": "SF", "history": "ShADdfFa",
            "duration_ns": 10, "completeness": 31, "asymmetric": false, "observation_gap": false,
            "anomalies": {}, "diagnoses": [], "segments_omitted": 0,
            "segments": [
                step("client", "SYN", 1000, None),
                step("server", "SYN,ACK", 2000, Some(1001)),
                step("client", "ACK", 1001, Some(2001)),
                step("server", "FIN,ACK", 2095, Some(1027)),
                step("client", "FIN,ACK", 1027, Some(2096)),
            ],
        })
    }

    fn captured() -> Stream {
        let (client, server) = (([10, 1, 1, 2], 40000).into(), ([10, 1, 1, 1], 80).into());
        let talk = Conversation::between((client, 1000), (server, 2000))
            .open()
            .data(Sender::Client, 26)
            .data(Sender::Server, 94)
            .close(Sender::Server);
        // The first day of 2026.
        let start = 1_767_225_600_000_000_000;
        let seen = (1..)
            .zip(start..)
            .zip(talk.frames())
            .map(|((number, time_ns), (_, frame))| Seen {
                number,
                time_ns,
                source: frame.source,
                destination: frame.destination,
                seq: frame.seq,
                ack: frame.ack,
                flags: frame.flags.0,
                len: u32::try_from(frame.payload.len()).unwrap(),
                completeness: 31,
                window: frame.window,
                stamp: Default::default(),
                initial_rtt_ns: None,
                vlans: Vec::new(),
            });
        seen.collect()
    }

    fn found(told: &[Value], captured: &[Stream]) -> Vec<String> {
        let told = told
            .iter()
            .cloned()
            .map(|told| serde_json::from_value(told).unwrap());
        let verdicts: Vec<_> = captured.iter().map(judge).collect();
        differences(&told.collect::<Vec<_>>(), &verdicts)
    }

    #[test]
    fn what_was_captured_and_rightly_told_shows_no_difference() {
        assert_eq!(found(&[told()], &[captured()]), [""; 0]);
    }

    #[test]
    fn every_field_that_is_told_wrongly_is_a_difference_of_its_name() {
        let lies = [
            ("/start", json!("2026-01-01T01:00:00Z"), "start"),
            ("/vlans", json!([5]), "vlans"),
            ("/client/bytes", json!(27), "client bytes"),
            ("/server/bytes", json!(null), "server bytes"),
            (
                "/server/bytes_basis",
                json!("acknowledged"),
                "server bytes counted by its FIN",
            ),
            ("/server/isn", json!(2001), "server isn"),
            ("/open/outcome", json!("half_open"), "open.outcome"),
            ("/open/syn_retries", json!(1), "open.syn_retries"),
            ("/open/synack_retries", json!(1), "open.synack_retries"),
            ("/close/kind", json!("three_way"), "close.kind"),
            ("/close/by", json!("client"), "close.by"),
            ("/completeness", json!(15), "completeness"),
            ("/observation_gap", json!(true), "observation_gap"),
            ("/segments/3/seq", json!(2094), "segment"),
            ("/segments/3/flags", json!("FIN,PSH,ACK"), "segment"),
            ("/segments/1/ack", json!(1002), "segment"),
        ];
        for (place, lie, name) in lies {
            let mut told = told();
            *told.pointer_mut(place).unwrap() = lie;
            let found = found(&[told], &[captured()]);
            let named = |difference: &String| difference.contains(&format!(": {name} "));
            assert!(
                !found.is_empty() && found.iter().all(named),
                "{place}: {found:?}"
            );
        }
    }

    #[test]
    fn only_of_fins_that_crossed_may_either_be_told_first() {
        let mut crossed = captured();
        for fin in crossed.iter_mut().filter(|seen| seen.flags & 1 != 0) {
            fin.ack = if fin.seq == 1027 { 2095 } else { 1027 };
        }
        for by in ["client", "server"] {
            let mut told = told();
            told["close"]["kind"] = json!("simultaneous");
            told["close"]["by"] = json!(by);
            told["segments"][4]["ack"] = json!(2095);
            assert_eq!(found(&[told], std::slice::from_ref(&crossed)), [""; 0]);
        }
    }

    #[test]
    fn a_connection_that_only_one_of_them_saw_is_a_difference() {
        assert_eq!(found(&[], &[captured()]).len(), 1);
        assert_eq!(found(&[told()], &[]).len(), 1);
        assert_eq!(found(&[told(), told()], &[captured()]).len(), 1);
        let mut other = told();
        *other.pointer_mut("/client/isn").unwrap() = json!(7);
        assert_eq!(found(&[other], &[captured()]).len(), 2);
    }

    #[test]
    fn a_significant_segment_told_twice_or_not_at_all_is_a_difference() {
        let mut less = told();
        less.pointer_mut("/segments")
            .and_then(Value::as_array_mut)
            .unwrap()
            .pop();
        assert_eq!(found(&[less], &[captured()]).len(), 1);
        let mut more = told();
        let segments = more
            .pointer_mut("/segments")
            .and_then(Value::as_array_mut)
            .unwrap();
        segments.extend(segments.first().cloned());
        assert_eq!(found(&[more], &[captured()]).len(), 1);
    }
}
