//! What anybody may see without asking an actor: the registry, piles, running orders, the actors at work.

use std::sync::{Arc, atomic::Ordering};

use domain::{OrderNo, PileCode, PileNo, StationId};
use serde::Serialize;
use settlement::tariff::Tariff;
use store::registry::{Pile, PileState, Station};

use crate::{
    api::{ConnectorView, LinkState, Live, PileView},
    handle::Handle,
    limits,
    slot::Slot,
};

/// What the supervision page shows; gathered from the slots, no actor is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Supervision {
    /// Registered piles.
    pub piles: usize,
    /// Pile actors that are awake.
    pub pile_actors: usize,
    /// Session actors.
    pub session_actors: usize,
    /// Messages that wait for the settlement actors that have most of them, deepest first; empty when none waits.
    pub settlement_depths: Vec<u32>,
    /// Messages that wait for all pile actors together.
    pub inflight: u32,
    /// Frames that were not taken because something was full.
    pub shed: u64,
    /// The piles with the most waiting or failures.
    pub busiest: Vec<BusyPile>,
}

/// One row of the supervision page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BusyPile {
    /// Which pile.
    pub pile_code: PileCode,
    /// Messages waiting.
    pub depth: u32,
    /// Messages handled since the start.
    pub handled: u64,
    /// Failures in a row.
    pub failures: u32,
}

impl Handle {
    // The registry ----------------------------------------------------------------------------------------------

    /// A station was stored.
    pub fn add_station(&self, station: Station) {
        self.core.add_station(station);
    }

    /// Piles were stored.
    pub fn add_piles(&self, piles: &[Pile]) {
        for pile in piles {
            self.core.add_pile(pile.clone(), PileState::default());
        }
    }

    /// A tariff was stored; drafts are of no interest here.
    pub fn add_tariff(&self, tariff: Tariff) {
        self.core.add_tariff(tariff);
    }

    /// One station.
    #[must_use]
    pub fn station(&self, id: &StationId) -> Option<Station> {
        self.core.station(id)
    }

    /// All stations, by id.
    #[must_use]
    pub fn stations(&self) -> Vec<Station> {
        self.core.stations()
    }

    /// The prices in force at a station.
    #[must_use]
    pub fn tariff_now(&self, id: &StationId) -> Option<Arc<Tariff>> {
        self.core.tariff_at(id, self.core.now())
    }

    /// The number of a registered pile.
    #[must_use]
    pub fn pile_no(&self, code: &PileCode) -> Option<PileNo> {
        self.core.pile_no(code)
    }

    /// The code of a registered pile.
    #[must_use]
    pub fn code_of(&self, pile_no: PileNo) -> Option<PileCode> {
        self.core.slot(pile_no).map(|slot| slot.facts.pile_code.clone())
    }

    /// The codes of the piles of a station.
    #[must_use]
    pub fn codes_at(&self, station: &StationId) -> Vec<PileCode> {
        let mut codes = Vec::new();
        self.core.each_slot(|slot| {
            if slot.facts.station_id == *station {
                codes.push(slot.facts.pile_code.clone());
            }
        });
        codes
    }

    // Views -----------------------------------------------------------------------------------------------------

    /// One pile, as anybody may see it.
    #[must_use]
    pub fn pile(&self, code: &PileCode) -> Option<PileView> {
        self.core.slot_by_code(code).map(|slot| self.view(&slot))
    }

    /// Piles in order of code, after `after`; only those of a station when given.
    #[must_use]
    pub fn piles(&self, station: Option<&StationId>, after: Option<&PileCode>, max: usize) -> Vec<PileView> {
        let keep = |slot: &Arc<Slot>| station.is_none_or(|id| slot.facts.station_id == *id);
        self.core.piles_after(after, keep, max).iter().map(|slot| self.view(slot)).collect()
    }

    /// How fresh what is known of a pile is.
    #[must_use]
    pub fn link_of(&self, pile_no: PileNo) -> LinkState {
        self.core.slot(pile_no).map_or(LinkState::Offline, |slot| self.core.link_of(&slot))
    }

    /// Live values of a running order.
    #[must_use]
    pub fn live(&self, order_no: &OrderNo) -> Option<Live> {
        let session = self.core.sessions.read().get(order_no).cloned()?;
        let live = session.live.lock().clone();
        Some(live)
    }

    /// Orders with a session, at most [`limits::RUNNING_LEN_MAX`] of them.
    #[must_use]
    pub fn running(&self) -> Vec<OrderNo> {
        self.core.sessions.read().keys().take(limits::RUNNING_LEN_MAX).cloned().collect()
    }

    /// Alarms that are raised or acknowledged.
    #[must_use]
    pub fn alarms_open(&self) -> usize {
        self.core.alarms.len()
    }

    /// The actors at work.
    #[must_use]
    pub fn supervision(&self) -> Supervision {
        let slots = self.core.slots();
        let mut busiest: Vec<_> = slots
            .iter()
            .map(|slot| BusyPile {
                pile_code: slot.facts.pile_code.clone(),
                depth: slot.depth.load(Ordering::Relaxed),
                handled: slot.handled.load(Ordering::Relaxed),
                failures: slot.failures.load(Ordering::Relaxed),
            })
            .collect();
        busiest.sort_by_key(|pile| std::cmp::Reverse((pile.depth, pile.failures, pile.handled)));
        busiest.truncate(limits::TOP_LEN_MAX);
        Supervision {
            piles: slots.len(),
            pile_actors: slots.iter().filter(|slot| slot.actor.lock().is_some()).count(),
            session_actors: self.core.sessions.read().len(),
            settlement_depths: self.core.settlement.depths(),
            inflight: self.core.inflight.load(Ordering::Relaxed),
            shed: self.core.shed.load(Ordering::Relaxed),
            busiest,
        }
    }

    fn view(&self, slot: &Slot) -> PileView {
        let durable = slot.durable.lock().clone();
        let shown = slot.shown.lock();
        let link = self.core.link_of(slot);
        let connectors: Vec<_> = shown
            .connectors
            .iter()
            .map(|connector| ConnectorView {
                connector_id: connector.id,
                state: connector.state.as_str(),
                plugged: connector.plugged,
                order_no: connector.order_no.clone(),
            })
            .collect();
        let state = if link == LinkState::Offline {
            "OFFLINE"
        } else if durable.maintenance.is_some() {
            "MAINTENANCE"
        } else if !slot.was_heard() {
            // Not heard of since the hub started: it cannot be used either.
            "OFFLINE"
        } else if !durable.faults.is_empty() {
            "FAULTED"
        } else if connectors.iter().any(|connector| connector.order_no.is_some()) {
            "IN_USE"
        } else {
            "AVAILABLE"
        };
        PileView {
            pile_code: slot.facts.pile_code.clone(),
            station_id: slot.facts.station_id.clone(),
            kind: slot.facts.kind,
            max_power: slot.facts.max_power,
            state,
            link,
            last_seen: slot.last_seen(),
            maintenance: durable.maintenance,
            faults: durable.faults,
            connectors,
            power: shown.power,
            firmware: shown.firmware.clone(),
        }
    }
}
