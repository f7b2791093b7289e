//! JSON's values, written into a buffer without allocation.

use std::net::IpAddr;

use crate::sink::paint::put;
use crate::sink::units::Wall;

/// Appends to a buffer.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    pub(super) fn address(&mut self, address: IpAddr) {
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

    /// A time, or `null` for one that the calendar does not have: a capture may hold anything.
    pub(super) fn instant(&mut self, unix_ns: i128) {
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
    pub(super) fn text(&mut self, text: &str) {
        self.raw("\"");
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                // Beside those that JSON forbids also DEL and C1, which a terminal acts upon.
                c if c.is_control() => put(self.0, format_args!("\\u{:04x}", u32::from(c))),
                c => self.raw(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.raw("\"");
    }

    /// A string of ours, which needs no escapes.
    pub(super) fn name(&mut self, name: &'static str) {
        self.raw("\"");
        self.raw(name);
        self.raw("\"");
    }

    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    pub(super) fn truth(&mut self, truth: bool) {
        self.raw(if truth { "true" } else { "false" });
    }

    pub(super) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    pub(super) fn array<T>(
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

    pub(super) fn comma(&mut self, index: usize) {
        if index > 0 {
            self.raw(",");
        }
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}
