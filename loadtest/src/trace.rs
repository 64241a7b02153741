//! The fingerprint of a simulation: the same seed must give the same one.

use std::fmt::Write as _;

use domain::{
    CommandId, ConnectorId, Millis, OrderNo, PileCode, SocTenths, StopReason, Timestamp, WattHours, Watts,
    command::{Command, CommandKind},
    wire::{self, RecordAckResult, UpFrame},
};
use sha2::{Digest, Sha256};

use crate::{
    pile::{Effect, Event, Pile, PileConfig, curve::Car},
    rng::Rng,
};

/// A running hash over every frame that piles publish.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    hash: Sha256,
    frames: u64,
}

impl Trace {
    /// Adds a frame as it goes over the wire.
    pub fn add(&mut self, pile: &PileCode, at: Timestamp, frame: &UpFrame) {
        self.frames = self.frames.saturating_add(1);
        self.hash.update(pile.as_str());
        self.hash.update(at.as_millis().to_be_bytes());
        self.hash.update(wire::print(frame, pile));
    }

    /// How many frames were added.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The hash so far, in hex.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hash.clone().finalize() {
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Runs `piles` piles for `duration` of simulated time against a hub that does everything right at once, each with
/// charges, cuts and mischief drawn from `seed`, and hashes every frame.
#[must_use]
pub fn simulate(seed: u64, piles: u32, duration: Millis) -> Trace {
    let mut trace = Trace::default();
    let start = Timestamp::from_millis_clamped(1_763_690_000_000);
    for n in 1..=piles {
        let Ok(code) = PileCode::parse(&format!("S{n:05}")) else { continue };
        let mut config = PileConfig::dc(code, Watts(120_000), Rng::for_part(seed, &format!("pile {n}")).next_u64());
        config.mischief_per_mille = 200;
        Perfect::new(config, start, n).run(start.plus(duration), &mut trace);
    }
    trace
}

/// A pile and a hub that answers at once.
struct Perfect {
    pile: Pile,
    rng: Rng,
    now: Timestamp,
    orders: u32,
    number: u32,
    acks: Vec<Event>,
}

impl Perfect {
    fn new(config: PileConfig, now: Timestamp, number: u32) -> Self {
        let rng = Rng::for_part(config.seed, "driver");
        Self { pile: Pile::new(config, now), rng, now, orders: 0, number, acks: Vec::new() }
    }

    fn run(&mut self, end: Timestamp, trace: &mut Trace) {
        let gun = ConnectorId(1);
        self.tell(Event::Connected, trace);
        while self.now < end {
            let car = Car { battery_wh: 60_000, soc: SocTenths(450), max_power: Watts(100_000) };
            self.tell(Event::Plug { connector: gun, car }, trace);
            self.start(gun, trace);
            let hold = Millis(self.rng.range(5_000, 1_200_000));
            if self.rng.per_mille(100) {
                let until = self.now.plus(Millis(hold.0 / 2));
                self.tell(Event::GoDark { until }, trace);
            }
            self.wait(self.now.plus(hold), trace);
            self.tell(Event::LocalStop { connector: gun, reason: StopReason::Local }, trace);
            self.tell(Event::Unplug { connector: gun }, trace);
            self.wait(self.now.plus(Millis(30_000)), trace);
        }
    }

    fn start(&mut self, connector: ConnectorId, trace: &mut Trace) {
        self.orders = self.orders.saturating_add(1);
        let name = format!("1{:05}{:06}", self.number, self.orders);
        let (Ok(order_no), Ok(command_id)) = (OrderNo::parse(&name), CommandId::parse(&name)) else { return };
        let max_energy = self.rng.per_mille(200).then_some(WattHours(2_000));
        let kind =
            CommandKind::StartCharging { connector, order_no, max_power: None, max_time_s: Some(7_200), max_energy };
        self.tell(Event::Command(Command { command_id, kind, expires_at: None }), trace);
    }

    fn wait(&mut self, until: Timestamp, trace: &mut Trace) {
        while let Some(next) = self.pile.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.pile.handle_timeout(self.now);
            if self.pile.wants_connection(self.now) {
                self.tell(Event::Connected, trace);
            }
            self.settle(trace);
        }
        self.now = until;
    }

    fn tell(&mut self, event: Event, trace: &mut Trace) {
        self.pile.handle_event(event, self.now);
        self.settle(trace);
    }

    fn settle(&mut self, trace: &mut Trace) {
        loop {
            while let Some(effect) = self.pile.poll_effect() {
                match effect {
                    Effect::Publish(out) => {
                        trace.add(self.pile.code(), self.now, &out.frame);
                        self.acks.push(Event::Puback { tag: out.tag });
                        if let UpFrame::Finished(record) = out.frame {
                            let (order_no, answer) = (record.order_no, RecordAckResult::Stored);
                            self.acks.push(Event::RecordAck { order_no, answer });
                        }
                    }
                    Effect::Disconnect => self.acks.push(Event::Disconnected),
                    Effect::Over(_) => {}
                }
            }
            if self.acks.is_empty() {
                return;
            }
            for ack in std::mem::take(&mut self.acks) {
                self.pile.handle_event(ack, self.now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
        let hash = |seed| simulate(seed, 5, Millis::from_secs(4 * 3600)).hex();
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn a_simulated_day_of_charges_is_more_than_heartbeats() {
        let trace = simulate(1, 1, Millis::from_secs(24 * 3600));
        assert!(trace.frames() > 10_000, "{} frames", trace.frames());
    }
}
