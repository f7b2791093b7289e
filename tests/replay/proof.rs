//! What a verdict needs: for each thing that a record tells, the segments without which it cannot be
//! told.
//!
//! In: a record and all frames that came, whatever their order. Out: what is missing. These are
//! necessary conditions, not sufficient ones: which verdict is right is for other tests.

use std::net::SocketAddr;

use synfin::timeline::{BytesBasis, CloseKind, Connection, OpenKind, OpenOutcome, Role};
use synfin_ebpf::segment::Flags;
use synfin_ebpf::seq::Seq;
use synfin_tests::frames::Frame;

/// Ensures that the frames prove the record.
pub(crate) fn of(record: &Connection, frames: &[&Frame]) -> Result<(), String> {
    let end = |role| {
        let end = record.end(role);
        SocketAddr::new(end.address, end.port)
    };
    let ends = [end(Role::Client), end(Role::Server)];
    let of_it = frames
        .iter()
        .copied()
        .filter(|frame| ends.contains(&frame.source) && ends.contains(&frame.destination));
    let seen = Seen {
        record,
        ends,
        frames: of_it.collect(),
    };
    seen.opening()?;
    seen.closing()?;
    seen.counts()
}

/// Something that a frame is or is not.
type Test = fn(&Frame) -> bool;

struct Seen<'a> {
    record: &'a Connection,
    /// The client's, then the server's.
    ends: [SocketAddr; 2],
    frames: Vec<&'a Frame>,
}

impl Seen<'_> {
    fn opening(&self) -> Result<(), String> {
        let open = &self.record.open;
        // What a lost event told of is learnt from a later one.
        let learnt = self.record.observation_gap;
        let (x, y) = (self.record.client.isn, self.record.server.isn);
        let syn = |role| self.any(role, is_syn);
        let syn_ack = self.any(Role::Server, is_syn_ack);
        let rst = |role| self.any(role, |frame| frame.flags.rst());
        match open.kind {
            OpenKind::ThreeWay | OpenKind::FastOpen => need(syn(Role::Client), "the client's SYN")?,
            OpenKind::Simultaneous => {
                // Who sends a SYN and a SYN-ACK answers another SYN.
                let answers = |role| syn(role) && self.any(role, is_syn_ack);
                let both = syn(Role::Client) && syn(Role::Server);
                need(
                    both || answers(Role::Client) || answers(Role::Server),
                    "both SYNs",
                )?;
            }
            OpenKind::Split => {
                need(syn(Role::Client) && syn(Role::Server), "both SYNs")?;
            }
            OpenKind::Partial => need(syn_ack || syn(Role::Server), "a SYN-ACK")?,
            OpenKind::None => {}
        }
        match open.outcome {
            OpenOutcome::Established => {
                let (Some(x), Some(y)) = (x, y) else {
                    return Err("both initial numbers".to_owned());
                };
                need(
                    self.acknowledges(Role::Client, y.add(1)),
                    "the client's ACK of the SYN-ACK",
                )?;
                let acked = learnt || self.acknowledges(Role::Server, x.add(1));
                need(acked, "the server's ACK of the SYN")?;
                if open.kind == OpenKind::ThreeWay && !learnt {
                    let right = |frame: &Frame| is_syn_ack(frame) && Seq(frame.seq) == y;
                    need(self.any(Role::Server, right), "the SYN-ACK of this number")?;
                    let first = |frame: &Frame| is_syn(frame) && Seq(frame.seq) == x;
                    need(self.any(Role::Client, first), "the SYN of this number")?;
                }
            }
            OpenOutcome::NoReply => need(syn(Role::Client), "the client's SYN")?,
            OpenOutcome::HalfOpen => {
                let answered = syn_ack || syn(Role::Server) || self.any(Role::Client, is_syn_ack);
                need(answered, "a SYN-ACK")?;
            }
            OpenOutcome::Refused => {
                need(syn(Role::Client), "the client's SYN")?;
                need(rst(Role::Server), "the server's RST")?;
            }
            OpenOutcome::Rejected | OpenOutcome::Aborted => {
                need(syn_ack || syn(Role::Server), "a SYN-ACK")?;
                need(rst(Role::Client), "the client's RST")?;
            }
            OpenOutcome::Backscatter => {
                need(rst(Role::Client) || rst(Role::Server), "a RST")?;
            }
            OpenOutcome::Probe => {
                let odd = |role| self.any(role, |frame| frame.flags.anomalous());
                need(odd(Role::Client) || odd(Role::Server), "odd flags")?;
            }
            OpenOutcome::Pending | OpenOutcome::Unobserved => {}
        }
        // Only a server that sends a SYN of its own answers by something else than a SYN-ACK.
        let split = matches!(open.kind, OpenKind::Split | OpenKind::Simultaneous);
        let exact = |isn: Option<Seq>, frame: &Frame| {
            let beyond = isn.map(|isn| Seq(frame.ack).since(isn.add(1)));
            frame.flags.ack() && beyond.is_some_and(|beyond| beyond <= self.syn_len())
        };
        if open.rtt.syn_to_synack.is_some() && !learnt {
            let answer = |frame: &Frame| exact(x, frame) && (split || frame.flags.syn());
            need(
                syn(Role::Client) && self.any(Role::Server, answer),
                "a SYN and its SYN-ACK",
            )?;
        }
        if open.rtt.synack_to_ack.is_some() && !learnt {
            let ack = |frame: &Frame| exact(y, frame);
            let answered = syn_ack || split && syn(Role::Server);
            need(
                answered && self.any(Role::Client, ack),
                "a SYN-ACK and its ACK",
            )?;
        }
        for (role, isn) in [(Role::Client, x), (Role::Server, y)] {
            let Some(isn) = isn else { continue };
            let own = |frame: &Frame| frame.flags.syn() && Seq(frame.seq) == isn;
            // What a SYN-ACK acknowledges proves the number of the SYN that nobody saw.
            let peers = |frame: &Frame| is_syn_ack(frame) && Seq(frame.ack).since(isn.add(1)) <= 64;
            let known = self.any(role, own) || self.any(role.peer(), peers);
            need(known, "a SYN or SYN-ACK that gives the initial number")?;
        }
        Ok(())
    }

    fn closing(&self) -> Result<(), String> {
        let close = &self.record.close;
        let fin = |role| self.any(role, is_fin);
        let acked = |by: Role| {
            let ends = self
                .of(by.peer())
                .filter(|frame| is_fin(frame))
                .map(fin_end);
            ends.into_iter().any(|end| self.acknowledges(by, end))
        };
        match (close.kind, close.by) {
            (CloseKind::None, _) => {}
            (CloseKind::Reset, Some(by)) => {
                need(self.any(by, |frame| frame.flags.rst()), "its RST")?;
            }
            (CloseKind::Half, Some(by)) => need(fin(by) && acked(by.peer()), "a FIN and its ACK")?,
            (CloseKind::Simultaneous, Some(_)) => {
                need(fin(Role::Client) && fin(Role::Server), "both FINs")?;
            }
            (CloseKind::FourWay | CloseKind::ThreeWay, Some(by)) => {
                need(fin(Role::Client) && fin(Role::Server), "both FINs")?;
                need(acked(by.peer()), "the ACK of the first FIN")?;
                if close.kind == CloseKind::ThreeWay {
                    let rides = self
                        .of(by)
                        .filter(|frame| is_fin(frame))
                        .map(fin_end)
                        .any(|end| {
                            self.any(by.peer(), |frame| {
                                is_fin(frame) && Seq(frame.ack).covers(end)
                            })
                        });
                    need(rides, "a FIN that acknowledges the first one")?;
                }
            }
            (_, None) => return Err("who closed".to_owned()),
        }
        if close.last_ack == Some(true) {
            let by = close.by.ok_or("who closed")?;
            need(acked(by), "the last ACK")?;
        }
        Ok(())
    }

    fn counts(&self) -> Result<(), String> {
        for role in [Role::Client, Role::Server] {
            let basis = self.record.end(role).bytes.map(|bytes| bytes.basis);
            match basis {
                Some(BytesBasis::Fin) => need(self.any(role, is_fin), "the FIN of its count")?,
                Some(BytesBasis::Reset) => {
                    need(
                        self.any(role, |frame| frame.flags.rst()),
                        "the RST of its count",
                    )?;
                }
                _ => {}
            }
        }
        let either = |test: Test| self.frames.iter().any(|frame| test(frame));
        let bits: [(u8, Test); 6] = [
            (1, is_syn),
            (2, is_syn_ack),
            (4, |frame| {
                frame.flags.ack() && !frame.flags.syn() && frame.payload.is_empty()
            }),
            (8, |frame| !frame.payload.is_empty()),
            (16, |frame| frame.flags.fin()),
            (32, |frame| frame.flags.rst()),
        ];
        for (bit, test) in bits {
            // Where segments are not counted, numbers tell of data that was not looked at.
            let counted = bit != 8 || self.record.accounts.is_some();
            let told = counted && self.record.completeness & bit != 0;
            need(
                !told || either(test),
                &format!("what makes up the completeness' {bit}"),
            )?;
        }
        Ok(())
    }

    fn of(&self, role: Role) -> impl Iterator<Item = &Frame> {
        let end = self.ends[usize::from(role == Role::Server)];
        self.frames
            .iter()
            .copied()
            .filter(move |frame| frame.source == end)
    }

    fn any(&self, role: Role, test: impl Fn(&Frame) -> bool) -> bool {
        self.of(role).any(test)
    }

    fn acknowledges(&self, role: Role, end: Seq) -> bool {
        self.any(role, |frame| {
            frame.flags.ack() && Seq(frame.ack).covers(end)
        })
    }

    /// The most payload on a SYN.
    fn syn_len(&self) -> u32 {
        let lens = self.frames.iter().filter(|frame| frame.flags.syn());
        let lens = lens.map(|frame| u32::try_from(frame.payload.len()).unwrap_or(u32::MAX));
        lens.max().unwrap_or(0)
    }
}

fn need(there: bool, what: &str) -> Result<(), String> {
    if there {
        Ok(())
    } else {
        Err(format!("without {what}"))
    }
}

fn is_syn(frame: &Frame) -> bool {
    frame.flags.syn() && !frame.flags.ack() && !frame.flags.anomalous()
}

fn is_syn_ack(frame: &Frame) -> bool {
    frame.flags.syn() && frame.flags.ack() && !frame.flags.anomalous()
}

fn is_fin(frame: &Frame) -> bool {
    frame.flags.fin() && !frame.flags.any(Flags::SYN.with(Flags::RST))
}

/// The number that acknowledges a FIN.
fn fin_end(frame: &Frame) -> Seq {
    let len = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
    Seq(frame.seq).add(len).add(1)
}
