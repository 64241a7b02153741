//! How frames and link events travel through the router: many in one payload, in the order in which they happened.
//!
//! Little-endian, written and read by this process only; nothing of it is ever stored.

use std::net::{IpAddr, SocketAddr};

use domain::{AckToken, PileNo, Timestamp, wire::UpTopic};

use crate::{identity::Credential, sink::DownCause};

/// A batch begins with its number.
pub(crate) const HEAD_LEN: usize = 8;

const FRAME: u8 = 1;
const UP: u8 = 2;
const DOWN: u8 = 3;
/// Flags of a frame.
const WITH_TOKEN: u8 = 1;
const RETAIN: u8 = 2;

/// One entry of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Frame(FrameRecord<'a>),
    Up { pile_no: PileNo, epoch: u32, code: &'a str, addr: SocketAddr, by: Credential },
    Down { pile_no: PileNo, epoch: u32, cause: DownCause, will: bool },
}

/// A frame as the gate read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameRecord<'a> {
    pub(crate) pile_no: PileNo,
    pub(crate) epoch: u32,
    pub(crate) received: Timestamp,
    pub(crate) topic: UpTopic,
    /// Running number within the connection, for QoS 1.
    pub(crate) token: Option<u32>,
    /// It asked to be retained.
    pub(crate) retain: bool,
    /// The payload, or its start when it is longer than any may be.
    pub(crate) payload: &'a [u8],
    /// Length of the whole payload.
    pub(crate) payload_len: u32,
}

impl FrameRecord<'_> {
    /// The receipt, if the frame is to be acknowledged. The gate's slot of a connection is its pile's number: a pile
    /// has one connection at a time.
    pub(crate) fn ack_token(&self) -> Option<AckToken> {
        self.token.map(|n| AckToken { conn: self.pile_no.0, epoch: self.epoch, n })
    }
}

impl Record<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Frame(frame) => {
                out.push(FRAME);
                put_whose(out, frame.pile_no, frame.epoch);
                let token = if frame.token.is_some() { WITH_TOKEN } else { 0 };
                out.push(token | if frame.retain { RETAIN } else { 0 });
                out.push(frame.topic.code());
                out.extend_from_slice(&frame.token.unwrap_or(0).to_le_bytes());
                out.extend_from_slice(&frame.received.as_millis().to_le_bytes());
                out.extend_from_slice(&frame.payload_len.to_le_bytes());
                put_bytes(out, frame.payload);
            }
            Self::Up { pile_no, epoch, code, addr, by } => {
                out.push(UP);
                put_whose(out, *pile_no, *epoch);
                put_bytes(out, code.as_bytes());
                match addr.ip() {
                    IpAddr::V4(ip) => put_bytes(out, &ip.octets()),
                    IpAddr::V6(ip) => put_bytes(out, &ip.octets()),
                }
                out.extend_from_slice(&addr.port().to_le_bytes());
                out.push(place_of(by, &Credential::ALL));
            }
            Self::Down { pile_no, epoch, cause, will } => {
                out.push(DOWN);
                put_whose(out, *pile_no, *epoch);
                out.push(place_of(cause, &DownCause::ALL));
                out.push(u8::from(*will));
            }
        }
    }
}

fn put_whose(out: &mut Vec<u8>, pile_no: PileNo, epoch: u32) {
    out.extend_from_slice(&pile_no.0.to_le_bytes());
    out.extend_from_slice(&epoch.to_le_bytes());
}

/// Its place in the list of all, which are few.
fn place_of<T: PartialEq>(one: &T, all: &[T]) -> u8 {
    all.iter().position(|other| other == one).and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
}

/// Payloads are bounded far below 4 GiB by the gate's limits.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The number of a batch.
pub(crate) fn number(batch: &[u8]) -> Option<u64> {
    batch.first_chunk().map(|head| u64::from_le_bytes(*head))
}

/// Reads the records of a batch; a broken one ends it.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    left: &'a [u8],
}

impl<'a> Records<'a> {
    /// From `at` bytes into the batch on.
    pub(crate) fn at(batch: &'a [u8], at: usize) -> Self {
        Self { left: batch.get(at..).unwrap_or_default() }
    }

    /// How many bytes are not read yet.
    pub(crate) const fn left(&self) -> usize {
        self.left.len()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, left) = self.left.split_first_chunk()?;
        self.left = left;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (bytes, left) = self.left.split_at_checked(len)?;
        self.left = left;
        Some(bytes)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let kind = self.u8()?;
        let (pile_no, epoch) = (PileNo(self.u32()?), self.u32()?);
        match kind {
            FRAME => {
                let (flags, topic) = (self.u8()?, UpTopic::from_code(self.u8()?)?);
                let n = self.u32()?;
                let received = Timestamp::from_millis_clamped(self.take().map(i64::from_le_bytes)?);
                let (payload_len, payload) = (self.u32()?, self.bytes()?);
                let (token, retain) = ((flags & WITH_TOKEN != 0).then_some(n), flags & RETAIN != 0);
                Some(Record::Frame(FrameRecord {
                    pile_no,
                    epoch,
                    received,
                    topic,
                    token,
                    retain,
                    payload,
                    payload_len,
                }))
            }
            UP => {
                let (code, ip) = (std::str::from_utf8(self.bytes()?).ok()?, self.bytes()?);
                let port = self.take().map(u16::from_le_bytes)?;
                let ip =
                    <[u8; 4]>::try_from(ip).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(ip).map(IpAddr::from));
                let by = *Credential::ALL.get(usize::from(self.u8()?))?;
                Some(Record::Up { pile_no, epoch, code, addr: SocketAddr::new(ip.ok()?, port), by })
            }
            DOWN => {
                let cause = *DownCause::ALL.get(usize::from(self.u8()?))?;
                Some(Record::Down { pile_no, epoch, cause, will: self.u8()? != 0 })
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.left.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_none() {
            tracing::error!(left = self.left.len(), "a batch of the gate's own cannot be read");
            self.left = &[];
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(records: &[Record<'_>]) {
        let mut bytes = 42_u64.to_le_bytes().to_vec();
        for record in records {
            record.write(&mut bytes);
        }
        assert_eq!(number(&bytes), Some(42));
        assert_eq!(Records::at(&bytes, HEAD_LEN).collect::<Vec<_>>(), records);
    }

    #[test]
    fn links_are_read_back() {
        let up =
            |code, addr: &str, by| Record::Up { pile_no: PileNo(7), epoch: 3, code, addr: addr.parse().unwrap(), by };
        let mut records: Vec<_> = Credential::ALL.map(|by| up("P-7", "10.1.2.3:4567", by)).into();
        records.push(up("P", "[2001:db8::1]:1", Credential::Secret));
        records.extend(DownCause::ALL.map(|cause| Record::Down {
            pile_no: PileNo(u32::MAX),
            epoch: u32::MAX,
            cause,
            will: cause.executes_will(),
        }));
        read_back(&records);
    }

    proptest! {
        #[test]
        fn frames_are_read_back(
            no: u32, epoch: u32, ms in 0_i64..4_000_000_000_000, topic in 0_usize..6, token: Option<u32>, retain: bool,
            payload in proptest::collection::vec(any::<u8>(), 0..400), more in 0_u32..1000,
        ) {
            let payload_len = u32::try_from(payload.len()).unwrap() + more;
            let frame = Record::Frame(FrameRecord {
                pile_no: PileNo(no), epoch, received: Timestamp::from_millis(ms).unwrap(), topic: UpTopic::ALL[topic],
                token, retain, payload: &payload, payload_len,
            });
            read_back(&[frame.clone(), frame]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Records::at(&bytes, 0).count();
            let _ = Records::at(&bytes, 400).count();
        }
    }
}
