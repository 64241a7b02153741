//! One charge at one gun: energy integrated exactly, caps and a full battery noticed at the second they come.

use domain::{ConnectorId, Millis, OrderNo, SocTenths, StopReason, Timestamp, WattHours, Watts, wire::UpFrame};

use super::{
    curve::{Curve, WATT_MS_PER_WH},
    truth::{ChargeTruth, Fate, Metered},
};
use crate::limits;

/// What the order allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Caps {
    pub(crate) max_time_s: Option<u32>,
    pub(crate) max_energy: Option<WattHours>,
}

/// A running charge; all times are the world's, the pile's clock is applied when a frame is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) order_no: OrderNo,
    pub(crate) connector: ConnectorId,
    pub(crate) curve: Curve,
    pub(crate) caps: Caps,
    pub(crate) began: Timestamp,
    /// Up to here the energy is integrated.
    pub(crate) metered_to: Timestamp,
    energy_wms: i64,
    pub(crate) seq: u32,
    pub(crate) next_status: Timestamp,
    /// A stop that was accepted and takes effect then.
    pub(crate) stop_at: Option<(Timestamp, StopReason)>,
    /// Energy register of the gun when the charge began.
    pub(crate) register_start: WattHours,
    /// Status frames that wait for two more to be made.
    pub(crate) held_back: Vec<UpFrame>,
    pub(crate) truth: ChargeTruth,
}

impl Charge {
    #[allow(clippy::too_many_arguments, reason = "called in one place, with the names of the fields")]
    pub(crate) fn begin(
        order_no: OrderNo,
        connector: ConnectorId,
        curve: Curve,
        caps: Caps,
        now: Timestamp,
        first_status: Timestamp,
        register_start: WattHours,
        truth: ChargeTruth,
    ) -> Self {
        Self {
            order_no,
            connector,
            curve,
            caps,
            began: now,
            metered_to: now,
            energy_wms: 0,
            seq: 0,
            next_status: first_status,
            stop_at: None,
            register_start,
            held_back: Vec::new(),
            truth,
        }
    }

    /// Lets current flow until `to`; stops short of it, and says why, when the battery is full or a cap is reached.
    pub(crate) fn advance(&mut self, to: Timestamp) -> Option<StopReason> {
        let span = to.since(self.metered_to).0;
        let step = (span / limits::CURVE_STEPS_MAX).max(1000);
        while self.metered_to < to {
            if self.curve.is_full(self.energy_wms) {
                return Some(StopReason::Full);
            }
            if self.cap_reached() {
                return Some(StopReason::LimitReached);
            }
            let dt = to.since(self.metered_to).0.min(step);
            let power = self.power();
            self.energy_wms = self.energy_wms.saturating_add(i64::from(power.0).saturating_mul(dt));
            self.metered_to = self.metered_to.plus(Millis(dt));
        }
        None
    }

    fn cap_reached(&self) -> bool {
        let over_time = self.caps.max_time_s.is_some_and(|max| self.elapsed().0 >= Millis::from_secs(i64::from(max)).0);
        over_time || self.caps.max_energy.is_some_and(|max| self.energy() >= max)
    }

    /// Time since current began to flow.
    pub(crate) fn elapsed(&self) -> Millis {
        self.metered_to.since(self.began)
    }

    /// Whole seconds since current began to flow.
    pub(crate) fn elapsed_s(&self) -> u32 {
        u32::try_from(self.elapsed().as_secs()).unwrap_or(0)
    }

    /// Metered since the start.
    pub(crate) const fn energy(&self) -> WattHours {
        WattHours(self.energy_wms / WATT_MS_PER_WH)
    }

    /// Flows at this moment.
    pub(crate) fn power(&self) -> Watts {
        self.curve.power(self.energy_wms, self.elapsed())
    }

    /// Battery at this moment.
    pub(crate) fn soc(&self) -> SocTenths {
        self.curve.soc(self.energy_wms)
    }

    /// Voltage at the gun at this moment.
    pub(crate) fn voltage(&self) -> domain::MilliVolts {
        self.curve.voltage(self.energy_wms)
    }

    /// Notes a reading and returns it.
    pub(crate) fn note(&mut self, at_device: Timestamp, energy: WattHours, fate: Fate) -> Metered {
        self.seq = self.seq.saturating_add(1);
        let metered = Metered { seq: self.seq, at: at_device, energy, total_time_s: self.elapsed_s(), fate };
        self.truth.readings.push(metered);
        metered
    }
}
