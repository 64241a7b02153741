//! Who charges where, when, how long and how it ends: drawn from the seed before anything starts, so that a slow hub
//! does not slow down the load that it is given.

use domain::{Millis, SocTenths, Watts};

use crate::{api::OrderLimit, pile::curve::Car, rng::Rng};

/// How a charge ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The driver stops it.
    Driver,
    /// The driver taps twice.
    DriverTwice,
    /// The pile is dark for a while, then the driver stops it.
    DarkThenDriver,
    /// Stopped at the pile.
    Local,
    /// The gun is pulled.
    Unplugged,
    /// The gun breaks.
    Fault,
    /// The order's energy is reached.
    EnergyLimit,
}

/// No charge is longer, so that no bill comes over the sum that waits for a person.
const HOLD_MAX_MS: i64 = 600_000;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPlan {
    /// 0, 1, 2 …
    pub index: usize,
    /// Index of its pile.
    pub pile: usize,
    /// When it begins, from the start of the load.
    pub at: Millis,
    /// How long the car stays before the session is ended.
    pub hold: Millis,
    /// The car.
    pub car: Car,
    /// Paid in before.
    pub top_up_fen: i64,
    /// What the order is limited to.
    pub limit: OrderLimit,
    /// How it ends.
    pub ending: Ending,
    /// How many phones watch.
    pub phones: usize,
}

/// How much load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Seed of everything.
    pub seed: u64,
    /// Piles that are connected.
    pub piles: usize,
    /// Sessions in all.
    pub sessions: usize,
    /// Phones in all.
    pub phones: usize,
    /// From the first session to the last bill.
    pub duration: Millis,
}

/// Draws every session. Sessions beyond the number of piles come in waves; every charge is over within the duration.
#[must_use]
pub fn draw(load: &Load) -> Vec<SessionPlan> {
    if load.piles == 0 || load.sessions == 0 {
        return Vec::new();
    }
    let mut rng = Rng::for_part(load.seed, "plan");
    let waves = i64::try_from(load.sessions.div_ceil(load.piles)).unwrap_or(1);
    let wave_len = load.duration.0 / waves;
    let sessions = (0..load.sessions).map(|index| {
        let wave = i64::try_from(index / load.piles).unwrap_or(0);
        // The first quarter of a wave is its ramp; what is left after the longest charge is for the bills.
        let at = wave.saturating_mul(wave_len).saturating_add(rng.range(0, wave_len / 4));
        let hold = rng.range(wave_len * 3 / 10, wave_len * 6 / 10);
        let ending = ending(&mut rng);
        let amount_fen = rng.per_mille(600).then(|| rng.range(15, 60).saturating_mul(100));
        let energy_wh = (ending == Ending::EnergyLimit).then(|| rng.range(200, 2_000));
        SessionPlan {
            index,
            pile: index % load.piles,
            at: Millis(at),
            hold: Millis(hold.clamp(3_000, HOLD_MAX_MS)),
            car: car(&mut rng),
            top_up_fen: rng.range(1_000, 8_000),
            limit: OrderLimit { amount_fen, energy_wh },
            ending,
            phones: share(load.phones, load.sessions, index),
        }
    });
    sessions.collect()
}

/// The `index`th share of `total` things over `parts`.
fn share(total: usize, parts: usize, index: usize) -> usize {
    let upto = |n: usize| total.saturating_mul(n) / parts;
    upto(index.saturating_add(1)).saturating_sub(upto(index))
}

fn ending(rng: &mut Rng) -> Ending {
    match rng.range(0, 99) {
        0..=59 => Ending::Driver,
        60..=69 => Ending::DriverTwice,
        70..=76 => Ending::DarkThenDriver,
        77..=82 => Ending::Local,
        83..=87 => Ending::Unplugged,
        88..=92 => Ending::Fault,
        _ => Ending::EnergyLimit,
    }
}

fn car(rng: &mut Rng) -> Car {
    Car {
        battery_wh: rng.range(40, 110).saturating_mul(1_000),
        soc: SocTenths(i16::try_from(rng.range(100, 700)).unwrap_or(300)),
        max_power: Watts(i32::try_from(rng.range(60, 400)).unwrap_or(100).saturating_mul(1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load { seed: 1, piles: 20, sessions: 50, phones: 70, duration: Millis(120_000) };

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        assert_eq!(draw(&LOAD), draw(&LOAD));
        assert_ne!(draw(&LOAD), draw(&Load { seed: 2, ..LOAD }));
    }

    #[test]
    fn no_pile_has_two_cars_at_once_and_every_charge_fits() {
        let plan = draw(&LOAD);
        for a in &plan {
            assert!(a.at.0 + a.hold.0 <= LOAD.duration.0, "{a:?}");
            for b in plan.iter().filter(|b| b.pile == a.pile && b.index > a.index) {
                assert!(a.at.0 + a.hold.0 <= b.at.0, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn every_phone_has_a_session() {
        assert_eq!(draw(&LOAD).iter().map(|s| s.phones).sum::<usize>(), 70);
        assert_eq!(draw(&Load { phones: 7, ..LOAD }).iter().map(|s| s.phones).sum::<usize>(), 7);
    }
}
