//! From events to timelines: the user-space half of synfin.
//!
//! `source → assembler → timeline → sink`. The assembler has no I/O, no clock and no async: events
//! and times go in, finished connections come out.

pub mod assembler;
pub mod attach;
pub mod behind;
pub mod cli;
pub mod confine;
pub mod detach;
pub mod diagnosis;
pub mod doctor;
pub mod flood;
pub mod live;
pub mod loss;
pub mod netns;
pub mod outlet;
pub mod printer;
pub mod read;
pub mod report;
pub mod sandbox;
pub mod say;
pub mod selection;
pub mod sink;
pub mod source;
pub mod timeline;
pub mod top;
pub mod totals;
pub mod trace;
mod units;
pub mod writer;
