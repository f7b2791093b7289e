//! What the programs say in words, which is rare.

use aya_ebpf::EbpfContext;

/// Says that a connection found no place, apart from the way that every frame takes.
#[inline(never)]
pub(super) fn no_place<C: EbpfContext>(ctx: &C) {
    aya_log_ebpf::warn!(
        ctx,
        "no place in the table: all that it could have belong to others"
    );
}
