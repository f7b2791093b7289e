//! The judge is judged: what tshark reads of frames that we made is what we put in, and the verdict
//! on each kind of opening and closing is the one that the frames were made for.

use std::process::Command;
use std::slice;

use anyhow::{Context, Result, ensure};
use synfin_ebpf::segment::Flags;
use synfin_tests::capture::{Capture, Captured};
use synfin_tests::cases;
use synfin_tests::conversation::{
    Conversation,
    Sender::{Client, Server},
};
use synfin_tests::frames::{Extension, Frame, SERVICE_VLAN, VLAN};
use synfin_tests::inject::Wire;
use synfin_tests::netns::Link;
use synfin_tests::process::succeed;
use synfin_tests::requirement::Requirement::{Root, Tool};
use synfin_tests::suite::Case;
use synfin_tests::tshark;
use synfin_tests::verdict::{Verdict, judge};

pub(crate) fn cases() -> Vec<Case> {
    cases![&[Root, Tool("tcpdump"), Tool("tshark")];
        tshark_reads_the_frames_as_they_were_described,
        tshark_finds_nothing_wrong_with_the_frames,
        each_opening_has_its_verdict,
        each_closing_has_its_verdict,
    ]
}

fn tshark_reads_the_frames_as_they_were_described() -> Result<()> {
    let talk = talk(40_000)
        .open()
        .data(Client, 26)
        .data(Server, 94)
        .close(Server);
    let talk = talk.around(|frame| frame.tagged(SERVICE_VLAN, 100).tagged(VLAN, 7));
    let captured = captured(slice::from_ref(&talk))?;
    let streams = tshark::streams(&captured.file)?;
    let [stream] = streams.as_slice() else {
        panic!("{} streams", streams.len());
    };
    assert_eq!(stream.len(), talk.frames().count());
    for (seen, (_, frame)) in stream.iter().zip(talk.frames()) {
        assert_eq!(
            (seen.source, seen.destination),
            (frame.source, frame.destination)
        );
        assert_eq!(
            (seen.seq, seen.ack, seen.flags),
            (frame.seq, frame.ack, frame.flags.0)
        );
        assert_eq!(usize::try_from(seen.len)?, frame.payload.len());
        assert_eq!(seen.vlans, [100, 7]);
    }
    assert_eq!(stream.last().map(|last| last.completeness), Some(31));
    let verdict = judge(stream);
    assert_eq!(verdict.bytes, [Some(26), Some(94)]);
    assert_eq!(verdict.isns, [Some(1_000), Some(2_000)]);
    Ok(())
}

fn tshark_finds_nothing_wrong_with_the_frames() -> Result<()> {
    let v6 = Conversation::between(
        ("[fd00::2]:40001".parse()?, u32::MAX),
        ("[fd00::1]:80".parse()?, u32::MAX - 2),
    );
    let chain = [
        Extension::HopByHop(1),
        Extension::Destination(0),
        Extension::Routing,
        Extension::Fragment(0, false),
        Extension::Authentication,
        Extension::Destination(2),
    ];
    let captured = captured(&[
        whole(talk(40_000)).around(|frame| frame.ip_options(&[148, 4, 0, 0, 1, 1, 1, 0])),
        whole(talk(40_001)).around(|frame| frame.tagged(VLAN, 5).padded(3)),
        whole(v6.clone()),
        whole(v6).around(|frame| frame.extensions(&chain)),
    ])?;
    let tshark = |filter: &str| {
        let mut command = Command::new("tshark");
        command.args([
            "-n",
            "-o",
            "tcp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
        ]);
        succeed(command.arg("-r").arg(&captured.file).args(["-Y", filter]))
    };
    assert_eq!(tshark("tcp.checksum.status == 1")?.lines().count(), 4 * 9);
    assert_eq!(tshark("ip.checksum.status == 0 || _ws.malformed")?, "");
    Ok(())
}

fn each_opening_has_its_verdict() -> Result<()> {
    let wrong = |frame: Frame| frame.flags(Flags::SYN).ack(7);
    verdicts(
        &[
            ("no_reply", talk(1).syn().again().again()),
            ("refused", talk(2).syn().rst(Server)),
            ("half_open", talk(3).syn().syn_ack().again()),
            ("aborted", talk(4).syn().syn_ack().rst(Client)),
            ("rejected", talk(5).syn().say(Server, wrong).rst(Client)),
            ("established", talk(6).open()),
            ("established", talk(7).syn().syn_ack().data(Client, 5)),
        ],
        |verdict| Some(verdict.outcome),
    )
}

fn each_closing_has_its_verdict() -> Result<()> {
    let crossing = |frame: Frame| {
        let ack = frame.ack - 1;
        frame.flags(Flags::FIN).ack(ack)
    };
    let open = |port| talk(port).open();
    verdicts(
        &[
            ("none", open(1).data(Client, 5)),
            ("four_way", open(2).close(Client)),
            ("four_way", open(3).close(Client).rst(Server)),
            ("three_way", open(4).fin(Server).fin(Client).ack(Server)),
            (
                "simultaneous",
                open(5)
                    .fin(Client)
                    .say(Server, crossing)
                    .ack(Client)
                    .ack(Server),
            ),
            ("half", open(6).fin(Client).ack(Server).data(Server, 5)),
            ("reset", open(7).rst(Client)),
            ("reset", open(8).fin(Client).rst(Server)),
        ],
        |verdict| verdict.close,
    )
}

/// The verdict on each conversation is the one it stands beside.
fn verdicts(
    talks: &[(&str, Conversation)],
    told: impl Fn(&Verdict) -> Option<&'static str>,
) -> Result<()> {
    let conversations: Vec<_> = talks.iter().map(|(_, talk)| talk.clone()).collect();
    let captured = captured(&conversations)?;
    let verdicts: Vec<_> = tshark::streams(&captured.file)?.iter().map(judge).collect();
    ensure!(verdicts.len() == talks.len(), "{} verdicts", verdicts.len());
    for (expected, talk) in talks {
        let verdict = verdicts
            .iter()
            .find(|verdict| verdict.client == talk.client());
        let verdict = verdict.with_context(|| format!("find the {expected} one"))?;
        assert_eq!(told(verdict), Some(*expected), "{verdict:#?}");
    }
    Ok(())
}

fn captured(talks: &[Conversation]) -> Result<Captured> {
    let link = Link::silent()?;
    let capture = Capture::start(&link)?;
    let wire = Wire::of(&link)?;
    talks.iter().try_for_each(|talk| wire.play(talk))?;
    capture.stop()
}

fn whole(talk: Conversation) -> Conversation {
    talk.open().data(Server, 5).close(Client)
}

fn talk(port: u16) -> Conversation {
    let (client, server) = (([10, 1, 1, 2], port), ([10, 1, 1, 1], 80));
    Conversation::between((client.into(), 1_000), (server.into(), 2_000))
}
