//! Payloads of chargers → frames [CONTRACT 1.1 to 1.5].
//!
//! The rules, for every frame: unknown fields are ignored; null, or an empty text, in an optional field says nothing;
//! a key of the contract that is there twice is refused, for nobody can say which one was meant; every number may come
//! in quotes. A frame is understood whole or not at all. Knows no pile's size and no order: what a frame claims about
//! those is checked by their owners.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    AckResult, ChargingStatus, CommandAck, ConnectorReport, EventKind, Finished, FrameError, Heartbeat, Meter,
    PileEvent, Reason, UpFrame, UpTopic,
    error::quote,
    fields::{
        Object, Raw, amps, celsius, connector, count, energy, flag, id, kilowatts, one_of, optional, optional_text,
        order_no, percent, register, reported_status, required, seconds, seq, stop_reason, text, time, volts, words,
    },
};
use crate::{
    CommandId, ConnectorId, EventId,
    limits::{CONNECTORS_MAX, PAYLOAD_LEN_MAX},
};

/// Reads a frame that the pile `pile` sent on `topic`.
///
/// # Errors
/// [`FrameError`] with reason, field and words: the frame belongs into the quarantine.
pub fn parse(topic: UpTopic, pile: &str, payload: &[u8]) -> Result<UpFrame, FrameError> {
    match topic {
        UpTopic::Heartbeat => heartbeat(pile, object(payload)?).map(UpFrame::Heartbeat),
        UpTopic::Status => status(pile, &object(payload)?).map(UpFrame::Status),
        UpTopic::Finished => finished(pile, &object(payload)?).map(UpFrame::Finished),
        UpTopic::CommandAck => command_ack(pile, &object(payload)?).map(UpFrame::CommandAck),
        UpTopic::Event => event(pile, &object(payload)?).map(UpFrame::Event),
        UpTopic::Meter => meter(pile, &object(payload)?).map(UpFrame::Meter),
    }
}

/// The fields of a payload, each still in its own text.
///
/// Values are skipped, not built, so that no nesting, however deep, uses the stack.
pub(super) fn object<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, FrameError> {
    if payload.len() > PAYLOAD_LEN_MAX {
        let detail = format!("the payload has {} bytes, at most {PAYLOAD_LEN_MAX} are allowed", payload.len());
        return Err(FrameError::frame(Reason::Oversize, &detail));
    }
    let text = std::str::from_utf8(payload)
        .map_err(|error| FrameError::frame(Reason::MalformedJson, &format!("the payload is not UTF-8: {error}")))?;
    serde_json::from_str::<Object<T>>(text).map(|object| object.0).map_err(|error| {
        let is_other_type = error.is_data() && !text.trim_start().starts_with('{');
        let reason = if is_other_type { Reason::WrongType } else { Reason::MalformedJson };
        FrameError::frame(reason, &format!("{error}, near {}", near(text, &error)))
    })
}

/// The part of the payload around an error, so that `"power": NaN` is seen at a glance.
fn near(text: &str, error: &serde_json::Error) -> String {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or(text);
    let start = line.floor_char_boundary(error.column().saturating_sub(32));
    quote(line.get(start..).unwrap_or(line))
}

/// A frame may name its pile; another one's name means that somebody mixed things up, or tries to.
fn check_pile(pile: &str, raw: Raw<'_>) -> Result<(), FrameError> {
    match optional("pileCode", raw, text)? {
        Some(code) if code != pile => {
            let why = format!("the frame came from pile {pile}");
            Err(FrameError::value(Reason::ForeignPile, "pileCode", &code, why))
        }
        Some(_) | None => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHeartbeat<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    voltage: Raw<'a>,
    #[serde(borrow)]
    current: Raw<'a>,
    #[serde(borrow)]
    power: Raw<'a>,
    #[serde(borrow)]
    temperature: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    seq: Raw<'a>,
    #[serde(borrow)]
    connectors: Raw<'a>,
    #[serde(borrow)]
    firmware: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawConnector<'a> {
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    plugged: Raw<'a>,
    #[serde(borrow)]
    locked: Raw<'a>,
}

fn heartbeat(pile: &str, raw: RawHeartbeat<'_>) -> Result<Heartbeat, FrameError> {
    check_pile(pile, raw.pile_code)?;
    Ok(Heartbeat {
        status: required("status", raw.status, reported_status)?,
        voltage: optional("voltage", raw.voltage, volts)?,
        current: optional("current", raw.current, amps)?,
        power: optional("power", raw.power, kilowatts)?,
        temperature: optional("temperature", raw.temperature, celsius)?,
        timestamp: required("timestamp", raw.timestamp, time)?,
        seq: optional("seq", raw.seq, count)?,
        connectors: raw.connectors.map_or_else(|| Ok(Vec::new()), connectors)?,
        firmware: optional_text("firmware", raw.firmware, words)?,
    })
}

fn connectors(raw: &RawValue) -> Result<Vec<ConnectorReport>, FrameError> {
    let name = "connectors";
    let reports: Vec<Object<RawConnector<'_>>> = serde_json::from_str(raw.get())
        .map_err(|error| FrameError::value(Reason::WrongType, name, raw.get(), error))?;
    if reports.len() > usize::from(CONNECTORS_MAX) {
        let why = format!("a pile has at most {CONNECTORS_MAX} connectors");
        return Err(FrameError::value(Reason::OutOfRange, name, raw.get(), why));
    }
    reports
        .into_iter()
        .map(|Object(report)| {
            Ok(ConnectorReport {
                connector: required("connectors.connectorId", report.connector_id, connector)?,
                status: optional("connectors.status", report.status, reported_status)?,
                plugged: optional("connectors.plugged", report.plugged, flag)?,
                locked: optional("connectors.locked", report.locked, flag)?,
            })
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatus<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    order_no: Raw<'a>,
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    seq: Raw<'a>,
    #[serde(borrow)]
    voltage: Raw<'a>,
    #[serde(borrow)]
    current: Raw<'a>,
    #[serde(borrow)]
    current_power: Raw<'a>,
    #[serde(borrow)]
    total_power: Raw<'a>,
    #[serde(borrow)]
    total_time: Raw<'a>,
    #[serde(borrow)]
    soc: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

fn status(pile: &str, raw: &RawStatus<'_>) -> Result<ChargingStatus, FrameError> {
    check_pile(pile, raw.pile_code)?;
    Ok(ChargingStatus {
        order_no: required("orderNo", raw.order_no, order_no)?,
        connector: optional("connectorId", raw.connector_id, connector)?,
        seq: required("seq", raw.seq, seq)?,
        voltage: optional("voltage", raw.voltage, volts)?,
        current: optional("current", raw.current, amps)?,
        power: optional("currentPower", raw.current_power, kilowatts)?,
        energy: required("totalPower", raw.total_power, energy)?,
        total_time_s: optional("totalTime", raw.total_time, seconds)?,
        soc: optional("soc", raw.soc, percent)?,
        timestamp: required("timestamp", raw.timestamp, time)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFinished<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    order_no: Raw<'a>,
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    seq: Raw<'a>,
    #[serde(borrow)]
    total_power: Raw<'a>,
    #[serde(borrow)]
    total_time: Raw<'a>,
    #[serde(borrow)]
    start_soc: Raw<'a>,
    #[serde(borrow)]
    end_soc: Raw<'a>,
    #[serde(borrow)]
    stop_reason: Raw<'a>,
    #[serde(borrow)]
    start_time: Raw<'a>,
    #[serde(borrow)]
    end_time: Raw<'a>,
    #[serde(borrow)]
    meter_start: Raw<'a>,
    #[serde(borrow)]
    meter_end: Raw<'a>,
    #[serde(borrow)]
    fault_code: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

fn finished(pile: &str, raw: &RawFinished<'_>) -> Result<Finished, FrameError> {
    check_pile(pile, raw.pile_code)?;
    let timestamp = optional("timestamp", raw.timestamp, time)?;
    Ok(Finished {
        order_no: required("orderNo", raw.order_no, order_no)?,
        connector: optional("connectorId", raw.connector_id, connector)?,
        seq: optional("seq", raw.seq, seq)?,
        energy: required("totalPower", raw.total_power, energy)?,
        total_time_s: optional("totalTime", raw.total_time, seconds)?,
        start_soc: optional("startSoc", raw.start_soc, percent)?,
        end_soc: optional("endSoc", raw.end_soc, percent)?,
        stop_reason: required("stopReason", raw.stop_reason, stop_reason)?,
        start_time: optional("startTime", raw.start_time, time)?,
        end_time: optional("endTime", raw.end_time, time)?
            .or(timestamp)
            .ok_or_else(|| FrameError::missing("endTime"))?,
        meter_start: optional("meterStart", raw.meter_start, register)?,
        meter_end: optional("meterEnd", raw.meter_end, register)?,
        fault_code: optional_text("faultCode", raw.fault_code, words)?,
        timestamp,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAck<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    command_id: Raw<'a>,
    #[serde(borrow)]
    order_no: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

fn command_ack(pile: &str, raw: &RawAck<'_>) -> Result<CommandAck, FrameError> {
    const RESULTS: [(&str, AckResult); 2] = [("accepted", AckResult::Accepted), ("rejected", AckResult::Rejected)];
    check_pile(pile, raw.pile_code)?;
    Ok(CommandAck {
        command_id: required("commandId", raw.command_id, |name, raw| id(name, raw, CommandId::parse))?,
        order_no: optional_text("orderNo", raw.order_no, order_no)?,
        result: required("result", raw.result, |name, raw| one_of(name, raw, &RESULTS))?,
        code: optional_text("code", raw.code, words)?,
        message: optional_text("message", raw.message, words)?,
        timestamp: optional("timestamp", raw.timestamp, time)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    event_id: Raw<'a>,
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    fault_code: Raw<'a>,
    #[serde(borrow)]
    detail: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

fn event(pile: &str, raw: &RawEvent<'_>) -> Result<PileEvent, FrameError> {
    check_pile(pile, raw.pile_code)?;
    Ok(PileEvent {
        event_id: required("eventId", raw.event_id, |name, raw| id(name, raw, EventId::parse))?,
        kind: required("type", raw.kind, |name, raw| {
            one_of(name, raw, &EventKind::ALL.map(|kind| (kind.as_str(), kind)))
        })?,
        connector: optional("connectorId", raw.connector_id, connector)?.unwrap_or(ConnectorId::PILE),
        fault_code: optional_text("faultCode", raw.fault_code, words)?,
        detail: optional_text("detail", raw.detail, words)?,
        timestamp: required("timestamp", raw.timestamp, time)?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeter<'a> {
    #[serde(borrow)]
    pile_code: Raw<'a>,
    #[serde(borrow)]
    connector_id: Raw<'a>,
    #[serde(borrow)]
    meter: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
}

fn meter(pile: &str, raw: &RawMeter<'_>) -> Result<Meter, FrameError> {
    check_pile(pile, raw.pile_code)?;
    Ok(Meter {
        connector: required("connectorId", raw.connector_id, connector)?,
        meter: required("meter", raw.meter, register)?,
        timestamp: required("timestamp", raw.timestamp, time)?,
    })
}
