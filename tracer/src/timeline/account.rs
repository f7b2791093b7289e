//! What one side sent, counted segment by segment (`--account`, and always from a capture).

/// The counts of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Segments, copies not counted.
    pub packets: u64,
    /// Payload octets, those sent again included.
    pub payload_bytes: u64,
    /// Payload octets that had been sent before.
    pub retransmitted_bytes: u64,
    /// Segments with payload that had been sent before.
    pub retransmissions: u64,
    /// Segments that were seen twice, as at a bridge or a SPAN port.
    pub duplicates: u64,
    /// Segments that filled a hole left before by a later number.
    pub out_of_order: u64,
    /// Keepalives and probes of a closed window: no retransmissions.
    pub probes: u64,
    /// Times that it closed its window.
    pub zero_windows: u64,
}

/// The counts of both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The active opener's.
    pub client: Account,
    /// The passive opener's.
    pub server: Account,
    /// The counting began with the connection: nothing of it is missing.
    pub whole: bool,
}
