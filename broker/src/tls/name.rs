//! What a client certificate says of its holder.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::Denied;

/// A verified certificate, as far as the gate remembers it.
#[derive(Debug, Clone)]
pub(crate) struct PileCert {
    /// CN of the subject: the pile's code [CONTRACT 1].
    pub(crate) common_name: String,
    pub(crate) serial: Serial,
    /// What was revoked meanwhile: a handshake may be drawn out.
    pub(crate) denied: Option<Denied>,
}

/// A certificate's serial number: its bytes without leading zeros, so that every way to write it is the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Serial(Box<[u8]>);

/// Longest serial number, in bytes [RFC 5280 4.1.2.2]. Beyond: not one.
const SERIAL_LEN_MAX: usize = 20;

impl Serial {
    fn new(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes.get(zeros..).unwrap_or_default().into())
    }

    /// From hexadecimal digits, with or without colons between bytes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|char| *char != ':').collect();
        if digits.is_empty() || digits.len() > 2 * SERIAL_LEN_MAX || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        even.as_bytes().chunks(2).map(byte).collect::<Option<Vec<_>>>().map(|bytes| Self::new(&bytes))
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl PileCert {
    /// A certificate that opens nothing.
    pub(crate) fn nobody() -> Self {
        Self { common_name: String::new(), serial: Serial::new(&[]), denied: None }
    }

    /// Whether it was revoked since it was looked at.
    pub(crate) fn is_denied(&self) -> bool {
        self.denied.as_ref().is_some_and(|denied| denied.read().contains(&self.serial))
    }

    /// Reads a certificate; `None` when it cannot be read.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, cert) = X509Certificate::from_der(der).ok()?;
        let mut names = cert.subject().iter_common_name();
        let common_name = names.next().and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned();
        // With two names nobody could say which one is meant.
        let common_name = if names.next().is_some() { String::new() } else { common_name };
        Some(Self { common_name, serial: Serial::new(cert.raw_serial()), denied: None })
    }
}

/// When a certificate ends, in seconds since 1970.
pub(crate) fn not_after(der: &[u8]) -> Option<i64> {
    let (_, cert) = X509Certificate::from_der(der).ok()?;
    Some(cert.validity().not_after.timestamp())
}

/// The names in a list of revoked serial numbers; the first line that is none is an error, by its number.
pub(crate) fn read_revoked(text: &str) -> Result<Vec<Serial>, usize> {
    let content = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, content(line)))
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| Serial::parse(&line).ok_or(number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_serial_number_is_the_same_however_it_is_written() {
        let one = Serial::parse("0a:Bc").unwrap();
        for text in ["0abc", "ABC", "00:0a:bc", "000ABC"] {
            assert_eq!(Serial::parse(text).unwrap(), one, "{text}");
        }
        assert_eq!(one.to_string(), "0abc");
        assert_eq!(Serial::new(&[0, 0, 0x0a, 0xbc]), one);
        for text in ["", "xyz", "0x12", &"1".repeat(41)] {
            assert_eq!(Serial::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_list_of_revoked_ones_has_remarks_and_empty_lines_and_names_a_bad_line() {
        let list = "# stolen in May\n0a:bc  # P0007\n\nff\n";
        assert_eq!(read_revoked(list).unwrap(), [Serial::parse("abc").unwrap(), Serial::parse("ff").unwrap()]);
        assert_eq!(read_revoked("ab\nP0007\n"), Err(2));
    }
}
