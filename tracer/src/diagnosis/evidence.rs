//! What rules ask a record for.

use crate::timeline::{Anomaly, Connection, Role, Step};

/// The first step that fits.
fn first(connection: &Connection, fits: impl Fn(&Step) -> bool) -> Option<&Step> {
    connection.steps.iter().find(|step| fits(step))
}

const fn is_syn(step: &Step) -> bool {
    step.flags.syn() && !step.flags.ack()
}

const fn is_syn_ack(step: &Step) -> bool {
    step.flags.syn() && step.flags.ack()
}

/// When the first SYN-ACK of the server came, in ns since the first segment.
pub(super) fn syn_ack_ns(connection: &Connection) -> Option<u64> {
    let syn_ack = |step: &Step| step.from == Role::Server && is_syn_ack(step);
    first(connection, syn_ack).map(|step| step.t_ns)
}

/// When the first SYN of the client came that was sent after this time.
pub(super) fn syn_after(connection: &Connection, ns: u64) -> Option<u64> {
    let later = |step: &Step| step.from == Role::Client && is_syn(step) && step.t_ns > ns;
    first(connection, later).map(|step| step.t_ns)
}

/// When the last SYN of the client came that was not sent after this time, and how many came before it.
pub(super) fn syns_until(connection: &Connection, ns: u64) -> Option<(u64, usize)> {
    let syns = connection.steps.iter();
    let syns = syns.filter(|step| step.from == Role::Client && is_syn(step) && step.t_ns <= ns);
    let (before, last) = syns.enumerate().last()?;
    Some((last.t_ns, before))
}

/// When this side's RST came that ended the connection.
pub(super) fn reset_ns(connection: &Connection, by: Role) -> Option<u64> {
    let resets = connection.steps.iter().rev();
    let mut resets = resets.filter(|step| step.from == by && step.flags.rst());
    resets.next().map(|step| step.t_ns)
}

/// When this side's first FIN came.
pub(super) fn fin_ns(connection: &Connection, by: Role) -> Option<u64> {
    let fin = |step: &Step| step.from == by && step.flags.fin();
    first(connection, fin).map(|step| step.t_ns)
}

/// How often this was seen.
pub(super) fn count(connection: &Connection, anomaly: Anomaly) -> Option<u32> {
    let mut all = connection.anomalies.iter();
    all.find(|(kind, _)| *kind == anomaly)
        .map(|&(_, count)| count.max(1))
}
