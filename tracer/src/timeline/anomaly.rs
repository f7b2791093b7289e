//! What was odd about a connection: reported, never an error, never a silent drop.

/// A kind of oddity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Anomaly {
    /// A set of flags that no TCP sends.
    ImpossibleFlags,
    /// A SYN-ACK that does not acknowledge ISS+1.
    WrongSynAckAck,
    /// A SYN-ACK with another initial number than the one before.
    SynAckIsnChanged,
    /// The SYN-ACK came again after the ACK: the ACK was lost beyond the vantage point.
    SynAckRetransmitted,
    /// A SYN with another initial number inside an open connection.
    SynInOpenConnection,
    /// A FIN before the SYN-ACK.
    FinBeforeSynAck,
    /// The FIN came again.
    FinRetransmitted,
    /// A FIN with another number than the side's FIN before.
    FinNumberChanged,
    /// A FIN that was never acknowledged.
    FinUnacknowledged,
    /// A RST after both FINs.
    RstAfterClose,
    /// A RST whose number its receiver would not accept.
    RstOutOfWindow,
    /// The sender of a RST went on.
    TrafficAfterRst,
    /// Data on a SYN or SYN-ACK.
    DataOnSyn,
    /// The same segment seen twice: at two places, or at a bridge or SPAN port.
    Duplicate,
    /// An ACK in answer to a SYN or RST that does not fit (RFC 5961).
    ChallengeAck,
    /// A segment that by its numbers belongs to the incarnation before.
    LateSegment,
    /// A window scale above 14, which counts as 14 (RFC 7323 §2.3).
    WindowScaleAbove14,
    /// A RST in the window whose number is not exactly the next one (RFC 5961 §3.2).
    RstInWindow,
}

impl Anomaly {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImpossibleFlags => "impossible_flags",
            Self::WrongSynAckAck => "wrong_synack_ack",
            Self::SynAckIsnChanged => "synack_isn_changed",
            Self::SynAckRetransmitted => "synack_retransmitted",
            Self::SynInOpenConnection => "syn_in_open_connection",
            Self::FinBeforeSynAck => "fin_before_synack",
            Self::FinRetransmitted => "fin_retransmitted",
            Self::FinNumberChanged => "fin_number_changed",
            Self::FinUnacknowledged => "fin_unacknowledged",
            Self::RstAfterClose => "rst_after_close",
            Self::RstOutOfWindow => "rst_out_of_window",
            Self::TrafficAfterRst => "traffic_after_rst",
            Self::DataOnSyn => "data_on_syn",
            Self::Duplicate => "duplicate",
            Self::ChallengeAck => "challenge_ack",
            Self::LateSegment => "late_segment",
            Self::WindowScaleAbove14 => "window_scale_above_14",
            Self::RstInWindow => "rst_in_window",
        }
    }
}
