//! A simulated pile as a pure machine: events and the time go in, frames to publish come out.
//!
//! Knows no socket, no clock and no hub. The same seed and the same events at the same times give the same frames.
//!
//! ```text
//! gun:  idle ──startCharging──▶ starting ──contactor closed──▶ charging ──stop, full, cap, fault, gun pulled──▶ idle
//! record: made at the end of a charge ──▶ sent, and again, until `record/ack` ──▶ forgotten, truth handed over
//! ```

mod charge;
mod commands;
pub mod curve;
mod frames;
mod outbox;
mod records;
mod timers;
pub mod truth;

use std::collections::VecDeque;

use domain::{
    CommandId, ConnectorId, Millis, OrderNo, PileCode, StopReason, Timestamp, WattHours, Watts,
    command::Command,
    wire::{EventKind, RecordAckResult},
};

use self::{
    charge::{Caps, Charge},
    curve::{Car, Supply},
    outbox::Outbox,
    records::KeptRecord,
    truth::{ChargeTruth, Mischief},
};
pub use outbox::Outgoing;

use crate::rng::Rng;

/// What a pile is and how it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PileConfig {
    /// Its name.
    pub code: PileCode,
    /// AC or DC.
    pub supply: Supply,
    /// Number of guns.
    pub connectors: u8,
    /// Rated power of one gun.
    pub max_power: Watts,
    /// Time between two heartbeats.
    pub heartbeat_every: Millis,
    /// Whether heartbeats ask for a PUBACK.
    pub heartbeat_qos1: bool,
    /// Time between two status frames of a charge.
    pub status_every: Millis,
    /// From an accepted start to current.
    pub start_delay: Millis,
    /// From an accepted stop to the end of current.
    pub stop_delay: Millis,
    /// How long the pile waits for `record/ack` before it sends the record again.
    pub record_resend_every: Millis,
    /// How much the pile's clock is ahead of the world's. A pile with a wrong clock refuses `syncTime` and believes
    /// no `expiresAt`.
    pub clock_offset: Millis,
    /// How often out of 1,000 charges each kind of mischief happens.
    pub mischief_per_mille: u32,
    /// Seed of everything random about this pile; give each pile its own.
    pub seed: u64,
}

impl PileConfig {
    /// A well-behaved DC pile with one gun.
    #[must_use]
    pub fn dc(code: PileCode, max_power: Watts, seed: u64) -> Self {
        Self {
            code,
            supply: Supply::Dc,
            connectors: 1,
            max_power,
            heartbeat_every: Millis::from_secs(30),
            heartbeat_qos1: true,
            status_every: Millis::from_secs(5),
            start_delay: Millis(300),
            stop_delay: Millis::default(),
            record_resend_every: Millis::from_secs(10),
            clock_offset: Millis::default(),
            mischief_per_mille: 0,
            seed,
        }
    }
}

/// What happens to a pile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The hub accepted the connection and the subscriptions.
    Connected,
    /// The connection is gone.
    Disconnected,
    /// The hub acknowledged a publish.
    Puback {
        /// Which.
        tag: u64,
    },
    /// The hub asks for something.
    Command(Command),
    /// The hub answered to a record.
    RecordAck {
        /// Of which order.
        order_no: OrderNo,
        /// What it did with the record.
        answer: RecordAckResult,
    },
    /// A car arrives and the gun is put in.
    Plug {
        /// Which gun.
        connector: ConnectorId,
        /// The car.
        car: Car,
    },
    /// The gun is pulled; a running charge ends with reason 4.
    Unplug {
        /// Which gun.
        connector: ConnectorId,
    },
    /// The charge is ended at the pile or by the car.
    LocalStop {
        /// Which gun.
        connector: ConnectorId,
        /// Why.
        reason: StopReason,
    },
    /// A gun breaks; a running charge ends with reason 3.
    Fault {
        /// Which gun.
        connector: ConnectorId,
        /// The pile's code for it.
        code: String,
    },
    /// The gun works again.
    ClearFault {
        /// Which gun.
        connector: ConnectorId,
    },
    /// The network goes away until then; charges go on.
    GoDark {
        /// When it comes back.
        until: Timestamp,
    },
}

/// What a pile does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a frame.
    Publish(Outgoing),
    /// Cut the connection without a goodbye.
    Disconnect,
    /// The hub has the record: nothing of this order will be sent any more.
    Over(Box<ChargeTruth>),
}

/// What a gun is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Activity {
    Idle,
    Starting { at: Timestamp, order_no: OrderNo, max_power: Option<Watts>, caps: Caps },
    Charging(Box<Charge>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Gun {
    id: ConnectorId,
    car: Option<Car>,
    fault: Option<String>,
    activity: Activity,
    register: WattHours,
}

/// One simulated pile.
#[derive(Debug, Clone)]
pub struct Pile {
    config: PileConfig,
    rng: Rng,
    guns: Vec<Gun>,
    connected: bool,
    dark_until: Option<Timestamp>,
    next_heartbeat: Timestamp,
    heartbeat_every: Millis,
    heartbeats: u64,
    events: u64,
    outbox: Outbox,
    records: Vec<KeptRecord>,
    /// Status frames that a full outbox had to give up: noted in the truth when it is handed over.
    lost: Vec<(OrderNo, u32)>,
    /// Commands that were answered, with the answer, so that none is done twice.
    answered: VecDeque<(CommandId, frames::Answer)>,
    effects: VecDeque<Effect>,
}

impl Pile {
    /// A pile that has just been switched on.
    #[must_use]
    pub fn new(config: PileConfig, now: Timestamp) -> Self {
        let mut rng = Rng::for_part(config.seed, "pile");
        let guns = (1..=config.connectors)
            .map(|id| Gun {
                id: ConnectorId(id),
                car: None,
                fault: None,
                activity: Activity::Idle,
                register: WattHours(rng.range(0, 50_000_000)),
            })
            .collect();
        let mut pile = Self {
            rng,
            guns,
            connected: false,
            dark_until: None,
            next_heartbeat: now,
            heartbeat_every: config.heartbeat_every,
            heartbeats: 0,
            events: 0,
            outbox: Outbox::default(),
            records: Vec::new(),
            lost: Vec::new(),
            answered: VecDeque::new(),
            effects: VecDeque::new(),
            config,
        };
        pile.say_event(EventKind::Boot, ConnectorId::PILE, None, now);
        pile
    }

    /// Its name.
    #[must_use]
    pub const fn code(&self) -> &PileCode {
        &self.config.code
    }

    /// Whether it should have a connection at this time.
    #[must_use]
    pub fn wants_connection(&self, now: Timestamp) -> bool {
        self.dark_until.is_none_or(|until| now >= until)
    }

    /// Whether it has nothing left to send and no record that the hub has not acknowledged.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.outbox.is_empty() && self.records.is_empty()
    }

    /// The truth about charges that are not over, for a run that ends before they do.
    #[must_use]
    pub fn unfinished(&self) -> Vec<ChargeTruth> {
        let running = self.guns.iter().filter_map(|gun| match &gun.activity {
            Activity::Charging(charge) => Some(charge.truth.clone()),
            Activity::Idle | Activity::Starting { .. } => None,
        });
        let all = running.chain(self.records.iter().map(|kept| kept.truth.clone()));
        all.map(|truth| self.with_losses(truth)).collect()
    }

    /// Tells the pile what happened.
    pub fn handle_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Connected if self.connected => {}
            Event::Connected => {
                self.connected = true;
                self.next_heartbeat = now;
            }
            Event::Disconnected => {
                self.connected = false;
                self.outbox.connection_lost();
                self.records_connection_lost(now);
            }
            Event::Puback { tag } => {
                self.outbox.acknowledged(tag);
                self.hand_over_truths();
            }
            Event::Command(command) => self.obey(command, now),
            Event::RecordAck { order_no, answer } => self.record_answered(&order_no, answer, now),
            Event::Plug { connector, car } => {
                if let Some(gun) = self.gun_mut(connector) {
                    gun.car = Some(car);
                    self.say_event(EventKind::Plugged, connector, None, now);
                }
            }
            Event::Unplug { connector } => {
                self.end_charge(connector, StopReason::Unplugged, None, now);
                if let Some(gun) = self.gun_mut(connector) {
                    gun.car = None;
                    self.say_event(EventKind::Unplugged, connector, None, now);
                }
            }
            Event::LocalStop { connector, reason } => self.end_charge(connector, reason, None, now),
            Event::Fault { connector, code } => self.break_gun(connector, code, now),
            Event::ClearFault { connector } => {
                if let Some(code) = self.gun_mut(connector).and_then(|gun| gun.fault.take()) {
                    self.say_event(EventKind::FaultCleared, connector, Some(code), now);
                }
            }
            Event::GoDark { until } => self.go_dark(until),
        }
    }

    /// The next thing to do, if any. Frames come only while connected.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        if !self.connected {
            return None;
        }
        self.outbox.next().map(Effect::Publish)
    }

    fn gun_mut(&mut self, connector: ConnectorId) -> Option<&mut Gun> {
        self.guns.iter_mut().find(|gun| gun.id == connector)
    }

    fn go_dark(&mut self, until: Timestamp) {
        self.dark_until = Some(until);
        if self.connected {
            self.effects.push_back(Effect::Disconnect);
        }
    }

    fn break_gun(&mut self, connector: ConnectorId, code: String, now: Timestamp) {
        let Some(gun) = self.gun_mut(connector) else { return };
        gun.fault = Some(code.clone());
        self.say_event(EventKind::Fault, connector, Some(code.clone()), now);
        self.end_charge(connector, StopReason::Fault, Some(code), now);
    }

    /// The pile's own clock.
    const fn device(&self, now: Timestamp) -> Timestamp {
        now.plus(self.config.clock_offset)
    }

    fn draw_mischief(&mut self) -> Mischief {
        let often = self.config.mischief_per_mille;
        let seq = u32::try_from(self.rng.range(2, 8)).unwrap_or(2);
        let drawn = |rng: &mut Rng| rng.per_mille(often);
        let conflicting_record = drawn(&mut self.rng);
        Mischief {
            repeat_status: drawn(&mut self.rng).then_some(seq),
            backwards: drawn(&mut self.rng).then_some(seq.saturating_add(1)),
            lose_status: drawn(&mut self.rng).then_some(seq.saturating_add(2)),
            late_status: drawn(&mut self.rng),
            repeat_record: drawn(&mut self.rng) && !conflicting_record,
            conflicting_record,
            no_start_time: drawn(&mut self.rng),
        }
    }
}

#[cfg(test)]
mod tests;
