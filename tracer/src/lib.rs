//! From events to timelines: the user-space half of synfin.
//!
//! `source → assembler → timeline → sink`. The assembler has no I/O, no clock and no async: events
//! and times go in, finished connections come out.

pub mod timeline;
