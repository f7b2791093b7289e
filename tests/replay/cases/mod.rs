//! Every case that the semantics of a timeline name, built from segments and looked at in both ways:
//! with every segment counted, as from a capture, and by the segments of openings and closings
//! alone. The second may tell less, and nothing that is not so.

mod anomalies;
mod closes;
mod counting;
mod encapsulation;
mod fast_open;
mod limits;
mod openings;
mod resets;
mod reuse;
mod vantage;

use synfin_ebpf::segment::Flags;
use synfin_tests::frames::Frame;

/// The client's initial number of every conversation here.
const X: u32 = 2_452_765_130;
/// The server's.
const Y: u32 = 1_996_069_412;

const SYN_ACK: Flags = Flags::SYN.with(Flags::ACK);
const RST_ACK: Flags = Flags::RST.with(Flags::ACK);
const FIN_ACK: Flags = Flags::FIN.with(Flags::ACK);

/// A frame with flags and no acknowledgment.
fn bare(flags: Flags) -> impl Fn(Frame) -> Frame {
    move |frame| Frame { ack: 0, ..frame }.flags(flags)
}
