//! The states of RFC 9293 §3.3.2, inferred for one endpoint from the segments seen of it.
//!
//! A segment that was observed was sent, not necessarily received: a state that follows from a
//! receipt is what the endpoint is in if the segment arrived.

use crate::timeline::State;

/// What a segment means to one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// It sends a SYN.
    SendsSyn,
    /// It sends a SYN-ACK.
    SendsSynAck,
    /// It acknowledges the peer's SYN.
    SendsAckOfSyn,
    /// It sends a FIN.
    SendsFin,
    /// It resets, or is reset.
    Reset,
    /// The peer's SYN arrives.
    SynArrives,
    /// An acknowledgment of its SYN arrives.
    AckOfSynArrives,
    /// The peer's FIN arrives, and does not acknowledge its own FIN.
    FinArrives,
    /// The peer's FIN arrives and acknowledges its own FIN.
    FinArrivesAckingFin,
    /// An acknowledgment of its FIN arrives.
    AckOfFinArrives,
}

/// The state after an input; inputs that mean nothing in a state leave it as it is.
pub(super) const fn next(state: State, input: Input) -> State {
    use Input::*;
    use State::*;
    match (state, input) {
        // Active open.
        (Closed | Listen, SendsSyn) => SynSent,
        // Passive open; out of SYN-SENT it is a simultaneous open (RFC 9293 §3.5).
        (Closed | Listen | SynSent, SendsSynAck) => SynReceived,
        // A SYN that meets an active open: simultaneous.
        (SynSent, SynArrives) => SynReceived,
        // The client proves with its own ACK that the SYN-ACK arrived.
        (SynSent, SendsAckOfSyn) => Established,
        (SynReceived, AckOfSynArrives) => Established,

        // Active close.
        (SynReceived | Established, SendsFin) => FinWait1,
        (FinWait1, AckOfFinArrives) => FinWait2,
        (FinWait1, FinArrivesAckingFin) => TimeWait,
        // Simultaneous close (RFC 9293 §3.6).
        (FinWait1, FinArrives) => Closing,
        (FinWait2, FinArrives | FinArrivesAckingFin) => TimeWait,
        (Closing, AckOfFinArrives | FinArrivesAckingFin) => TimeWait,

        // Passive close.
        (SynReceived | Established, FinArrives | FinArrivesAckingFin) => CloseWait,
        (CloseWait, SendsFin) => LastAck,
        (LastAck, AckOfFinArrives | FinArrivesAckingFin) => Closed,

        (_, Reset) => Closed,
        (state, _) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::Input::*;
    use super::State::*;
    use super::*;

    const INPUTS: [Input; 10] = [
        SendsSyn,
        SendsSynAck,
        SendsAckOfSyn,
        SendsFin,
        Reset,
        SynArrives,
        AckOfSynArrives,
        FinArrives,
        FinArrivesAckingFin,
        AckOfFinArrives,
    ];

    /// A row for each state: what it becomes by each of `INPUTS`, in their order.
    #[rustfmt::skip]
    const TABLE: [(State, [State; 10]); 11] = [
        (Closed,      [SynSent, SynReceived, Closed, Closed, Closed, Closed, Closed, Closed, Closed, Closed]),
        (Listen,      [SynSent, SynReceived, Listen, Listen, Closed, Listen, Listen, Listen, Listen, Listen]),
        (SynSent,     [SynSent, SynReceived, Established, SynSent, Closed, SynReceived, SynSent, SynSent, SynSent, SynSent]),
        (SynReceived, [SynReceived, SynReceived, SynReceived, FinWait1, Closed, SynReceived, Established, CloseWait, CloseWait, SynReceived]),
        (Established, [Established, Established, Established, FinWait1, Closed, Established, Established, CloseWait, CloseWait, Established]),
        (FinWait1,    [FinWait1, FinWait1, FinWait1, FinWait1, Closed, FinWait1, FinWait1, Closing, TimeWait, FinWait2]),
        (FinWait2,    [FinWait2, FinWait2, FinWait2, FinWait2, Closed, FinWait2, FinWait2, TimeWait, TimeWait, FinWait2]),
        (CloseWait,   [CloseWait, CloseWait, CloseWait, LastAck, Closed, CloseWait, CloseWait, CloseWait, CloseWait, CloseWait]),
        (Closing,     [Closing, Closing, Closing, Closing, Closed, Closing, Closing, Closing, TimeWait, TimeWait]),
        (LastAck,     [LastAck, LastAck, LastAck, LastAck, Closed, LastAck, LastAck, LastAck, Closed, Closed]),
        (TimeWait,    [TimeWait, TimeWait, TimeWait, TimeWait, Closed, TimeWait, TimeWait, TimeWait, TimeWait, TimeWait]),
    ];

    #[test]
    fn every_state_by_every_input() {
        for (state, row) in TABLE {
            for (input, expected) in INPUTS.into_iter().zip(row) {
                assert_eq!(next(state, input), expected, "{state:?} by {input:?}");
            }
        }
    }
}
