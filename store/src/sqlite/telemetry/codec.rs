//! Samples as bytes: each one as its difference to the one before, about a dozen bytes.
//!
//! One format for both places. In the log neighbours are different piles at the same moment; in a chunk they are one
//! pile at different moments: either way most differences are small. Numbers wrap, so that no value is impossible.

use domain::{
    ConnectorId, DeciCelsius, MilliAmps, MilliVolts, OrderNo, PileNo, SocTenths, Timestamp, WattHours, Watts,
};

use super::varint::{Damaged, byte, bytes, put, put_signed, take, take_signed};
use crate::telemetry::{Sample, SampleKind};

/// Bits of a sample's first byte. The two lowest are the kind.
const HEARTBEAT: u8 = 0;
const CHARGING: u8 = 1;
const METER: u8 = 2;
const KIND: u8 = 0b11;
/// The connector is not the one before.
const CONNECTOR: u8 = 1 << 2;
const VOLTAGE: u8 = 1 << 3;
const CURRENT: u8 = 1 << 4;
const POWER: u8 = 1 << 5;
/// Temperature of a heartbeat, total time of a status frame.
const FIRST: u8 = 1 << 6;
/// State of charge of a status frame.
const SECOND: u8 = 1 << 7;

/// How an order is named: the one before, a number, a text.
const SAME_ORDER: u64 = 0;
const NUMBER_ORDER: u64 = 1;
const TEXT_ORDER: u64 = 2;

/// The values the next sample is compared with.
#[derive(Debug, Clone, Default)]
struct Last {
    pile: i64,
    received: i64,
    /// Pile's clock − receive time.
    skew: i64,
    connector: u8,
    voltage: i64,
    current: i64,
    power: i64,
    temperature: i64,
    order: Option<OrderNo>,
    order_number: i64,
    seq: i64,
    energy: i64,
    total_time: i64,
    soc: i64,
    register: i64,
}

/// Whose samples a run of bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Those of many piles: each says its own.
    Many,
    /// Those of one pile.
    One(PileNo),
}

/// Writes samples one behind the other.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    of: Of,
    last: Last,
    buf: Vec<u8>,
}

fn put_diff(buf: &mut Vec<u8>, last: &mut i64, value: i64) {
    put_signed(buf, value.wrapping_sub(*last));
    *last = value;
}

fn bit<T>(value: Option<T>, bit: u8) -> u8 {
    if value.is_some() { bit } else { 0 }
}

impl Encoder {
    /// Empty.
    pub(super) fn new(of: Of) -> Self {
        Self { of, last: Last::default(), buf: Vec::new() }
    }

    /// What was written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    /// Forgets what was written; keeps the room.
    pub(super) fn clear(&mut self) {
        self.last = Last::default();
        self.buf.clear();
    }

    /// Appends a sample.
    pub(super) fn push(&mut self, sample: &Sample) {
        let (kind, first, second) = match &sample.kind {
            SampleKind::Heartbeat { temperature, .. } => (HEARTBEAT, bit(*temperature, FIRST), 0),
            SampleKind::Charging { total_time_s, soc, .. } => (CHARGING, bit(*total_time_s, FIRST), bit(*soc, SECOND)),
            SampleKind::Meter { .. } => (METER, 0, 0),
        };
        let moved = if sample.connector.0 == self.last.connector { 0 } else { CONNECTOR };
        let values = bit(sample.voltage, VOLTAGE) | bit(sample.current, CURRENT) | bit(sample.power, POWER);
        self.buf.push(kind | moved | values | first | second);
        if self.of == Of::Many {
            put_diff(&mut self.buf, &mut self.last.pile, i64::from(sample.pile_no.0));
        }
        let received = sample.received.as_millis();
        put_diff(&mut self.buf, &mut self.last.received, received);
        put_diff(&mut self.buf, &mut self.last.skew, sample.device.as_millis().wrapping_sub(received));
        if moved != 0 {
            self.buf.push(sample.connector.0);
            self.last.connector = sample.connector.0;
        }
        for (value, last) in [
            (sample.voltage.map(|v| v.0), &mut self.last.voltage),
            (sample.current.map(|v| v.0), &mut self.last.current),
            (sample.power.map(|v| v.0), &mut self.last.power),
        ] {
            if let Some(value) = value {
                put_diff(&mut self.buf, last, i64::from(value));
            }
        }
        self.push_kind(&sample.kind);
    }

    fn push_kind(&mut self, kind: &SampleKind) {
        match kind {
            SampleKind::Heartbeat { status, temperature } => {
                self.buf.push(*status);
                if let Some(temperature) = temperature {
                    put_diff(&mut self.buf, &mut self.last.temperature, i64::from(temperature.0));
                }
            }
            SampleKind::Charging { order_no, seq, energy, total_time_s, soc } => {
                self.push_order(order_no);
                put_diff(&mut self.buf, &mut self.last.seq, i64::from(*seq));
                put_diff(&mut self.buf, &mut self.last.energy, energy.0);
                if let Some(total_time_s) = total_time_s {
                    put_diff(&mut self.buf, &mut self.last.total_time, i64::from(*total_time_s));
                }
                if let Some(soc) = soc {
                    put_diff(&mut self.buf, &mut self.last.soc, i64::from(soc.0));
                }
            }
            SampleKind::Meter { register } => put_diff(&mut self.buf, &mut self.last.register, register.0),
        }
    }

    fn push_order(&mut self, order_no: &OrderNo) {
        if self.last.order.as_ref() == Some(order_no) {
            return put(&mut self.buf, SAME_ORDER);
        }
        if let Some(number) = order_no.as_number() {
            put(&mut self.buf, NUMBER_ORDER);
            put_diff(&mut self.buf, &mut self.last.order_number, number);
        } else {
            put(&mut self.buf, TEXT_ORDER);
            let text = order_no.as_str().as_bytes();
            put(&mut self.buf, u64::try_from(text.len()).unwrap_or(u64::MAX));
            self.buf.extend_from_slice(text);
        }
        self.last.order = Some(order_no.clone());
    }
}

/// Reads samples one behind the other; stops after the first damaged one.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    of: Of,
    last: Last,
    rest: &'a [u8],
}

fn take_diff<T: TryFrom<i64>>(rest: &mut &[u8], last: &mut i64) -> Result<T, Damaged> {
    *last = last.wrapping_add(take_signed(rest)?);
    T::try_from(*last).map_err(|_| Damaged("value out of range"))
}

fn take_if<T: TryFrom<i64>>(has: bool, rest: &mut &[u8], last: &mut i64) -> Result<Option<T>, Damaged> {
    if has { take_diff(rest, last).map(Some) } else { Ok(None) }
}

fn time(ms: i64) -> Result<Timestamp, Damaged> {
    Timestamp::from_millis(ms).ok_or(Damaged("time out of range"))
}

impl<'a> Decoder<'a> {
    /// Of what an [`Encoder`] of the same [`Of`] wrote.
    pub(super) fn new(of: Of, bytes: &'a [u8]) -> Self {
        Self { of, last: Last::default(), rest: bytes }
    }

    fn sample(&mut self) -> Result<Sample, Damaged> {
        let tag = byte(&mut self.rest)?;
        let has = |bit: u8| tag & bit != 0;
        let pile_no = match self.of {
            Of::Many => PileNo(take_diff(&mut self.rest, &mut self.last.pile)?),
            Of::One(pile_no) => pile_no,
        };
        let received: i64 = take_diff(&mut self.rest, &mut self.last.received)?;
        let skew: i64 = take_diff(&mut self.rest, &mut self.last.skew)?;
        if has(CONNECTOR) {
            self.last.connector = byte(&mut self.rest)?;
        }
        Ok(Sample {
            pile_no,
            connector: ConnectorId(self.last.connector),
            received: time(received)?,
            device: time(received.wrapping_add(skew))?,
            voltage: take_if(has(VOLTAGE), &mut self.rest, &mut self.last.voltage)?.map(MilliVolts),
            current: take_if(has(CURRENT), &mut self.rest, &mut self.last.current)?.map(MilliAmps),
            power: take_if(has(POWER), &mut self.rest, &mut self.last.power)?.map(Watts),
            kind: self.kind(tag & KIND, has(FIRST), has(SECOND))?,
        })
    }

    fn kind(&mut self, kind: u8, first: bool, second: bool) -> Result<SampleKind, Damaged> {
        match kind {
            HEARTBEAT => Ok(SampleKind::Heartbeat {
                status: byte(&mut self.rest)?,
                temperature: take_if(first, &mut self.rest, &mut self.last.temperature)?.map(DeciCelsius),
            }),
            CHARGING => Ok(SampleKind::Charging {
                order_no: self.order()?,
                seq: take_diff(&mut self.rest, &mut self.last.seq)?,
                energy: WattHours(take_diff(&mut self.rest, &mut self.last.energy)?),
                total_time_s: take_if(first, &mut self.rest, &mut self.last.total_time)?,
                soc: take_if(second, &mut self.rest, &mut self.last.soc)?.map(SocTenths),
            }),
            METER => Ok(SampleKind::Meter { register: WattHours(take_diff(&mut self.rest, &mut self.last.register)?) }),
            _ => Err(Damaged("unknown kind of sample")),
        }
    }

    fn order(&mut self) -> Result<OrderNo, Damaged> {
        let bad = |_| Damaged("no order number");
        let order_no = match take(&mut self.rest)? {
            SAME_ORDER => return self.last.order.clone().ok_or(Damaged("no order before")),
            NUMBER_ORDER => {
                let number: i64 = take_diff(&mut self.rest, &mut self.last.order_number)?;
                OrderNo::parse(&number.to_string()).map_err(bad)?
            }
            TEXT_ORDER => {
                let len = usize::try_from(take(&mut self.rest)?).map_err(|_| Damaged("order number too long"))?;
                let text = std::str::from_utf8(bytes(&mut self.rest, len)?).map_err(|_| Damaged("no text"))?;
                OrderNo::parse(text).map_err(bad)?
            }
            _ => return Err(Damaged("unknown kind of order number")),
        };
        self.last.order = Some(order_no.clone());
        Ok(order_no)
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Sample, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let sample = self.sample();
        if sample.is_err() {
            self.rest = &[];
        }
        Some(sample)
    }
}

#[cfg(test)]
#[allow(clippy::as_conversions, reason = "small numbers of a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = SampleKind> {
        let order =
            prop_oneof!["[1-9][0-9]{0,17}", "[0-9A-Za-z]{1,32}"].prop_map(|text| OrderNo::parse(&text).unwrap());
        prop_oneof![
            (any::<u8>(), any::<Option<i16>>()).prop_map(|(status, temperature)| SampleKind::Heartbeat {
                status,
                temperature: temperature.map(DeciCelsius)
            }),
            (order, any::<u32>(), any::<i64>(), any::<Option<u32>>(), any::<Option<i16>>()).prop_map(
                |(order_no, seq, energy, total_time_s, soc)| SampleKind::Charging {
                    order_no,
                    seq,
                    energy: WattHours(energy),
                    total_time_s,
                    soc: soc.map(SocTenths)
                }
            ),
            any::<i64>().prop_map(|register| SampleKind::Meter { register: WattHours(register) }),
        ]
    }

    fn samples() -> impl Strategy<Value = Sample> {
        let time =
            || (Timestamp::MIN.as_millis()..=Timestamp::MAX.as_millis()).prop_map(Timestamp::from_millis_clamped);
        let value = any::<Option<i32>>;
        (any::<u32>(), 0..4_u8, time(), time(), kinds(), value(), value(), value()).prop_map(
            |(pile_no, connector, received, device, kind, voltage, current, power)| Sample {
                pile_no: PileNo(pile_no),
                connector: ConnectorId(connector),
                received,
                device,
                kind,
                voltage: voltage.map(MilliVolts),
                current: current.map(MilliAmps),
                power: power.map(Watts),
            },
        )
    }

    fn round_trip(of: Of, samples: &[Sample]) {
        let mut encoder = Encoder::new(of);
        samples.iter().for_each(|sample| encoder.push(sample));
        let back: Result<Vec<Sample>, Damaged> = Decoder::new(of, encoder.bytes()).collect();
        assert_eq!(back.as_deref(), Ok(samples));
    }

    proptest! {
        #[test]
        fn every_run_of_samples_comes_back(samples in prop::collection::vec(samples(), 0..50)) {
            round_trip(Of::Many, &samples);
            let own: Vec<Sample> = samples.into_iter().map(|s| Sample { pile_no: PileNo(7), ..s }).collect();
            round_trip(Of::One(PileNo(7)), &own);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for sample in Decoder::new(Of::Many, &bytes) {
                if sample.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_heartbeat_takes_a_dozen_bytes() {
        let mut encoder = Encoder::new(Of::Many);
        for n in 0..1000_u32 {
            encoder.push(&Sample {
                pile_no: PileNo(n.wrapping_mul(7919) % 50_000),
                connector: ConnectorId::PILE,
                received: Timestamp::from_millis_clamped(1_763_690_000_000 + i64::from(n / 50)),
                device: Timestamp::from_millis_clamped(1_763_690_000_000 + i64::from(n % 97) - 50),
                kind: SampleKind::Heartbeat { status: 1, temperature: Some(DeciCelsius(300 + (n % 40) as i16)) },
                voltage: Some(MilliVolts(220_000 + (n % 13) as i32 * 100)),
                current: Some(MilliAmps(0)),
                power: Some(Watts(0)),
            });
        }
        let each = encoder.bytes().len() / 1000;
        assert!((8..=14).contains(&each), "{each} bytes");
    }
}
