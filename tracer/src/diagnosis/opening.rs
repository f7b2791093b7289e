//! Rules on openings: those that failed, and those that took their time.

use super::Rule;
use super::evidence::{count, reset_ns, syn_ack_ns, syn_after, syns_until};
use crate::timeline::{Anomaly, Connection, FastOpen, OpenOutcome, Role};
use crate::units::{Lasting, counted};

/// A leg of the handshake that takes longer is slow: across the Earth and back by fibre is 0.3 s.
const SLOW_LEG_NS: u64 = 500_000_000;
/// A client that resets after it waited so long for the SYN-ACK has given up: Linux sends its second SYN
/// by then (RFC 6298 §2.1).
const IMPATIENCE_NS: u64 = 1_000_000_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "no_answer",
        headline: "Nothing answered the client's SYNs.",
        when: "SYNs were seen, and until the handshake timeout neither a SYN-ACK nor a RST",
        causes: &[
            "a firewall or a cloud's security group drops the SYNs, or the answers",
            "the host is down, or its address is nobody's",
            "a wrong route, on the way there or back",
            "the server's accept queue is full: Linux drops SYNs then",
        ],
        look: &[
            "trace on the server: if the SYNs arrive there, it is the server or the way back",
            "ip neighbour on the last router or host: FAILED means that nobody has the address",
            "nft list ruleset (its counters), and nstat -az TcpExtListenOverflows on the server",
        ],
        by_absence: true,
        find: no_answer,
    },
    Rule {
        code: "refused",
        headline: "The server's host answered the SYN with a RST.",
        when: "a RST whose ACK covers the SYN, and no SYN-ACK",
        causes: &[
            "nothing listens on the port, or only on another address",
            "a firewall rejects (REJECT with tcp-reset); it answers more quickly than the host could, or \
             with another TTL",
        ],
        look: &["ss -ltn 'sport = :PORT' on the server", "nft list ruleset"],
        by_absence: false,
        find: refused,
    },
    Rule {
        code: "wrong_synack",
        headline: "A SYN-ACK acknowledged another SYN than the client's.",
        when: "SEG.ACK of a SYN-ACK is not ISS+1; a client answers that with a RST",
        causes: &[
            "the server, or a device before it, still knows an earlier connection of these ports",
            "a proxy or load balancer mixes connections up",
            "somebody forges answers",
        ],
        look: &["trace on both ends and hold the numbers of the SYN-ACK against each other"],
        by_absence: false,
        find: wrong_synack,
    },
    Rule {
        code: "gave_up",
        headline: "The client reset when the SYN-ACK came: it had given up waiting.",
        when: "a RST of the client for a valid SYN-ACK that came a second and more after its first SYN",
        causes: &["the timeout of the client's program is shorter than its system's retries"],
        look: &["why the SYN-ACK was late: see syn_lost, synack_lost and slow_answer"],
        by_absence: false,
        find: gave_up,
    },
    Rule {
        code: "reset_by_client",
        headline: "The client answered a valid SYN-ACK with a RST.",
        when: "a RST of the client for a SYN-ACK with the right number, at once",
        causes: &[
            "a port scan that opens by halves (nmap -sS)",
            "a client's firewall that does not know the connection: asymmetric routing",
            "the client's address is forged, and its owner knows nothing of a SYN",
        ],
        look: &[
            "whether the same client asks for many ports: synfin trace --host CLIENT --summary",
        ],
        by_absence: false,
        find: reset_by_client,
    },
    Rule {
        code: "no_ack",
        headline: "The SYN-ACK was never acknowledged.",
        when: "a SYN-ACK was seen, and until the handshake timeout nothing of the client that acknowledges it",
        causes: &[
            "the client's address is forged: a SYN flood",
            "the way back to the client drops: routing, firewall, NAT that forgot",
            "the client is gone",
        ],
        look: &[
            "trace on the client: if the SYN-ACK arrives there, it is the client or the way there",
            "whether the clients are many and come once each: a flood",
        ],
        by_absence: true,
        find: no_ack,
    },
    Rule {
        code: "synack_repeated",
        headline: "The server goes on repeating its SYN-ACK after the client's ACK.",
        when: "the SYN-ACK came again after an ACK of IRS+1",
        causes: &[
            "the server's accept queue is full: Linux ignores the ACK then, and asks for it again",
            "the ACK is lost between here and the server",
            "TCP_DEFER_ACCEPT: the server waits for data before it counts the connection",
        ],
        look: &[
            "ss -ltn on the server: Recv-Q at Send-Q means that the queue is full",
            "nstat -az TcpExtListenOverflows TcpExtTCPReqQFullDrop on the server",
        ],
        by_absence: false,
        find: synack_repeated,
    },
    Rule {
        code: "synack_lost",
        headline: "The client sent its SYN again although the SYN-ACK was there.",
        when: "a SYN came again after the SYN-ACK had been seen",
        causes: &["the SYN-ACK was lost between here and the client"],
        look: &[
            "trace on the client",
            "drops of the interfaces between (ip -s link, ethtool -S)",
        ],
        by_absence: false,
        find: synack_lost,
    },
    Rule {
        code: "syn_lost",
        headline: "The handshake took long because a SYN was lost and had to be sent again.",
        when: "more than one SYN, the SYN-ACK after the last one",
        causes: &[
            "the SYN, or the answer to it, was lost between here and the server",
            "the server dropped it: a full accept queue, SYN rate limits",
        ],
        look: &[
            "nstat -az TcpExtListenOverflows TcpExtListenDrops on the server",
            "trace on the server: whether the first SYN arrives",
        ],
        by_absence: true,
        find: syn_lost,
    },
    Rule {
        code: "slow_answer",
        headline: "The server took long to answer the SYN.",
        when: "half a second and more between the SYN and its SYN-ACK, neither of them repeated",
        causes: &[
            "a long way: satellite, mobile radio, a queue that is full (bufferbloat)",
            "a busy host, or one that sleeps",
            "a proxy that answers only when its own connection is there",
        ],
        look: &[
            "ping, to tell the way from the host",
            "synfin trace --summary: p50 and p99 by server",
        ],
        by_absence: false,
        find: slow_answer,
    },
    Rule {
        code: "slow_ack",
        headline: "The client took long to acknowledge the SYN-ACK.",
        when: "half a second and more between the SYN-ACK and its ACK, neither of them repeated",
        causes: &[
            "a long way to the client: satellite, mobile radio, a full queue",
            "a busy client",
        ],
        look: &["ping the client from here"],
        by_absence: false,
        find: slow_ack,
    },
    Rule {
        code: "client_restarted",
        headline: "A new SYN came inside the open connection.",
        when: "a SYN with another number while the connection was open; a server answers with a challenge ACK \
               (RFC 5961 §4)",
        causes: &[
            "the client's host or NAT lost its state, and took the same port again",
            "somebody tries to break the connection with forged SYNs",
        ],
        look: &["the next connection of these ports: established means that it recovered"],
        by_absence: false,
        find: client_restarted,
    },
    Rule {
        code: "fast_open_ignored",
        headline: "The data on the SYN was not taken.",
        when: "a SYN with a Fast Open cookie and data, which the SYN-ACK does not acknowledge",
        causes: &[
            "the server has Fast Open off, or does not know the cookie any more",
            "a device on the way takes the option or the data out",
        ],
        look: &["sysctl net.ipv4.tcp_fastopen on the server (2 is for servers)"],
        by_absence: false,
        find: fast_open_ignored,
    },
    Rule {
        code: "backscatter",
        headline: "A RST that answers nothing which was seen here.",
        when: "a lone RST, of no connection that is known",
        causes: &[
            "somebody forges this host's address elsewhere, and the answers come here",
            "one end still has a connection that the other one has forgotten",
        ],
        look: &["whether it comes from many hosts (forged) or from one (forgotten)"],
        by_absence: true,
        find: backscatter,
    },
    Rule {
        code: "probe",
        headline: "A segment with flags that no TCP sends.",
        when: "a lone segment without flags, or with FIN, PSH and URG, or with SYN and FIN, and the like",
        causes: &["a port scan (nmap -sN, -sF, -sX), or one that guesses the operating system"],
        look: &["whether the same source asks for many ports"],
        by_absence: false,
        find: probe,
    },
];

fn outcome_is(connection: &Connection, outcome: OpenOutcome) -> Option<()> {
    (connection.open.outcome == outcome).then_some(())
}

/// A count of retries and the first one.
fn sent(retries: u32) -> u64 {
    u64::from(retries) + 1
}

fn no_answer(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::NoReply)?;
    let lasted = Lasting(connection.duration_ns);
    Some(match connection.open.syn_retries {
        0 => "no answer to the only SYN: dropped on the way, or the probe of a scan".to_owned(),
        retries => format!(
            "no answer to {} over {lasted}: dropped on the way or host down",
            counted(sent(retries), "SYN")
        ),
    })
}

fn refused(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::Refused)?;
    let port = connection.server.port;
    let after = connection.open.refused_after_ns;
    let after = after.map_or_else(String::new, |ns| format!(" after {}", Lasting(ns)));
    let syns = match connection.open.syn_retries {
        0 => String::new(),
        retries => format!(", at the {} SYN", ordinal(sent(retries))),
    };
    Some(format!(
        "refused{after}{syns}: nothing listens on port {port}, or a firewall rejects"
    ))
}

fn ordinal(number: u64) -> String {
    match number {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        number => format!("{number}th"),
    }
}

fn wrong_synack(connection: &Connection) -> Option<String> {
    let wrong = connection.open.wrong_ack?;
    let numbers = format!("ACK {}, expected {}", wrong.seen.0, wrong.expected.0);
    Some(match connection.open.outcome {
        OpenOutcome::Rejected => {
            format!("client rejected the SYN-ACK: {numbers}: stale or spoofed peer")
        }
        _ => format!("a SYN-ACK was none for this SYN: {numbers}: stale or spoofed peer"),
    })
}

/// How long the client waited for the SYN-ACK, and how long after it the RST came.
fn aborted(connection: &Connection) -> Option<(u64, u64)> {
    outcome_is(connection, OpenOutcome::Aborted)?;
    let answered = syn_ack_ns(connection)?;
    let reset = reset_ns(connection, Role::Client)?;
    Some((answered, reset.saturating_sub(answered)))
}

fn gave_up(connection: &Connection) -> Option<String> {
    let (waited, _) = aborted(connection).filter(|(waited, _)| *waited >= IMPATIENCE_NS)?;
    let waited = Lasting(waited);
    Some(format!(
        "client reset when the SYN-ACK came, {waited} after its first SYN: it had given up waiting"
    ))
}

fn reset_by_client(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::Aborted)?;
    let after = match aborted(connection) {
        Some((waited, _)) if waited >= IMPATIENCE_NS => return None,
        Some((_, after)) => format!(" after {}", Lasting(after)),
        None => String::new(),
    };
    Some(format!(
        "client answered a valid SYN-ACK with RST{after}: a port scan, or it knows nothing of the SYN"
    ))
}

fn no_ack(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::HalfOpen)?;
    let synacks = match connection.open.synack_retries {
        0 => "the SYN-ACK".to_owned(),
        retries => {
            let lasted = Lasting(connection.duration_ns);
            format!("{} over {lasted}", counted(sent(retries), "SYN-ACK"))
        }
    };
    Some(format!(
        "no ACK for {synacks}: client gone or forged, or the way back to it drops"
    ))
}

fn synack_repeated(connection: &Connection) -> Option<String> {
    let times = count(connection, Anomaly::SynAckRetransmitted)?;
    Some(format!(
        "server repeats its SYN-ACK after the client's ACK ({}): its accept queue is full or the ACK is lost",
        counted(u64::from(times), "time")
    ))
}

fn synack_lost(connection: &Connection) -> Option<String> {
    let answered = syn_ack_ns(connection)?;
    let again = syn_after(connection, answered)?;
    Some(format!(
        "client sent its SYN again {} after the SYN-ACK was here: that was lost on its way to the client",
        Lasting(again.saturating_sub(answered))
    ))
}

fn syn_lost(connection: &Connection) -> Option<String> {
    let answered = syn_ack_ns(connection)?;
    let (last, lost) = syns_until(connection, answered)?;
    let lost = match lost {
        0 => return None,
        1 => "the first SYN was lost".to_owned(),
        lost => format!("the first {lost} SYNs were lost"),
    };
    let took = match connection.open.rtt.total {
        Some(total) => format!("handshake took {}", Lasting(total)),
        None => format!("the SYN-ACK came after {}", Lasting(answered)),
    };
    let retry = Lasting(answered.saturating_sub(last));
    Some(format!("{took}: {lost}, the retry answered in {retry}"))
}

fn slow_answer(connection: &Connection) -> Option<String> {
    let leg = connection.open.rtt.syn_to_synack;
    let leg = Lasting(leg.filter(|&ns| ns >= SLOW_LEG_NS)?);
    Some(format!(
        "SYN-ACK came {leg} after the SYN: a long way to the server, or it is busy"
    ))
}

fn slow_ack(connection: &Connection) -> Option<String> {
    let leg = connection.open.rtt.synack_to_ack;
    let leg = Lasting(leg.filter(|&ns| ns >= SLOW_LEG_NS)?);
    Some(format!(
        "ACK came {leg} after the SYN-ACK: a long way to the client, or it is busy"
    ))
}

fn client_restarted(connection: &Connection) -> Option<String> {
    count(connection, Anomaly::SynInOpenConnection)?;
    let challenged = count(connection, Anomaly::ChallengeAck).is_some();
    let challenged = if challenged {
        ", and was challenged"
    } else {
        ""
    };
    Some(format!(
        "a new SYN came inside the open connection{challenged}: client or NAT lost its state and took the port again"
    ))
}

fn fast_open_ignored(connection: &Connection) -> Option<String> {
    (connection.open.fast_open == FastOpen::Ignored
        && connection.open.outcome == OpenOutcome::Established)
        .then(|| {
            "data on the SYN was not acknowledged: Fast Open is off at the server, or its cookie is stale".to_owned()
        })
}

fn backscatter(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::Backscatter)?;
    let from = connection.steps.first()?.from;
    let from = connection.end(from).socket();
    Some(format!(
        "RST of {from} answers nothing seen here: forged addresses, or a forgotten connection"
    ))
}

fn probe(connection: &Connection) -> Option<String> {
    outcome_is(connection, OpenOutcome::Probe)?;
    let port = connection.server.port;
    Some(format!(
        "flags that no TCP sends, to port {port}: a port scan"
    ))
}
