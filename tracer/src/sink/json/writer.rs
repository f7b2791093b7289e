//! JSON's values, written into a buffer without allocation.

use std::net::IpAddr;

use crate::sink::paint::{acts, put};
use crate::units::Wall;

/// Appends to a buffer.
pub(in crate::sink) struct Writer<'a>(pub(in crate::sink) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(in crate::sink) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        self.raw(".");
                    }
                    self.number(octet);
                }
            }
            IpAddr::V6(address) => put(self.0, address),
        }
    }

    pub(in crate::sink) fn quoted_address(&mut self, address: IpAddr) {
        self.raw("\"");
        self.address(address);
        self.raw("\"");
    }

    /// A time, or `null` for one that the calendar does not have: a capture may hold anything.
    pub(in crate::sink) fn instant(&mut self, unix_ns: i128) {
        let start = self.0.len();
        self.raw("\"");
        if Wall(unix_ns).rfc_3339(self.0) {
            self.raw("\"");
        } else {
            self.0.truncate(start);
            self.raw("null");
        }
    }

    /// A string from outside.
    pub(in crate::sink) fn text(&mut self, text: &str) {
        self.raw("\"");
        let mut rest = text;
        let special = |c: char| matches!(c, '"' | '\\') || acts(c);
        while let Some(at) = rest.find(special) {
            let (plain, after) = rest.split_at(at);
            self.raw(plain);
            let mut chars = after.chars();
            match chars.next() {
                Some('"') => self.raw("\\\""),
                Some('\\') => self.raw("\\\\"),
                Some(c) => put(self.0, format_args!("\\u{:04x}", u32::from(c))),
                None => {}
            }
            rest = chars.as_str();
        }
        self.raw(rest);
        self.raw("\"");
    }

    /// A string of ours, which needs no escapes.
    pub(in crate::sink) fn name(&mut self, name: &'static str) {
        self.raw("\"");
        self.raw(name);
        self.raw("\"");
    }

    pub(in crate::sink) fn number(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    pub(in crate::sink) fn truth(&mut self, truth: bool) {
        self.raw(if truth { "true" } else { "false" });
    }

    pub(in crate::sink) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    pub(in crate::sink) fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.raw("[");
        for (index, item) in items.into_iter().enumerate() {
            self.comma(index);
            write(self, item);
        }
        self.raw("]");
    }

    pub(in crate::sink) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.raw(",");
        }
    }

    /// Most texts are constants: in place, they are written by a few wide moves.
    #[inline(always)]
    pub(in crate::sink) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}
