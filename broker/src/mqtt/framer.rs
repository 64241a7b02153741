//! Cuts a stream of bytes into packets: in place when a packet came whole, else in a buffer of the connection's own.
//!
//! A body longer than [`BODY_KEPT_MAX`] is read to its end but only its start is kept, so one connection never holds
//! more than that.

use std::ops::ControlFlow;

use crate::limits::{BODY_KEPT_MAX, PACKET_LEN_MAX};

/// PUBLISH, the one packet whose body may be cut.
const PUBLISH: u8 = 3;
/// A fixed header is one byte of type and one to four of length [MQTT-2.2.3].
const HEADER_LEN_MAX: usize = 5;

/// One packet, its body perhaps cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw<'a> {
    /// First byte: type and flags.
    pub(crate) first: u8,
    /// The body, or its first [`BODY_KEPT_MAX`] bytes.
    pub(crate) body: &'a [u8],
    /// Length of the whole body.
    pub(crate) len: usize,
}

/// What no MQTT 3.1.1 client sends: the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unframed {
    /// The length has more than four bytes.
    BadLength,
    /// The packet claims more than is ever accepted.
    TooLong,
}

/// What a fixed header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    first: u8,
    header_len: usize,
    body_len: usize,
}

impl Header {
    /// `None` when more bytes are needed.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Unframed> {
        let Some((&first, lengths)) = bytes.split_first() else { return Ok(None) };
        let mut body_len = 0_usize;
        for (at, byte) in lengths.iter().take(HEADER_LEN_MAX - 1).enumerate() {
            body_len |= usize::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                let header = Self { first, header_len: at + 2, body_len };
                return if header.is_acceptable() { Ok(Some(header)) } else { Err(Unframed::TooLong) };
            }
        }
        if lengths.len() >= HEADER_LEN_MAX - 1 { Err(Unframed::BadLength) } else { Ok(None) }
    }

    const fn is_acceptable(self) -> bool {
        self.body_len <= BODY_KEPT_MAX || (self.first >> 4 == PUBLISH && self.body_len <= PACKET_LEN_MAX)
    }

    fn kept(self) -> usize {
        self.body_len.min(BODY_KEPT_MAX)
    }
}

/// The part of a packet that has come so far.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// Header and kept body of the packet that is not whole yet; empty between packets.
    part: Vec<u8>,
    /// Bytes of its body that still come and are not kept.
    skip: usize,
}

impl Framer {
    /// Whether a packet is half read.
    pub(crate) const fn is_midway(&self) -> bool {
        !self.part.is_empty()
    }

    /// Bytes of memory that a packet takes that came in part.
    pub(crate) const fn held(&self) -> usize {
        self.part.capacity()
    }

    /// Takes the next bytes of the stream and hands on each packet that is whole. Stops for good when `packet`
    /// breaks.
    ///
    /// # Errors
    /// [`Unframed`] at the header of a packet that must not be read.
    pub(crate) fn feed<B>(
        &mut self,
        mut input: &[u8],
        mut packet: impl FnMut(Raw<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, Unframed> {
        loop {
            if self.part.is_empty() {
                let Some((raw, rest)) = self.whole(input)? else { return Ok(ControlFlow::Continue(())) };
                input = rest;
                if let ControlFlow::Break(stop) = packet(raw) {
                    return Ok(ControlFlow::Break(stop));
                }
            } else {
                let Some(header) = self.top_up(&mut input)? else { return Ok(ControlFlow::Continue(())) };
                let part = std::mem::take(&mut self.part);
                let body = part.get(header.header_len..).unwrap_or_default();
                if let ControlFlow::Break(stop) = packet(Raw { first: header.first, body, len: header.body_len }) {
                    return Ok(ControlFlow::Break(stop));
                }
            }
        }
    }

    /// The packet at the start of `input` and what follows it. Else all of `input` is kept for later.
    fn whole<'a>(&mut self, input: &'a [u8]) -> Result<Option<(Raw<'a>, &'a [u8])>, Unframed> {
        let Some(header) = Header::read(input)? else {
            self.part.extend_from_slice(input);
            return Ok(None);
        };
        let after_header = input.get(header.header_len..).unwrap_or_default();
        if let Some((body, rest)) = after_header.split_at_checked(header.body_len) {
            let body = body.get(..header.kept()).unwrap_or(body);
            return Ok(Some((Raw { first: header.first, body, len: header.body_len }, rest)));
        }
        let kept = input.get(..header.header_len + header.kept()).unwrap_or(input);
        self.part.extend_from_slice(kept);
        self.skip = header.body_len - header.kept();
        self.skip -= input.len() - kept.len();
        Ok(None)
    }

    /// Takes from `input` what the half-read packet lacks; its header once it is whole.
    fn top_up(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Unframed> {
        let header = loop {
            if let Some(header) = Header::read(&self.part)? {
                break header;
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            self.part.push(*byte);
            *input = rest;
            if let Some(header) = Header::read(&self.part)? {
                self.skip = header.body_len - header.kept();
            }
        };
        let lacks = (header.header_len + header.kept()).saturating_sub(self.part.len());
        let (more, rest) = input.split_at_checked(lacks).unwrap_or((*input, &[]));
        self.part.extend_from_slice(more);
        let (skipped, rest) = rest.split_at_checked(self.skip).unwrap_or((rest, &[]));
        self.skip -= skipped.len();
        *input = rest;
        Ok((more.len() == lacks && self.skip == 0).then_some(header))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Seen = Vec<(u8, Vec<u8>, usize)>;

    fn feed_in(framer: &mut Framer, pieces: &[&[u8]]) -> Result<Seen, Unframed> {
        let mut seen = Vec::new();
        for piece in pieces {
            let flow: ControlFlow<()> = framer.feed(piece, |raw| {
                seen.push((raw.first, raw.body.to_vec(), raw.len));
                ControlFlow::Continue(())
            })?;
            assert!(flow.is_continue());
        }
        Ok(seen)
    }

    fn packet(first: u8, body_len: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        crate::mqtt::write::remaining_length(&mut bytes, body_len);
        bytes.extend((0..body_len).map(|at| u8::try_from(at % 251).unwrap()));
        bytes
    }

    #[test]
    fn packets_that_came_whole_are_cut_apart() {
        let mut framer = Framer::default();
        let bytes = [packet(0xc0, 0), packet(0x30, 200), packet(0x82, 3)].concat();
        let seen = feed_in(&mut framer, &[&bytes]).unwrap();
        assert_eq!(
            seen.iter().map(|(first, _, len)| (*first, *len)).collect::<Vec<_>>(),
            [(0xc0, 0), (0x30, 200), (0x82, 3)]
        );
        assert!(!framer.is_midway());
    }

    #[test]
    fn an_oversize_publish_is_read_to_its_end_and_its_start_is_kept() {
        for body_len in [BODY_KEPT_MAX, BODY_KEPT_MAX + 1, 70_000, PACKET_LEN_MAX] {
            let bytes = [packet(0x32, body_len), packet(0xc0, 0)].concat();
            for piece_len in [1_000, 65_536, bytes.len()] {
                let mut framer = Framer::default();
                let pieces: Vec<_> = bytes.chunks(piece_len).collect();
                let seen = feed_in(&mut framer, &pieces).unwrap();
                assert_eq!(seen.len(), 2, "{body_len} in pieces of {piece_len}");
                assert_eq!(seen[0].2, body_len);
                assert_eq!(seen[0].1.len(), body_len.min(BODY_KEPT_MAX));
                assert_eq!(seen[1].0, 0xc0);
            }
        }
    }

    #[test]
    fn a_packet_that_claims_too_much_is_refused_at_its_header() {
        let too_long = |first: u8, len: usize| {
            let header = packet(first, len)[..5].to_vec();
            feed_in(&mut Framer::default(), &[&header])
        };
        assert_eq!(too_long(0x30, PACKET_LEN_MAX), Ok(vec![]));
        assert_eq!(too_long(0x30, PACKET_LEN_MAX + 1), Err(Unframed::TooLong));
        assert_eq!(too_long(0x10, BODY_KEPT_MAX + 1), Err(Unframed::TooLong));
        assert_eq!(feed_in(&mut Framer::default(), &[&[0x30, 0xff, 0xff, 0xff, 0xff]]), Err(Unframed::BadLength));
        assert_eq!(feed_in(&mut Framer::default(), &[&[0x30, 0xff], &[0xff, 0xff], &[0xff]]), Err(Unframed::BadLength));
    }

    #[test]
    fn nothing_is_handed_on_after_a_break() {
        let mut framer = Framer::default();
        let mut seen = 0;
        let flow = framer.feed(&[packet(0xc0, 0), packet(0xc0, 0)].concat(), |_| {
            seen += 1;
            ControlFlow::Break("stop")
        });
        assert_eq!((flow, seen), (Ok(ControlFlow::Break("stop")), 1));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_packets(
            lens in proptest::collection::vec((0_u8..16, 0_usize..600), 1..8),
            cuts in proptest::collection::vec(0_usize..4_000, 0..12),
        ) {
            let bytes: Vec<u8> = lens.iter().flat_map(|(kind, len)| packet(kind << 4, *len)).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            let whole = feed_in(&mut Framer::default(), &[&bytes]).unwrap();
            prop_assert_eq!(whole.len(), lens.len());
            prop_assert_eq!(feed_in(&mut Framer::default(), &pieces).unwrap(), whole);
        }

        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_one_body(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let mut framer = Framer::default();
            for piece in &pieces {
                if feed_in(&mut framer, &[piece]).is_err() {
                    break;
                }
                prop_assert!(framer.part.len() <= BODY_KEPT_MAX + HEADER_LEN_MAX);
            }
        }
    }
}
