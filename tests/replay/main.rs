//! Frames through the tracker and the assembler in user space: no root, no kernel.

mod cases;
mod proof;
mod records;
mod robust;
mod rows;
mod steps;
mod story;

use synfin::source::Tracker;
use synfin_ebpf::event::{Direction, Event};
use synfin_ebpf::flow::Vantage;
use synfin_ebpf::flow::filter::Filter;
use synfin_ebpf::segment::Scope;
use synfin_ebpf::wire::{Link, Tunnels};
use synfin_tests::conversation::{Conversation, Sender};

/// An empty conversation between two hosts.
fn talk() -> Conversation {
    let address = |text: &str| text.parse().expect("an address");
    Conversation::between(
        (address("10.1.1.2:52144"), 2_452_765_130),
        (address("10.1.1.1:21"), 1_996_069_412),
    )
}

/// The events of each frame, the client's arriving, the server's leaving.
fn events(conversation: &Conversation) -> Vec<Vec<Event>> {
    let tracker = Tracker::new(Filter::default(), Tunnels::ON);
    let frames = conversation.frames().zip(conversation.times_ns());
    let frames = frames.map(|((sender, frame), time_ns)| {
        let vantage = Vantage {
            interface: 1,
            direction: match sender {
                Sender::Client => Direction::Ingress,
                Sender::Server => Direction::Egress,
            },
            scope: Scope::default(),
            link: Link::Ethernet,
        };
        tracker.take(frame.octets().as_slice(), &vantage, time_ns);
        tracker.event().as_deref().copied().into_iter().collect()
    });
    frames.collect()
}
