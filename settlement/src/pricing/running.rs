//! What a running charge has cost so far, for phones: cheap, monotone, and never what is billed.

use std::sync::Arc;

use domain::{Fen, PriceE4, Timestamp, WattHours};

use crate::{
    limits::CHARGE_LEN_MAX,
    tariff::{LocalTime, Period, Tariff, TariffError, validate_periods, zone},
};

/// Wh × 0.0001 yuan per kWh in one fen.
const PER_FEN: i64 = 100_000;

/// The live estimate of one running charge. Fixed size; [`RunningBill::add`] is made for once per status frame: within
/// one period it is two multiplications.
#[derive(Debug, Clone)]
pub struct RunningBill {
    tariff: Arc<Tariff>,
    local: LocalTime,
    /// The plan and period of the last frame and the stretch of time known to lie in it.
    plan: Option<usize>,
    index: usize,
    from_ms: i64,
    until_ms: i64,
    /// The last frame that counted.
    at_ms: i64,
    wh: i64,
    /// Wh × price, summed; saturating.
    electricity: i64,
    service: i64,
    started: bool,
}

/// What a phone shows of the money of a running charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Delivered so far; never goes down.
    pub energy: WattHours,
    /// Cost so far; never goes down.
    pub amount: Fen,
    /// The tariff's plan for the day of the last frame; `None`: the everyday periods.
    pub plan: Option<usize>,
    /// Index of the period the last frame fell into, among those of the day.
    pub period: usize,
    /// Its price.
    pub electricity: PriceE4,
    /// Its price.
    pub service: PriceE4,
}

impl RunningBill {
    /// An estimate that starts at nothing.
    ///
    /// # Errors
    /// [`TariffError`] when the tariff's time zone is unknown or its periods have holes.
    pub fn new(tariff: Arc<Tariff>) -> Result<Self, TariffError> {
        validate_periods(&tariff.periods)?;
        tariff.plans.iter().try_for_each(|plan| validate_periods(&plan.periods))?;
        let local = LocalTime::new(zone(&tariff.timezone)?);
        Ok(Self {
            tariff,
            local,
            plan: None,
            index: 0,
            from_ms: 0,
            until_ms: 0,
            at_ms: 0,
            wh: 0,
            electricity: 0,
            service: 0,
            started: false,
        })
    }

    /// Takes a status frame: its time (corrected, if the caller corrects), its cumulative energy and `totalTime`. A frame
    /// that is older than the last one, or shows less energy, changes nothing.
    pub fn add(&mut self, at: Timestamp, energy: WattHours, total_time_s: Option<u32>) -> Live {
        let at_ms = at.as_millis();
        if !self.started {
            self.started = true;
            let charged_ms = i64::from(total_time_s.unwrap_or(0)).saturating_mul(1000);
            self.at_ms = at_ms.saturating_sub(charged_ms);
            self.enter(self.at_ms);
        }
        if at_ms >= self.at_ms && energy.0 >= self.wh {
            self.advance(at_ms, energy.0);
        }
        self.show()
    }

    /// What the last call of [`RunningBill::add`] answered; `None` before the first.
    #[must_use]
    pub fn live(&self) -> Option<Live> {
        self.started.then(|| self.show())
    }

    /// Label of the period of the last frame, as the operator wrote it; empty before the first frame.
    #[must_use]
    pub fn period_label(&self) -> &str {
        let period = self.started.then(|| self.here()).flatten();
        period.map_or("", |period| period.label.as_str())
    }

    fn show(&self) -> Live {
        let (electricity, service) = self.prices();
        let fen = |sum: i64| sum.saturating_add(PER_FEN.div_euclid(2)).div_euclid(PER_FEN);
        let amount = Fen(fen(self.electricity).saturating_add(fen(self.service)));
        Live { energy: WattHours(self.wh), amount, plan: self.plan, period: self.index, electricity, service }
    }

    fn here(&self) -> Option<&Period> {
        self.tariff.periods_of(self.plan).get(self.index)
    }

    fn prices(&self) -> (PriceE4, PriceE4) {
        self.here().map_or((PriceE4::ZERO, PriceE4::ZERO), |p| (p.electricity, p.service))
    }

    fn advance(&mut self, to_ms: i64, to_wh: i64) {
        let (from_ms, from_wh) = (self.at_ms, self.wh);
        let length_ms = to_ms.saturating_sub(from_ms);
        // A clock that jumps by a year is not walked through day by day; the bill will look at it.
        if length_ms <= CHARGE_LEN_MAX.0 {
            while self.until_ms < to_ms {
                let passed_ms = self.until_ms.saturating_sub(from_ms);
                self.take(from_wh.saturating_add(part(to_wh.saturating_sub(from_wh), passed_ms, length_ms)));
                self.enter(self.until_ms);
            }
        }
        self.take(to_wh);
        self.at_ms = to_ms;
        if to_ms < self.from_ms || to_ms >= self.until_ms {
            self.enter(to_ms);
        }
    }

    /// Prices the energy up to `wh` at the present period.
    fn take(&mut self, wh: i64) {
        let (electricity, service) = self.prices();
        let delta = wh.saturating_sub(self.wh);
        self.electricity = self.electricity.saturating_add(delta.saturating_mul(electricity.0));
        self.service = self.service.saturating_add(delta.saturating_mul(service.0));
        self.wh = wh;
    }

    fn enter(&mut self, at_ms: i64) {
        self.from_ms = at_ms;
        // The periods were checked at the beginning: every minute of the day has one.
        match self.local.spot(&self.tariff, at_ms) {
            Ok(spot) => (self.plan, self.index, self.until_ms) = (spot.plan, spot.index, spot.until_ms),
            Err(_) => self.until_ms = i64::MAX,
        }
    }
}

/// `floor(wh · passed / length)`; nothing when no time passed.
fn part(wh: i64, passed_ms: i64, length_ms: i64) -> i64 {
    let product = i128::from(wh).saturating_mul(i128::from(passed_ms));
    product.checked_div(i128::from(length_ms)).and_then(|part| i64::try_from(part).ok()).unwrap_or(0)
}
