//! Writes flat JSON objects with exact decimals.
//!
//! Serde would write decimals through a float; a charger's frame and a command need the digits themselves.

use super::decimal::write_scaled;
use crate::Timestamp;

/// A JSON object being written, field by field in the order of the calls.
pub(super) struct ObjectWriter {
    out: Vec<u8>,
    comma: bool,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        Self { out, comma: false }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    /// Keys are the wire's own names and need no escaping.
    fn key(&mut self, key: &str) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push(b'"');
        for c in value.chars() {
            match c {
                '"' => self.out.extend_from_slice(b"\\\""),
                '\\' => self.out.extend_from_slice(b"\\\\"),
                c if c < ' ' => self.out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
                c => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.out.push(b'"');
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// `value` / 10 to the power of `scale`.
    pub(super) fn decimal(&mut self, key: &str, value: impl Into<i64>, scale: u8) {
        self.key(key);
        write_scaled(&mut self.out, value.into(), scale);
    }

    pub(super) fn whole(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// Epoch milliseconds.
    pub(super) fn time(&mut self, key: &str, value: Timestamp) {
        self.whole(key, value.as_millis());
    }

    /// What is not known is not written.
    pub(super) fn some<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn objects<T>(&mut self, key: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.key(key);
        self.out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            self.out.extend_from_slice(if i == 0 { b"{" } else { b",{" });
            self.comma = false;
            write(self, item);
            self.out.push(b'}');
        }
        self.out.push(b']');
        self.comma = true;
    }
}
