//! The connection that the article explains, number for number, in each mode of attaching.
//!
//! No stack owns the addresses, so that nothing is on the wire but the article's segments.

use anyhow::{Context, Result, ensure};
use synfin_ebpf::segment::Flags;
use synfin_tests::cases;
use synfin_tests::conversation::{Conversation, Sender};
use synfin_tests::daemon::{self, Tracer};
use synfin_tests::frames::{Frame, SYN_OPTIONS};
use synfin_tests::golden;
use synfin_tests::inject::Wire;
use synfin_tests::netns::{Link, NEAR};
use synfin_tests::record::{Check, Connection, WrongAck};
use synfin_tests::requirement::Requirement::{Daemon, Root, Tcx};
use synfin_tests::suite::Case;

/// The client's initial sequence number.
const X: u32 = 2_452_765_130;
/// The server's initial sequence number.
const Y: u32 = 1_996_069_412;

pub(crate) fn cases() -> Vec<Case> {
    let by_tcx = cases![&[Root, Daemon, Tcx];
        the_articles_ftp_connection_number_for_number_by_tcx,
        the_articles_ladder_stays_as_it_is_by_tcx,
        a_syn_ack_of_a_wrong_number_is_rejected_by_tcx,
        the_ladder_of_a_rejected_syn_ack_names_both_numbers,
    ];
    let by_native_xdp = cases![&[Root, Daemon];
        the_articles_ftp_connection_number_for_number_by_native_xdp,
        the_articles_ladder_stays_as_it_is_by_native_xdp,
        a_syn_ack_of_a_wrong_number_is_rejected_by_native_xdp,
    ];
    let by_clsact = cases![&[Root, Daemon];
        the_articles_ftp_connection_number_for_number_by_clsact,
        a_syn_ack_of_a_wrong_number_is_rejected_by_clsact,
    ];
    [by_tcx, by_native_xdp, by_clsact].concat()
}

fn the_articles_ftp_connection_number_for_number_by_native_xdp() -> Result<()> {
    the_articles_connection_is_told("native")
}

fn the_articles_ftp_connection_number_for_number_by_tcx() -> Result<()> {
    the_articles_connection_is_told("tcx")
}

fn the_articles_ftp_connection_number_for_number_by_clsact() -> Result<()> {
    the_articles_connection_is_told("clsact")
}

fn the_articles_ladder_stays_as_it_is_by_native_xdp() -> Result<()> {
    golden::compare("article.ladder", &ladder(&article(), "native")?)
}

fn the_articles_ladder_stays_as_it_is_by_tcx() -> Result<()> {
    golden::compare("article.ladder", &ladder(&article(), "tcx")?)
}

fn a_syn_ack_of_a_wrong_number_is_rejected_by_native_xdp() -> Result<()> {
    the_wrong_number_is_rejected("native")
}

fn a_syn_ack_of_a_wrong_number_is_rejected_by_tcx() -> Result<()> {
    the_wrong_number_is_rejected("tcx")
}

fn a_syn_ack_of_a_wrong_number_is_rejected_by_clsact() -> Result<()> {
    the_wrong_number_is_rejected("clsact")
}

fn the_ladder_of_a_rejected_syn_ack_names_both_numbers() -> Result<()> {
    golden::compare("rejected.ladder", &ladder(&wrong(), "tcx")?)
}

fn the_articles_connection_is_told(mode: &str) -> Result<()> {
    let connection = traced(&article(), mode)?;
    assert_eq!(connection.interface, NEAR);
    assert_eq!(connection.name(), "10.1.1.2:52144 → 10.1.1.1:21");
    assert_eq!(
        (connection.client.isn, connection.server.isn),
        (Some(X), Some(Y))
    );

    let open = &connection.open;
    assert_eq!(open.outcome, "established");
    assert_eq!(open.kind, "three_way");
    assert_eq!(open.confidence, "observed");
    assert_eq!((open.syn_retries, open.synack_retries), (0, 0));
    assert_eq!(open.wrong_ack, None);
    assert!(!open.ack_via_data);
    let legs = (
        open.rtt_ns.syn_to_synack,
        open.rtt_ns.synack_to_ack,
        open.rtt_ns.total,
    );
    let (Some(first), Some(second), Some(total)) = legs else {
        panic!("the legs are {legs:?}");
    };
    assert!(first > 0 && second > 0);
    assert_eq!(first + second, total);

    let close = &connection.close;
    assert_eq!(close.kind, "four_way");
    assert_eq!(close.by.as_deref(), Some("server"));
    assert_eq!(close.cause, None);
    assert_eq!(close.last_ack, Some(true));
    assert!(
        close
            .half_close_ns
            .is_some_and(|time| time > 0 && time < connection.duration_ns)
    );

    for ((side, end), (bytes, state)) in connection
        .ends()
        .into_iter()
        .zip([(26, "CLOSED"), (94, "TIME-WAIT")])
    {
        assert_eq!(end.bytes, Some(bytes), "{side}");
        assert_eq!(end.bytes_basis.as_deref(), Some("fin"), "{side}");
        assert_eq!(end.state, state, "{side}");
        let options = end.options.as_ref().context("the options of a SYN")?;
        assert_eq!(
            (options.mss, options.window_scale),
            (Some(1460), Some(7)),
            "{side}"
        );
        assert!(
            options.sack && options.timestamps && !options.malformed,
            "{side}"
        );
        assert!(
            !options.ecn && !options.fast_open && !options.mptcp,
            "{side}"
        );
    }

    assert_eq!(connection.completeness, 31);
    assert!(
        connection.anomalies.is_empty(),
        "{:?}",
        connection.anomalies
    );
    assert!(connection.vlans.is_empty());
    assert!(!connection.asymmetric && !connection.observation_gap);
    assert_eq!(connection.segments_omitted, 0);
    the_seven_segments_are_proved(&connection)
}

/// The article's seven segments are there in their order, each with its numbers and its proof.
fn the_seven_segments_are_proved(connection: &Connection) -> Result<()> {
    let (syn, fin) = (Some("acknowledges_syn"), Some("acknowledges_fin"));
    let article = [
        ("client", "SYN", X, None, None),
        ("server", "SYN,ACK", Y, Some(2_452_765_131), syn),
        ("client", "ACK", 2_452_765_131, Some(1_996_069_413), syn),
        (
            "server",
            "FIN,ACK",
            1_996_069_507,
            Some(2_452_765_157),
            None,
        ),
        ("client", "ACK", 2_452_765_157, Some(1_996_069_508), fin),
        (
            "client",
            "FIN,ACK",
            2_452_765_157,
            Some(1_996_069_508),
            None,
        ),
        ("server", "ACK", 1_996_069_508, Some(2_452_765_158), fin),
    ];
    let mut told = connection.segments.iter();
    for (from, flags, seq, ack, proof) in article {
        let step = told
            .find(|step| {
                (step.from.as_str(), step.flags.as_str()) == (from, flags)
                    && (step.seq, step.ack) == (seq, ack)
            })
            .with_context(|| format!("find {from} {flags} seq={seq} ack={ack:?} in its place"))?;
        assert_eq!(step.len, Some(0));
        assert_eq!(step.window, Some(64240));
        if let Some(proof) = proof {
            let proved = Check {
                proof: proof.to_owned(),
                ok: true,
                expected: None,
            };
            assert_eq!(step.check.as_ref(), Some(&proved), "{from} {flags}");
        }
    }
    let times: Vec<u64> = connection.segments.iter().map(|step| step.t_ns).collect();
    ensure!(
        times.is_sorted(),
        "the segments are not in the order of their times: {times:?}"
    );
    assert_eq!(times.first(), Some(&0));
    assert_eq!(times.last(), Some(&connection.duration_ns));
    Ok(())
}

fn the_wrong_number_is_rejected(mode: &str) -> Result<()> {
    let connection = traced(&wrong(), mode)?;
    assert_eq!(connection.open.outcome, "rejected");
    let numbers = WrongAck {
        expected: X + 1,
        seen: X + 2,
    };
    assert_eq!(connection.open.wrong_ack, Some(numbers));
    assert_eq!(connection.anomalies.get("wrong_synack_ack"), Some(&1));
    assert_eq!(connection.client.isn, Some(X));
    assert_eq!(connection.client.state, "CLOSED");
    let [syn, synack, rst] = connection.segments.as_slice() else {
        panic!("{} segments where three were", connection.segments.len());
    };
    assert_eq!((syn.flags.as_str(), syn.seq), ("SYN", X));
    assert_eq!(
        (synack.flags.as_str(), synack.seq, synack.ack),
        ("SYN,ACK", Y, Some(X + 2))
    );
    let contradiction = Check {
        proof: "acknowledges_syn".to_owned(),
        ok: false,
        expected: Some(X + 1),
    };
    assert_eq!(synack.check.as_ref(), Some(&contradiction));
    // The reset takes its number from the wrong acknowledgment (RFC 9293 §3.10.7.3).
    assert_eq!((rst.flags.as_str(), rst.seq, rst.ack), ("RST", X + 2, None));
    Ok(())
}

fn traced(conversation: &Conversation, mode: &str) -> Result<Connection> {
    let link = Link::silent()?;
    let tracer = Tracer::json(&link.near, &["--xdp-mode", mode])?;
    Wire::of(&link)?.play(conversation)?;
    tracer.connection()
}

fn ladder(conversation: &Conversation, mode: &str) -> Result<String> {
    let link = Link::silent()?;
    let words = ["trace", "-i", NEAR, "--xdp-mode", mode, "--count", "1"];
    let tracer = Tracer::start(&mut daemon::command(&link.near, &words), 1)?;
    Wire::of(&link)?.play(conversation)?;
    Ok(tracer.finish()?.stdout)
}

fn article() -> Conversation {
    between()
        .open()
        .data(Sender::Server, 20)
        .data(Sender::Client, 16)
        .data(Sender::Server, 34)
        .data(Sender::Client, 10)
        .data(Sender::Server, 40)
        .close(Sender::Server)
}

/// The same opening with an acknowledgment that is one too many.
fn wrong() -> Conversation {
    between()
        .syn()
        .say(Sender::Server, |frame| {
            frame.flags(Flags::SYN).ack(X + 2).options(&SYN_OPTIONS)
        })
        .say(Sender::Client, |frame| {
            Frame { ack: 0, ..frame }.flags(Flags::RST).seq(X + 2)
        })
}

fn between() -> Conversation {
    let client = ([10, 1, 1, 2], 52144).into();
    let server = ([10, 1, 1, 1], 21).into();
    Conversation::between((client, X), (server, Y))
}
