//! Names in JSON, back to what they stand for.

use std::fmt::{Formatter, Result as Written};
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use synfin_ebpf::segment::Tunnel;

use crate::timeline::{
    Anomaly, BytesBasis, CloseKind, Confidence, ConnState, FastOpen, OpenKind, OpenOutcome, Proof,
    ResetCause, ResetProof, Role, State,
};

/// What JSON tells by a name.
pub(super) trait Named: Copy + 'static {
    /// All there are.
    const ALL: &'static [Self];

    /// The name in JSON.
    fn name(self) -> &'static str;
}

/// The compiler says where a variant is missing.
macro_rules! named {
    ($($kind:ident: $($variant:ident)+;)+) => {$(
        impl Named for $kind {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant)|+ => $kind::name(self),
                }
            }
        }
    )+};
}

named! {
    Role: Client Server;
    State: Listen SynSent SynReceived Established FinWait1 FinWait2 CloseWait Closing LastAck TimeWait Closed;
    Proof: AcknowledgesSyn AcknowledgesFin ResetAcceptable Retransmission;
    BytesBasis: Fin Reset Acknowledged;
    OpenOutcome: Established NoReply Refused HalfOpen Rejected Aborted Pending Unobserved Backscatter Probe;
    OpenKind: ThreeWay Simultaneous Split FastOpen Partial None;
    FastOpen: None Requested Accepted Ignored;
    Confidence: Observed Inferred;
    CloseKind: FourWay ThreeWay Simultaneous Half Reset None;
    ResetCause: InHandshake BeforeData InData AfterOwnFin AfterPeerFin;
    ResetProof: Exact InWindow NotBefore Unchecked;
    ConnState: S0 S1 S2 S3 SF Rej Rsto Rstr Rstos0 Rstrh Sh Shr Oth;
    Tunnel: Vxlan Geneve Gre IpInIp Pppoe;
    Anomaly: ImpossibleFlags WrongSynAckAck SynAckIsnChanged SynAckRetransmitted SynInOpenConnection
        FinBeforeSynAck FinRetransmitted FinNumberChanged FinUnacknowledged RstAfterClose RstOutOfWindow
        TrafficAfterRst DataOnSyn Duplicate ChallengeAck LateSegment WindowScaleAbove14 RstInWindow;
}

/// Something that is told by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<'de, T: Named> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names<T>(PhantomData<T>);
        impl<T: Named> Visitor<'_> for Names<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut Formatter<'_>) -> Written {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Word<T>, E> {
                let known = T::ALL.iter().find(|known| known.name() == text);
                let unknown = || E::custom(format_args!("this version knows no {text:?}"));
                known.map(|known| Word(*known)).ok_or_else(unknown)
            }
        }
        deserializer.deserialize_str(Names(PhantomData))
    }
}

/// Anomalies and how often each was there, in the order in which they are told.
#[derive(Debug, Default)]
pub(super) struct Anomalies(pub(super) Vec<(Anomaly, u32)>);

impl<'de> Deserialize<'de> for Anomalies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Anomalies;

            fn expecting(&self, f: &mut Formatter<'_>) -> Written {
                f.write_str("anomalies with their counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Anomalies, A::Error> {
                let mut counts: Vec<(Anomaly, u32)> = Vec::new();
                while let Some((Word(anomaly), count)) = map.next_entry::<Word<Anomaly>, u32>()? {
                    if counts.iter().any(|(known, _)| *known == anomaly) {
                        return Err(A::Error::custom("an anomaly is told twice"));
                    }
                    counts.push((anomaly, count));
                }
                Ok(Anomalies(counts))
            }
        }
        deserializer.deserialize_map(Counts)
    }
}
