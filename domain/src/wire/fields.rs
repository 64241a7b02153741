//! One field of a frame: from its raw JSON text to a typed value, or an error that names field, value and reason.
//!
//! Knows types and their limits, no frame. Every reader takes the value exactly as it stands in the payload.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::{
    FrameError, Reason,
    decimal::{self, DECI, DecimalError, MILLI},
};
use crate::{
    ConnectorId, DeciCelsius, MilliAmps, MilliVolts, OrderNo, SocTenths, StopReason, Timestamp, WattHours, Watts,
    ids::BadId,
    limits::{CONNECTORS_MAX, ENERGY_WH_MAX, METER_WH_MAX, TEXT_LEN_MAX},
    wire::ReportedStatus,
};

/// A value as it stands in the payload; `None` when it is absent or null.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// What reads one field: its name for the error, its raw text.
type Read<'a, T> = fn(&'static str, &'a str) -> Result<T, FrameError>;

/// A struct that is read from a JSON object only; serde's derive would take an array of its fields as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

pub(super) fn required<'a, T>(name: &'static str, raw: Raw<'a>, read: Read<'a, T>) -> Result<T, FrameError> {
    raw.map_or_else(|| Err(FrameError::missing(name)), |raw| read(name, raw.get()))
}

pub(super) fn optional<'a, T>(name: &'static str, raw: Raw<'a>, read: Read<'a, T>) -> Result<Option<T>, FrameError> {
    raw.map(|raw| read(name, raw.get())).transpose()
}

/// Like [`optional`] for texts: an empty one says nothing either.
pub(super) fn optional_text<'a, T>(
    name: &'static str,
    raw: Raw<'a>,
    read: Read<'a, T>,
) -> Result<Option<T>, FrameError> {
    optional(name, raw.filter(|raw| raw.get() != r#""""#), read)
}

pub(super) fn text<'a>(name: &'static str, raw: &'a str) -> Result<Cow<'a, str>, FrameError> {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(FrameError::value(Reason::WrongType, name, raw, "must be a text"));
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw)
        .map(Cow::Owned)
        .map_err(|error| FrameError::value(Reason::MalformedJson, name, raw, error))
}

/// Words for people, cut to [`TEXT_LEN_MAX`] bytes at a character.
pub(super) fn words(name: &'static str, raw: &str) -> Result<String, FrameError> {
    let mut words = text(name, raw)?.into_owned();
    words.truncate(words.floor_char_boundary(TEXT_LEN_MAX));
    Ok(words)
}

pub(super) fn flag(name: &'static str, raw: &str) -> Result<bool, FrameError> {
    match raw {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(FrameError::value(Reason::WrongType, name, raw, "must be true or false")),
    }
}

/// The text of a number, which may come in quotes.
fn number<'a>(name: &'static str, raw: &'a str) -> Result<Cow<'a, str>, FrameError> {
    match raw.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(raw)),
        Some(b'"') => text(name, raw),
        _ => Err(FrameError::value(Reason::WrongType, name, raw, "must be a number")),
    }
}

fn decimal_error(name: &'static str, raw: &str, error: DecimalError) -> FrameError {
    let reason = match error {
        DecimalError::NotANumber | DecimalError::NotWhole => Reason::WrongType,
        DecimalError::Negative | DecimalError::TooLarge => Reason::OutOfRange,
    };
    FrameError::value(reason, name, raw, error)
}

fn out_of_range(name: &'static str, raw: &str, why: impl std::fmt::Display) -> FrameError {
    FrameError::value(Reason::OutOfRange, name, raw, why)
}

/// A number of small units that may be negative: currents that flow back, temperatures below zero.
fn signed<T: TryFrom<i64>>(name: &'static str, raw: &str, scale: u8) -> Result<T, FrameError> {
    let value = decimal::scaled(&number(name, raw)?, scale).map_err(|error| decimal_error(name, raw, error))?;
    T::try_from(value).map_err(|_| out_of_range(name, raw, DecimalError::TooLarge))
}

fn bounded(name: &'static str, raw: &str, scale: u8, max: i64) -> Result<i64, FrameError> {
    let value =
        decimal::scaled_non_negative(&number(name, raw)?, scale).map_err(|error| decimal_error(name, raw, error))?;
    if value > max { Err(out_of_range(name, raw, DecimalError::TooLarge)) } else { Ok(value) }
}

fn whole(name: &'static str, raw: &str) -> Result<i64, FrameError> {
    decimal::whole(&number(name, raw)?).map_err(|error| decimal_error(name, raw, error))
}

pub(super) fn volts(name: &'static str, raw: &str) -> Result<MilliVolts, FrameError> {
    signed(name, raw, MILLI).map(MilliVolts)
}

pub(super) fn amps(name: &'static str, raw: &str) -> Result<MilliAmps, FrameError> {
    signed(name, raw, MILLI).map(MilliAmps)
}

pub(super) fn kilowatts(name: &'static str, raw: &str) -> Result<Watts, FrameError> {
    signed(name, raw, MILLI).map(Watts)
}

pub(super) fn celsius(name: &'static str, raw: &str) -> Result<DeciCelsius, FrameError> {
    signed(name, raw, DECI).map(DeciCelsius)
}

/// kWh of one order.
pub(super) fn energy(name: &'static str, raw: &str) -> Result<WattHours, FrameError> {
    bounded(name, raw, MILLI, ENERGY_WH_MAX).map(WattHours)
}

/// kWh of an energy register, which never starts again.
pub(super) fn register(name: &'static str, raw: &str) -> Result<WattHours, FrameError> {
    bounded(name, raw, MILLI, METER_WH_MAX).map(WattHours)
}

pub(super) fn percent(name: &'static str, raw: &str) -> Result<SocTenths, FrameError> {
    let tenths: i16 = signed(name, raw, DECI)?;
    if (0..=1000).contains(&tenths) {
        Ok(SocTenths(tenths))
    } else {
        Err(out_of_range(name, raw, "must be between 0 and 100"))
    }
}

/// Seconds; a part of a second is rounded half up.
pub(super) fn seconds(name: &'static str, raw: &str) -> Result<u32, FrameError> {
    let value = bounded(name, raw, 0, u32::MAX.into())?;
    u32::try_from(value).map_err(|_| out_of_range(name, raw, DecimalError::TooLarge))
}

/// A running number that starts at 1.
pub(super) fn seq(name: &'static str, raw: &str) -> Result<u32, FrameError> {
    match u32::try_from(whole(name, raw)?) {
        Ok(value) if value >= 1 => Ok(value),
        _ => Err(out_of_range(name, raw, "must be 1 or more, in 32 bits")),
    }
}

/// A running number of heartbeats, wherever it starts.
pub(super) fn count(name: &'static str, raw: &str) -> Result<u64, FrameError> {
    u64::try_from(whole(name, raw)?).map_err(|_| out_of_range(name, raw, DecimalError::Negative))
}

pub(super) fn connector(name: &'static str, raw: &str) -> Result<ConnectorId, FrameError> {
    match u8::try_from(whole(name, raw)?) {
        Ok(id) if id <= CONNECTORS_MAX => Ok(ConnectorId(id)),
        _ => {
            let why = format!("must be between 0 and {CONNECTORS_MAX}");
            Err(FrameError::value(Reason::BadConnector, name, raw, why))
        }
    }
}

pub(super) fn reported_status(name: &'static str, raw: &str) -> Result<ReportedStatus, FrameError> {
    match whole(name, raw)? {
        1 => Ok(ReportedStatus::Idle),
        2 => Ok(ReportedStatus::Charging),
        3 => Ok(ReportedStatus::Fault),
        4 => Ok(ReportedStatus::Unavailable),
        _ => Err(out_of_range(name, raw, "must be 1, 2, 3 or 4")),
    }
}

pub(super) fn stop_reason(name: &'static str, raw: &str) -> Result<StopReason, FrameError> {
    u8::try_from(whole(name, raw)?)
        .ok()
        .and_then(StopReason::from_code)
        .ok_or_else(|| out_of_range(name, raw, "must be 1 to 10 or 99"))
}

/// Epoch milliseconds as a number or numeric string, or RFC 3339; parts of a millisecond are cut off.
///
/// Any time from year 0 to 9999 is believed here: odd ones are for the bill's review, never for the quarantine.
pub(super) fn time(name: &'static str, raw: &str) -> Result<Timestamp, FrameError> {
    let digits = number(name, raw)?;
    match decimal::truncated(&digits) {
        Ok(ms) => Timestamp::from_millis(ms).ok_or_else(|| out_of_range(name, raw, "must be in years 0 to 9999")),
        Err(DecimalError::NotANumber) => {
            Timestamp::parse_rfc3339(&digits).map_err(|error| FrameError::value(Reason::WrongType, name, raw, error))
        }
        Err(error @ (DecimalError::Negative | DecimalError::NotWhole | DecimalError::TooLarge)) => {
            Err(decimal_error(name, raw, error))
        }
    }
}

/// A number that no order can have is the number of no order.
pub(super) fn order_no(name: &'static str, raw: &str) -> Result<OrderNo, FrameError> {
    OrderNo::parse(&text(name, raw)?).map_err(|bad| FrameError::value(Reason::UnknownOrder, name, raw, bad.rule))
}

/// Any other id, by its own parse function.
pub(super) fn id<T>(name: &'static str, raw: &str, parse: fn(&str) -> Result<T, BadId>) -> Result<T, FrameError> {
    parse(&text(name, raw)?).map_err(|bad| out_of_range(name, raw, bad.rule))
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(name: &'static str, raw: &str, choices: &[(&str, T)]) -> Result<T, FrameError> {
    let said = text(name, raw)?;
    choices.iter().find(|(word, _)| *word == said).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        out_of_range(name, raw, format!("must be one of {}", words.join(", ")))
    })
}
