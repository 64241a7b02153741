//! How much power flows into a car: a ramp at the start, a plateau, a taper towards full. Integers only.

use domain::{MilliAmps, MilliVolts, Millis, SocTenths, Watts};

/// One watt for one millisecond: the unit in which energy is integrated, so that nothing is rounded on the way.
pub const WATT_MS_PER_WH: i64 = 3_600_000;

/// What feeds the car.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// The pile converts; the car's battery sets the voltage.
    Dc,
    /// The car converts.
    Ac,
}

/// The car at the gun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Car {
    /// Size of its battery in Wh.
    pub battery_wh: i64,
    /// Charge of its battery when it arrives.
    pub soc: SocTenths,
    /// What it takes at most.
    pub max_power: Watts,
}

/// A pile's gun and a car, as a function from charge and time to power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    /// What feeds the car.
    pub supply: Supply,
    /// What the gun gives at most, caps of the order included.
    pub gun_max: Watts,
    /// The car.
    pub car: Car,
}

/// Contactors close and the current climbs for so long.
const RAMP_MS: i64 = 15_000;
/// From this charge on a DC charge slows down.
const DC_TAPER_FROM: i64 = 800;
/// From this charge on an AC charge slows down.
const AC_TAPER_FROM: i64 = 950;
/// A full battery.
const FULL: i64 = 1000;

impl Curve {
    /// Charge of the battery after `energy` W·ms.
    #[must_use]
    pub fn soc(&self, energy_wms: i64) -> SocTenths {
        let capacity = self.car.battery_wh.max(1).saturating_mul(WATT_MS_PER_WH);
        let gained = i128::from(energy_wms).saturating_mul(1000).checked_div(i128::from(capacity)).unwrap_or(0);
        let tenths = i128::from(self.car.soc.0).saturating_add(gained).clamp(0, 1000);
        SocTenths(i16::try_from(tenths).unwrap_or(1000))
    }

    /// Whether the battery takes no more.
    #[must_use]
    pub fn is_full(&self, energy_wms: i64) -> bool {
        i64::from(self.soc(energy_wms).0) >= FULL
    }

    /// The power that flows.
    #[must_use]
    pub fn power(&self, energy_wms: i64, since_start: Millis) -> Watts {
        let plateau = i64::from(self.gun_max.0.min(self.car.max_power.0).max(0));
        let soc = i64::from(self.soc(energy_wms).0);
        if soc >= FULL {
            return Watts::ZERO;
        }
        let taper_from = match self.supply {
            Supply::Dc => DC_TAPER_FROM,
            Supply::Ac => AC_TAPER_FROM,
        };
        let tapered = if soc > taper_from {
            let left = plateau.saturating_mul(FULL.saturating_sub(soc));
            left.checked_div(FULL.saturating_sub(taper_from)).unwrap_or(0).max(plateau / 20)
        } else {
            plateau
        };
        let ramp = since_start.0.clamp(RAMP_MS / 10, RAMP_MS);
        let power = tapered.saturating_mul(ramp).checked_div(RAMP_MS).unwrap_or(0);
        Watts(i32::try_from(power).unwrap_or(i32::MAX))
    }

    /// The voltage at the gun: the battery's for DC, the mains' for AC.
    #[must_use]
    pub fn voltage(&self, energy_wms: i64) -> MilliVolts {
        match self.supply {
            Supply::Dc => MilliVolts(330_000_i32.saturating_add(i32::from(self.soc(energy_wms).0).saturating_mul(90))),
            Supply::Ac => MilliVolts(220_000),
        }
    }
}

/// The current that carries a power at a voltage.
#[must_use]
pub fn current(power: Watts, voltage: MilliVolts) -> MilliAmps {
    let milliamps = i64::from(power.0).saturating_mul(1_000_000).checked_div(i64::from(voltage.0)).unwrap_or(0);
    MilliAmps(i32::try_from(milliamps).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(soc: i16) -> Curve {
        Curve {
            supply: Supply::Dc,
            gun_max: Watts(60_000),
            car: Car { battery_wh: 60_000, soc: SocTenths(soc), max_power: Watts(120_000) },
        }
    }

    #[test]
    fn power_climbs_stays_and_tapers_over_80_percent() {
        let late = Millis(60_000);
        let table = [
            // soc, since start, power
            (300, Millis(0), 6_000),
            (300, Millis(7_500), 30_000),
            (300, late, 60_000),
            (800, late, 60_000),
            (900, late, 30_000),
            (999, late, 3_000),
            (1000, late, 0),
        ];
        for (soc, since, watts) in table {
            assert_eq!(curve(soc).power(0, since), Watts(watts), "at {soc} tenths after {since:?}");
        }
    }

    #[test]
    fn charge_of_the_battery_follows_the_energy() {
        // 6 kWh into 60 kWh are 10 %.
        assert_eq!(curve(300).soc(6_000 * WATT_MS_PER_WH), SocTenths(400));
        assert!(curve(300).is_full(42_000 * WATT_MS_PER_WH));
    }

    #[test]
    fn current_is_power_over_voltage() {
        assert_eq!(current(Watts(60_000), MilliVolts(400_000)), MilliAmps(150_000));
        assert_eq!(current(Watts(60_000), MilliVolts(0)), MilliAmps(0));
    }
}
