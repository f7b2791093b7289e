//! What the tests share.
//!
//! `frames → conversation → wire (inject) | real programs → daemon → record`, and beside it
//! `capture → tshark → verdict → judge`: an independent reading of the same frames. Each test makes its own
//! network namespaces and leaves nothing behind. Absent on purpose: any code of the daemon, so that
//! its mistakes are not repeated here; only flags and names of counters come from `synfin-ebpf`.

pub mod alike;
pub mod bench;
pub mod bpf;
pub mod browser;
pub mod capture;
pub mod carriers;
pub mod cgroup;
pub mod conversation;
pub mod corpus;
pub mod cpus;
pub mod daemon;
pub mod evidence;
pub mod frames;
pub mod golden;
pub mod handshake;
pub mod hosts;
pub mod inject;
pub mod judge;
pub mod mangle;
pub mod netns;
pub mod pace;
pub mod packets;
pub mod privileges;
pub mod process;
pub mod record;
pub mod report;
pub mod requirement;
pub mod scratch;
pub mod services;
pub mod streams;
pub mod suite;
pub mod talks;
pub mod tallies;
pub mod tmux;
pub mod tshark;
pub mod tun;
pub mod verdict;
pub mod victim;
pub mod wait;
