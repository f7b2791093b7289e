//! Values beyond what a field may hold, and what this observation lost.

use synfin_ebpf::segment::Flags;
use synfin_tests::conversation::Conversation;
use synfin_tests::conversation::Sender::{Client, Server};
use synfin_tests::frames::SYN_OPTIONS;

use super::{SYN_ACK, bare};
use crate::story::{MODES, Mode, both, exactly, only, sightings, story_with_losses};
use crate::talk;

#[test]
fn case_57_a_window_scale_above_fourteen_counts_as_fourteen() {
    let mut options = SYN_OPTIONS;
    *options.last_mut().expect("the scale") = 15;
    let scaled = talk()
        .say(Client, |frame| bare(Flags::SYN)(frame).options(&options))
        .say(Server, |frame| frame.flags(SYN_ACK).options(&SYN_OPTIONS))
        .ack(Client);
    for told in both(&scaled) {
        told.field("/open/outcome", "established")
            .field("/client/options/window_scale", 15)
            .odd(&[("window_scale_above_14", 1)])
            .says("window scale 15 (counts as 14) / 7")
            .says("a window scale above 14, which counts as 14");
    }
    // A RST just beyond a window shifted by 14 is outside.
    let rst = |beyond: u32| {
        scaled.clone().data(Server, 10).aside(Server, |frame| {
            let seq = frame.seq.wrapping_add(beyond);
            bare(Flags::RST)(frame.seq(seq))
        })
    };
    let window = 64240 << 14;
    only(&rst(window), Mode::Counted).field("/close/kind", "none");
    only(&rst(window - 1), Mode::Counted).field("/close/proof", "in_window");
}

#[test]
fn case_58_connections_that_losses_can_have_touched_say_so() {
    let address = |text: &str| text.parse().expect("an address");
    let on_port = |port: u16| {
        let client = address(&format!("10.1.1.2:{port}"));
        Conversation::between((client, 1), (address("10.1.1.1:21"), 2))
    };
    let before = on_port(1000).open().close(Client);
    let during = on_port(2000).wait(20_000).open().wait(9000).close(Client);
    let after = on_port(3000).wait(40_000).open().close(Client);
    let seen = [before, during, after];
    let seen: Vec<_> = seen.iter().flat_map(sightings).collect();
    for mode in MODES {
        let story = story_with_losses(&seen, mode, &[(25_000_000_000, 3)]);
        assert_eq!(story.counts.lost, 3);
        let told: [_; 3] = exactly(story.told);
        for (told, (port, gap)) in (told.iter()).zip([(1000, false), (2000, true), (3000, false)]) {
            told.field("/client/port", port)
                .field("/observation_gap", gap);
        }
        told[1].says("events were lost while this connection was there");
        told[0].is_silent_on("events were lost");
    }
}
