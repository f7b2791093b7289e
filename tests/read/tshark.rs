//! Every capture of the corpus: the same streams, completeness, numbers and times as tshark's.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use synfin_tests::cases;
use synfin_tests::corpus::{self, Row};
use synfin_tests::requirement::Requirement::{Corpus, Daemon, Tool};
use synfin_tests::streams::{self, Compared, OF_A_CORPUS, RULES};
use synfin_tests::suite::Case;

use crate::told;

/// tshark takes longer to start than to read one of these.
const AT_ONCE: usize = 4;

pub(crate) fn cases() -> Vec<Case> {
    cases![[Daemon, Corpus, Tool("tshark")];
        every_stream_of_the_corpus_is_told_as_tshark_sees_it,
    ]
}

/// A capture in which the two differ for a reason.
struct Exception {
    capture: &'static str,
    field: &'static str,
    reason: &'static str,
}

/// Where they differ. An entry that is not needed any more is a failure.
const EXCEPTIONS: [Exception; 9] = [
    Exception {
        capture: "zeek/vlan-collisions.pcap",
        field: "streams",
        reason: "tshark does not tell the same addresses and ports in two VLANs apart",
    },
    Exception {
        capture: "zeek/tunnels__gre-over-udp-4754.pcap",
        field: "streams",
        reason: "GRE in UDP is not looked into",
    },
    Exception {
        capture: "zeek/tunnels__gtp__gtp6_gtp_0x32.pcap",
        field: "streams",
        reason: "GTP is not looked into",
    },
    Exception {
        capture: "suricata-verify/defrag__bug-6887-defrag-eth-vlan-ipv4-tcp-syn__frag-eth-vlan-ip-tcp-syn.pcap",
        field: "streams",
        reason: "tshark puts fragments together; the first one here has no ports",
    },
    Exception {
        capture: "arkime/tcp-reassembly-synthetic.pcap",
        field: "streams",
        reason: "a SYN after the close opens another connection, whatever its number",
    },
    Exception {
        capture: "tcptrace/6syns.dmp",
        field: "completeness",
        reason: "a frame of 120 octets whose IP length is 1500 lies, and is not taken for data",
    },
    Exception {
        capture: "tcptrace/fast_reuse.dmp",
        field: "completeness",
        reason: "a frame of 128 octets whose IP length is 1500 lies, and is not taken for data",
    },
    Exception {
        capture: "esnet-curated/tcp__control__two_way_all_flags.pcap",
        field: "completeness",
        reason: "after a SYN-ACK of another number a SYN is none of the same connection",
    },
    Exception {
        capture: "esnet-curated/tcp__control__two_way_all_flags.pcap",
        field: "isns",
        reason: "after a SYN-ACK of another number a SYN is none of the same connection",
    },
];

/// What synfin does not read, and what it says then.
const UNREAD: [(&str, &str); 1] = [("tcptrace/single_byte_rexmit.dmp", "link type 10 (fddi)")];

fn every_stream_of_the_corpus_is_told_as_tshark_sees_it() -> Result<()> {
    let rows = corpus::rows()?;
    let compared = in_parallel(&rows, |row| {
        let unread = UNREAD.iter().find(|(name, _)| *name == row.name);
        let records = match (told(&row.file), unread) {
            (Err(error), Some((_, words))) if format!("{error:#}").contains(words) => {
                return Ok((row.name.clone(), Compared::default()));
            }
            (Ok(_), Some(_)) => bail!("it can be read now"),
            (records, _) => records?,
        };
        let compared = streams::compare(&records, &synfin_tests::tshark::streams(&row.file)?);
        Ok((row.name.clone(), compared))
    })?;
    let mut needed = [0; EXCEPTIONS.len()];
    let mut wrong = Vec::new();
    let mut sum = Compared::default();
    for (name, mut compared) in compared {
        for difference in std::mem::take(&mut compared.differences) {
            let known = EXCEPTIONS.iter().position(|exception| {
                exception.capture == name && exception.field == difference.field
            });
            match known.and_then(|place| needed.get_mut(place)) {
                Some(count) => *count += 1,
                None => wrong.push(format!("{name}: {difference}")),
            }
        }
        sum.add(compared);
    }
    eprintln!(
        "{} streams and {} legs are told alike",
        sum.streams, sum.legs
    );
    for (count, reason) in sum.rules.iter().zip(RULES.map(|rule| rule.reason)) {
        eprintln!("known error of tshark, {count} times: {reason}");
    }
    let unneeded = sum.rules.iter().zip(&RULES).take(OF_A_CORPUS);
    for (_, rule) in unneeded.filter(|(count, _)| **count == 0) {
        wrong.push(format!(
            "tshark has no such error any more: {}",
            rule.reason
        ));
    }
    for (
        count,
        Exception {
            capture,
            field,
            reason,
        },
    ) in needed.iter().zip(&EXCEPTIONS)
    {
        eprintln!("known difference, {count} times: {capture}, {field}: {reason}");
        if *count == 0 {
            wrong.push(format!(
                "{capture}: {field} does not differ any more ({reason})"
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} differences:\n{}", wrong.len(), wrong.join("\n"))
}

/// Does something with every capture, several at a time; in their order.
fn in_parallel<T: Send>(rows: &[Row], work: impl Fn(&Row) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        while let Some((place, row)) = {
            let place = next.fetch_add(1, Relaxed);
            rows.get(place).map(|row| (place, row))
        } {
            let result = work(row).with_context(|| row.name.clone())?;
            done.lock()
                .map_err(|_| anyhow!("a thread panicked"))?
                .push((place, result));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        let mut ends = threads.into_iter().map(|thread| thread.join());
        ends.try_for_each(|end| end.unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
    })?;
    let mut done = done
        .into_inner()
        .map_err(|_| anyhow!("a thread panicked"))?;
    done.sort_by_key(|(place, _)| *place);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
