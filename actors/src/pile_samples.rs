//! Heartbeats and meter readings as rows of telemetry.

use domain::{
    ConnectorId, Timestamp,
    wire::{Heartbeat, Meter},
};
use store::telemetry::{Sample, SampleKind};

use crate::slot::Slot;

pub(crate) fn heartbeat_sample(beat: &Heartbeat, slot: &Slot, received: Timestamp) -> Sample {
    use domain::wire::ReportedStatus as R;
    let status = match beat.status {
        R::Idle => 1,
        R::Charging => 2,
        R::Fault => 3,
        R::Unavailable => 4,
    };
    Sample {
        pile_no: slot.no(),
        connector: ConnectorId::PILE,
        received,
        device: beat.timestamp,
        kind: SampleKind::Heartbeat { status, temperature: beat.temperature },
        voltage: beat.voltage,
        current: beat.current,
        power: beat.power,
    }
}

pub(crate) fn meter_sample(meter: &Meter, slot: &Slot, received: Timestamp) -> Sample {
    Sample {
        pile_no: slot.no(),
        connector: meter.connector,
        received,
        device: meter.timestamp,
        kind: SampleKind::Meter { register: meter.meter },
        voltage: None,
        current: None,
        power: None,
    }
}
