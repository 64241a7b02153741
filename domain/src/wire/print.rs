//! Frames as a charger writes them: the other direction of `up`, for simulated piles and for tests.

use super::{
    AckResult, ChargingStatus, CommandAck, EventKind, Finished, Heartbeat, Meter, PileEvent, ReportedStatus, UpFrame,
    decimal::{DECI, MILLI},
    json::ObjectWriter,
};
use crate::PileCode;

/// The payload of a frame, with exact decimals and epoch milliseconds.
///
/// Reading it back gives the same frame, as long as the frame is one that can be read at all: texts not empty and
/// within [`crate::limits::TEXT_LEN_MAX`], numbers within the limits of the wire.
#[must_use]
pub fn print(frame: &UpFrame, pile: &PileCode) -> Vec<u8> {
    let mut out = ObjectWriter::new();
    match frame {
        UpFrame::Heartbeat(heartbeat) => print_heartbeat(&mut out, heartbeat, pile),
        UpFrame::Status(status) => print_status(&mut out, status),
        UpFrame::Finished(finished) => print_finished(&mut out, finished),
        UpFrame::CommandAck(ack) => print_ack(&mut out, ack),
        UpFrame::Event(event) => print_event(&mut out, event),
        UpFrame::Meter(meter) => print_meter(&mut out, *meter),
    }
    out.finish()
}

impl ReportedStatus {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Idle => 1,
            Self::Charging => 2,
            Self::Fault => 3,
            Self::Unavailable => 4,
        }
    }
}

impl AckResult {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Fault, Self::FaultCleared, Self::Plugged, Self::Unplugged, Self::GroundLock, Self::Barrier, Self::Boot];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::FaultCleared => "faultCleared",
            Self::Plugged => "plugged",
            Self::Unplugged => "unplugged",
            Self::GroundLock => "groundLock",
            Self::Barrier => "barrier",
            Self::Boot => "boot",
        }
    }
}

fn print_heartbeat(out: &mut ObjectWriter, frame: &Heartbeat, pile: &PileCode) {
    out.text("pileCode", pile.as_str());
    out.whole("status", frame.status.code());
    out.some(frame.voltage, |out, v| out.decimal("voltage", v.0, MILLI));
    out.some(frame.current, |out, v| out.decimal("current", v.0, MILLI));
    out.some(frame.power, |out, v| out.decimal("power", v.0, MILLI));
    out.some(frame.temperature, |out, v| out.decimal("temperature", v.0, DECI));
    out.time("timestamp", frame.timestamp);
    out.some(frame.seq, |out, v| out.whole("seq", v));
    if !frame.connectors.is_empty() {
        out.objects("connectors", &frame.connectors, |out, connector| {
            out.whole("connectorId", connector.connector);
            out.some(connector.status, |out, v| out.whole("status", v.code()));
            out.some(connector.plugged, |out, v| out.flag("plugged", v));
            out.some(connector.locked, |out, v| out.flag("locked", v));
        });
    }
    out.some(frame.firmware.as_deref(), |out, v| out.text("firmware", v));
}

fn print_status(out: &mut ObjectWriter, frame: &ChargingStatus) {
    out.text("orderNo", frame.order_no.as_str());
    out.some(frame.connector, |out, v| out.whole("connectorId", v));
    out.whole("seq", frame.seq);
    out.some(frame.voltage, |out, v| out.decimal("voltage", v.0, MILLI));
    out.some(frame.current, |out, v| out.decimal("current", v.0, MILLI));
    out.some(frame.power, |out, v| out.decimal("currentPower", v.0, MILLI));
    out.decimal("totalPower", frame.energy.0, MILLI);
    out.some(frame.total_time_s, |out, v| out.whole("totalTime", v));
    out.some(frame.soc, |out, v| out.decimal("soc", v.0, DECI));
    out.time("timestamp", frame.timestamp);
}

fn print_finished(out: &mut ObjectWriter, frame: &Finished) {
    out.text("orderNo", frame.order_no.as_str());
    out.some(frame.connector, |out, v| out.whole("connectorId", v));
    out.some(frame.seq, |out, v| out.whole("seq", v));
    out.decimal("totalPower", frame.energy.0, MILLI);
    out.some(frame.total_time_s, |out, v| out.whole("totalTime", v));
    out.some(frame.start_soc, |out, v| out.decimal("startSoc", v.0, DECI));
    out.some(frame.end_soc, |out, v| out.decimal("endSoc", v.0, DECI));
    out.whole("stopReason", frame.stop_reason.code());
    out.some(frame.start_time, |out, v| out.time("startTime", v));
    out.time("endTime", frame.end_time);
    out.some(frame.meter_start, |out, v| out.decimal("meterStart", v.0, MILLI));
    out.some(frame.meter_end, |out, v| out.decimal("meterEnd", v.0, MILLI));
    out.some(frame.fault_code.as_deref(), |out, v| out.text("faultCode", v));
    out.some(frame.timestamp, |out, v| out.time("timestamp", v));
}

fn print_ack(out: &mut ObjectWriter, frame: &CommandAck) {
    out.text("commandId", frame.command_id.as_str());
    out.some(frame.order_no.as_ref(), |out, v| out.text("orderNo", v.as_str()));
    out.text("result", frame.result.as_str());
    out.some(frame.code.as_deref(), |out, v| out.text("code", v));
    out.some(frame.message.as_deref(), |out, v| out.text("message", v));
    out.some(frame.timestamp, |out, v| out.time("timestamp", v));
}

fn print_event(out: &mut ObjectWriter, frame: &PileEvent) {
    out.text("eventId", frame.event_id.as_str());
    out.text("type", frame.kind.as_str());
    out.whole("connectorId", frame.connector);
    out.some(frame.fault_code.as_deref(), |out, v| out.text("faultCode", v));
    out.some(frame.detail.as_deref(), |out, v| out.text("detail", v));
    out.time("timestamp", frame.timestamp);
}

fn print_meter(out: &mut ObjectWriter, frame: Meter) {
    out.whole("connectorId", frame.connector);
    out.decimal("meter", frame.meter.0, MILLI);
    out.time("timestamp", frame.timestamp);
}
