//! What every actor shares: the ports, the slots, the registry in memory, and the way to reach any actor.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use domain::{AckToken, OrderNo, PileCode, PileNo, StationId, Timestamp, wire};
use parking_lot::{Mutex, RwLock};
use ractor::{ActorCell, ActorRef};
use settlement::tariff::Tariff;
use store::{
    money::Alarm,
    registry::{Pile, PileState, Station},
    telemetry::{Append, Quarantined},
};

use crate::{
    alarms::AlarmBook,
    api::{LinkState, Ports, Timing},
    limits, metric,
    pile_actor::{PileActor, PileArgs, PileMsg},
    session_actor::SessionSlot,
    settlement_pool::SettlementPool,
    slot::Slot,
};

/// A pile's supervisor cannot be reached: the hub is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// Everything the actors share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ports: Ports,
    pub(crate) timing: Timing,
    pub(crate) settlement: Arc<SettlementPool>,
    pub(crate) booted: Timestamp,
    pub(crate) alarms: AlarmBook,
    pub(crate) inflight: AtomicU32,
    pub(crate) shed: AtomicU64,
    pub(crate) supervisors: RwLock<Vec<ActorCell>>,
    pub(crate) hot: tokio::runtime::Handle,
    pub(crate) sessions: RwLock<HashMap<OrderNo, Arc<SessionSlot>>>,
    pub(crate) order_numbers: Mutex<OrderNumbers>,
    slots: RwLock<Vec<Option<Arc<Slot>>>>,
    by_code: RwLock<BTreeMap<PileCode, PileNo>>,
    stations: RwLock<BTreeMap<StationId, Station>>,
    tariffs: RwLock<HashMap<StationId, Arc<Vec<Arc<Tariff>>>>>,
}

impl Core {
    pub(crate) fn new(
        ports: Ports,
        timing: Timing,
        settlement: Arc<SettlementPool>,
        alarms: Vec<Alarm>,
        hot: tokio::runtime::Handle,
    ) -> Self {
        let booted = ports.clock.now();
        Self {
            booted,
            ports,
            timing,
            settlement,
            alarms: AlarmBook::new(alarms),
            inflight: AtomicU32::new(0),
            shed: AtomicU64::new(0),
            supervisors: RwLock::new(Vec::new()),
            hot,
            sessions: RwLock::new(HashMap::new()),
            order_numbers: Mutex::new(OrderNumbers::default()),
            slots: RwLock::new(Vec::new()),
            by_code: RwLock::new(BTreeMap::new()),
            stations: RwLock::new(BTreeMap::new()),
            tariffs: RwLock::new(HashMap::new()),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// How fresh what is known of a pile is. One that was not heard of since the start is stale first, then offline.
    pub(crate) fn link_of(&self, slot: &Slot) -> LinkState {
        if !slot.was_heard() && self.now().since(self.booted) >= self.timing.offline_after {
            return LinkState::Offline;
        }
        slot.link()
    }

    // The registry ----------------------------------------------------------------------------------------------

    pub(crate) fn add_station(&self, station: Station) {
        self.stations.write().insert(station.station_id.clone(), station);
    }

    pub(crate) fn station(&self, id: &StationId) -> Option<Station> {
        self.stations.read().get(id).cloned()
    }

    pub(crate) fn stations(&self) -> Vec<Station> {
        self.stations.read().values().cloned().collect()
    }

    pub(crate) fn add_tariff(&self, tariff: Tariff) {
        if tariff.effective_at.is_none() {
            return;
        }
        let mut tariffs = self.tariffs.write();
        let versions = tariffs.entry(tariff.station_id.clone()).or_default();
        let mut next: Vec<_> = versions.iter().filter(|known| known.tariff_id != tariff.tariff_id).cloned().collect();
        next.push(Arc::new(tariff));
        *versions = Arc::new(next);
    }

    /// The tariff in force at a station.
    pub(crate) fn tariff_at(&self, station: &StationId, at: Timestamp) -> Option<Arc<Tariff>> {
        let versions = self.tariffs.read().get(station).cloned()?;
        versions
            .iter()
            .filter(|tariff| tariff.effective_at.is_some_and(|from| from <= at))
            .max_by_key(|tariff| (tariff.effective_at, tariff.version))
            .cloned()
    }

    /// The tariff an order was created with.
    pub(crate) fn tariff_of(&self, station: &StationId, tariff_id: &str) -> Option<Arc<Tariff>> {
        let versions = self.tariffs.read().get(station).cloned()?;
        versions.iter().find(|tariff| tariff.tariff_id == tariff_id).cloned()
    }

    pub(crate) fn add_pile(&self, facts: Pile, durable: PileState) {
        let no = facts.pile_no;
        let code = facts.pile_code.clone();
        let mut slots = self.slots.write();
        if slots.len() <= no.index() {
            slots.resize(no.index().saturating_add(1), None);
        }
        if let Some(place) = slots.get_mut(no.index()) {
            *place = Some(Arc::new(Slot::new(facts, durable)));
        }
        drop(slots);
        self.by_code.write().insert(code, no);
    }

    pub(crate) fn slot(&self, no: PileNo) -> Option<Arc<Slot>> {
        self.slots.read().get(no.index()).cloned().flatten()
    }

    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().iter().flatten().cloned().collect()
    }

    /// Visits every slot under the read lock; `visit` must be short.
    pub(crate) fn each_slot(&self, mut visit: impl FnMut(&Arc<Slot>)) {
        for slot in self.slots.read().iter().flatten() {
            visit(slot);
        }
    }

    pub(crate) fn pile_no(&self, code: &PileCode) -> Option<PileNo> {
        self.by_code.read().get(code).copied()
    }

    pub(crate) fn slot_by_code(&self, code: &PileCode) -> Option<Arc<Slot>> {
        self.slot(self.pile_no(code)?)
    }

    /// Piles in order of code after `after`.
    pub(crate) fn piles_after(
        &self,
        after: Option<&PileCode>,
        mut keep: impl FnMut(&Arc<Slot>) -> bool,
        max: usize,
    ) -> Vec<Arc<Slot>> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let codes = self.by_code.read();
        codes
            .range::<PileCode, _>((from, std::ops::Bound::Unbounded))
            .filter_map(|(_, no)| self.slot(*no))
            .filter(|slot| keep(slot))
            .take(max)
            .collect()
    }

    // Reaching actors -------------------------------------------------------------------------------------------

    /// Sends to a pile's actor, which is woken when it sleeps. Nothing is sent while a failed actor rests.
    pub(crate) fn tell(self: &Arc<Self>, slot: &Arc<Slot>, msg: PileMsg) -> Result<(), Unreachable> {
        let actor = self.wake(slot)?;
        slot.depth.fetch_add(1, Ordering::Relaxed);
        self.inflight.fetch_add(1, Ordering::Relaxed);
        if actor.cast(msg).is_err() {
            self.untell(slot);
            return Err(Unreachable);
        }
        Ok(())
    }

    /// A message was taken from the pile's mailbox.
    pub(crate) fn untell(&self, slot: &Slot) {
        let less = |n: u32| Some(n.saturating_sub(1));
        let _ = slot.depth.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let _ = self.inflight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn wake(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<ActorRef<PileMsg>, Unreachable> {
        let mut place = slot.actor.lock();
        if let Some(actor) = place.as_ref() {
            return Ok(actor.clone());
        }
        if slot.blocked_until.load(Ordering::Relaxed) > self.now().as_millis() {
            return Err(Unreachable);
        }
        let shard = slot.no().index() % limits::PILE_SHARDS;
        let supervisor = self.supervisors.read().get(shard).cloned().ok_or(Unreachable)?;
        let args = PileArgs { core: Arc::clone(self), slot: Arc::clone(slot) };
        // Actors live on the hot thread wherever they are woken from.
        let _on_hot = self.hot.enter();
        let (actor, _started) =
            ractor::ActorRuntime::<PileActor>::spawn_linked_instant(None, PileActor, args, supervisor)
                .map_err(|_| Unreachable)?;
        *place = Some(actor.clone());
        drop(place);
        Ok(actor)
    }

    // Frames nobody understood ----------------------------------------------------------------------------------

    /// Keeps a frame that was not understood; its PUBACK leaves when it is durable, and a finished record is then
    /// answered `quarantined` [CONTRACT 1.6].
    pub(crate) fn quarantine(self: &Arc<Self>, slot: &Arc<Slot>, frame: Quarantined, token: Option<AckToken>) {
        metrics::counter!(metric::QUARANTINED, "reason" => frame.reason.clone()).increment(1);
        let is_record = wire::UpTopic::parse(&frame.topic).is_ok_and(|(_, topic)| topic == wire::UpTopic::Finished);
        let named = is_record.then(|| wire::RecordName::find(&frame.payload)).flatten();
        tracing::debug!(pile = %frame.pile_code, reason = frame.reason, detail = frame.detail, "frame quarantined");
        if self.ports.telemetry.push(Append::Quarantine(frame), token).is_err() {
            // Not taken, so not acknowledged: the charger sends it again.
            self.shed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Some(name) = named else { return };
        let (core, slot) = (Arc::clone(self), Arc::clone(slot));
        drop(self.hot.spawn(async move {
            if core.ports.telemetry.flush().await.is_ok() {
                let (no, code) = (slot.no(), &slot.facts.pile_code);
                let result = wire::RecordAckResult::Quarantined;
                core.ports.piles.send_record_ack(no, code, &name.order_no, name.seq, result, core.now());
            }
        }));
    }
}

/// Makes order numbers: `yyMMddHHmmss` in UTC and six digits, unique in this process; the store refuses the rare
/// number that an earlier process has used.
#[derive(Debug, Default)]
pub(crate) struct OrderNumbers {
    second: i64,
    next: u32,
}

impl OrderNumbers {
    /// The next number. After a million in one second it runs ahead of the clock.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<OrderNo> {
        let second = now.as_millis().div_euclid(1000);
        if second > self.second {
            self.second = second;
            // Begins anywhere within the second, so that a restart in the same second hardly meets old numbers.
            self.next = u32::try_from(now.as_millis().rem_euclid(1000)).unwrap_or(0).saturating_mul(900);
        }
        if self.next > 999_999 {
            self.second = self.second.saturating_add(1);
            self.next = 0;
        }
        let at = Timestamp::from_millis(self.second.saturating_mul(1000))?.to_string();
        let digits: String = at.bytes().filter(u8::is_ascii_digit).map(char::from).collect();
        let number = format!("{}{:06}", digits.get(2..14)?, self.next);
        self.next = self.next.saturating_add(1);
        OrderNo::parse(&number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_are_unique_rising_and_fit_the_telemetry_log() {
        let mut numbers = OrderNumbers::default();
        let now = Timestamp::from_millis(1_763_690_000_123).unwrap();
        let made: Vec<_> = (0..1000).map(|_| numbers.next(now).unwrap()).collect();
        assert_eq!(made[0].as_str(), "251121015320110700");
        assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(made.iter().all(|no| no.as_number().is_some()));
    }
}
