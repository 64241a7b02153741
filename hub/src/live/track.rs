//! One followed order: what its watchers have been shown, what they are owed, and the numbered differences between.
//!
//! The actors only put the newest facts in, which never waits for anything slow; the first watcher to look cuts the
//! delta, once for all. So what happens while nobody looks is merged, and a reader that is
//! slow costs nothing but its place in the ring. Knows neither sockets nor timers; `now` is an argument.

use std::sync::Arc;

use actors::api::{LinkState, Live as Values};
use axum::extract::ws::Utf8Bytes;
use domain::OrderNo;
use parking_lot::Mutex;
use serde::Serialize;
use settlement::order::Order;
use tokio::{sync::watch, time::Instant};

use super::{
    bucket::Bucket,
    fields::{Fields, Shown, difference, fields_of, lay_over},
    limits::{PROGRESS_BURST, PROGRESS_EVERY},
    ring::Ring,
};

/// A followed order.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) order_no: OrderNo,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    /// The newest facts; no order until it is loaded or heard of.
    order: Option<Box<Order>>,
    link: Option<LinkState>,
    values: Option<Values>,
    /// Whether facts have come that may be shown at once.
    ready: bool,
    /// Whether there are others than live values among them.
    order_changed: bool,
    /// Whether the sweep will look at this track when its next progress is due.
    queued: bool,
    pace: Bucket,
    epochs: Epochs,
    epoch: Arc<str>,
    fields: Fields,
    shown: Shown,
    ring: Ring,
    /// Since when nobody has watched, as the sweep saw it.
    unwatched_since: Option<Instant>,
}

/// Gives every track, and every new beginning of one, a name that no other had, in this process or an earlier one.
#[derive(Debug, Clone)]
pub(super) struct Epochs {
    process: Arc<str>,
    next: Arc<std::sync::atomic::AtomicU64>,
}

impl Epochs {
    /// `process` must be random.
    pub(super) fn new(process: u64) -> Self {
        Self { process: format!("{process:x}").into(), next: Arc::default() }
    }

    fn next(&self) -> Arc<str> {
        let n = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{}-{n:x}", self.process).into()
    }
}

/// Where a reader is.
#[derive(Debug)]
pub(super) struct Cursor {
    epoch: Arc<str>,
    seq: u64,
    want_snap: bool,
    ended: bool,
}

impl Cursor {
    /// The next message shall be a snapshot.
    pub(super) fn rewind(&mut self) {
        self.want_snap = true;
    }
}

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A snapshot or a delta.
    Send(Utf8Bytes),
    /// The last message.
    End(Utf8Bytes),
    /// Nothing for now.
    Wait,
}

/// When progress may be shown, and so what its bringer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paced {
    /// At once: wake the watchers.
    Now,
    /// When its turn comes: ask [`Track::is_due`] until it is.
    Later,
    /// With what came before it: nothing.
    Merged,
}

#[derive(Serialize)]
struct Message<'a> {
    t: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    seq: u64,
    #[serde(flatten)]
    greeting: Option<Greeting>,
    d: &'a Fields,
}

/// What a snapshot says about the socket it comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Greeting {
    /// Milliseconds between two pings.
    pub(super) hb: u64,
    /// How much faster than the wall's the clock runs, in a demo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) demo_speed: Option<u32>,
}

impl Track {
    pub(super) fn new(order_no: OrderNo, epochs: Epochs) -> Self {
        let state = State {
            order: None,
            link: None,
            values: None,
            ready: false,
            order_changed: true,
            queued: false,
            pace: Bucket::new(PROGRESS_EVERY, PROGRESS_BURST),
            epoch: epochs.next(),
            epochs,
            fields: Fields::new(),
            shown: Shown::default(),
            ring: Ring::default(),
            unwatched_since: None,
        };
        Self { order_no, state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// Wakes at every change. While it lives, the track counts as watched.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Wakes all watchers to look, whatever there is.
    pub(super) fn wake(&self) {
        self.changed.send_replace(());
    }

    /// New live values. Wakes nobody itself: that would cost the actors more than all the rest.
    pub(super) fn progress(&self, values: &Values, now: Instant) -> Paced {
        let mut state = self.state.lock();
        state.values = Some(values.clone());
        if state.ready || state.queued {
            return Paced::Merged;
        }
        if state.pace.take(now).is_err() {
            state.queued = true;
            return Paced::Later;
        }
        state.ready = true;
        Paced::Now
    }

    /// Whether progress that had to wait may be shown; then wake the watchers.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let due = state.pace.take(now).is_ok();
        if due {
            state.queued = false;
            state.ready = true;
        }
        due
    }

    /// The order as it is stored now. An older revision than the known one is passed over.
    pub(super) fn order_changed(&self, order: &Order, link: LinkState) {
        let mut state = self.state.lock();
        if state.order.as_ref().is_some_and(|known| known.rev > order.rev) {
            return;
        }
        state.order = Some(Box::new(order.clone()));
        state.link = Some(link);
        state.order_changed = true;
        state.ready = true;
        drop(state);
        self.wake();
    }

    /// The link of the order's pile changed.
    pub(super) fn link_changed(&self, link: LinkState) {
        let mut state = self.state.lock();
        state.link = Some(link);
        state.order_changed = true;
        state.ready = true;
        drop(state);
        self.wake();
    }

    /// What was read from the store for a new track; whatever the actors said meanwhile is newer.
    pub(super) fn loaded(&self, order: Order, link: LinkState, values: Option<Values>) {
        let mut state = self.state.lock();
        if state.order.as_ref().is_none_or(|known| known.rev < order.rev) {
            state.order = Some(Box::new(order));
        }
        state.link = state.link.or(Some(link));
        if state.values.is_none() {
            state.values = values;
        }
        state.order_changed = true;
        state.ready = true;
    }

    /// Whether the order is known.
    pub(super) fn is_loaded(&self) -> bool {
        self.state.lock().order.is_some()
    }

    /// A reader's place: where it left off if that is still in the window, else before a snapshot.
    pub(super) fn cursor(&self, epoch: Option<&str>, since: Option<u64>) -> Cursor {
        let mut state = self.state.lock();
        state.cut();
        let seq = since.filter(|since| epoch == Some(&*state.epoch) && !state.is_over() && state.ring.reaches(*since));
        Cursor { epoch: Arc::clone(&state.epoch), seq: seq.unwrap_or(0), want_snap: seq.is_none(), ended: false }
    }

    /// The next message of a reader.
    pub(super) fn next(&self, cursor: &mut Cursor, greeting: Greeting) -> Next {
        let mut state = self.state.lock();
        state.cut();
        if state.fields.is_empty() || cursor.ended {
            return Next::Wait;
        }
        let last = state.ring.last();
        if cursor.want_snap || *cursor.epoch != *state.epoch || !state.ring.reaches(cursor.seq) {
            *cursor = Cursor { epoch: Arc::clone(&state.epoch), seq: last, want_snap: false, ended: false };
            let snap =
                Message { t: "snap", epoch: Some(&state.epoch), seq: last, greeting: Some(greeting), d: &state.fields };
            return Next::Send(text(&snap));
        }
        if let Some(delta) = state.ring.after_seq(cursor.seq) {
            cursor.seq = cursor.seq.saturating_add(1);
            return Next::Send(delta.clone());
        }
        if state.is_over() {
            cursor.ended = true;
            let end = Message { t: "end", epoch: None, seq: last.saturating_add(1), greeting: None, d: &state.fields };
            return Next::End(text(&end));
        }
        Next::Wait
    }

    /// How long nobody has watched, as far as calls of this function have seen; and whether the order is over.
    pub(super) fn unwatched(&self, now: Instant) -> (std::time::Duration, bool) {
        let mut state = self.state.lock();
        if self.changed.receiver_count() > 0 {
            state.unwatched_since = None;
        } else if state.unwatched_since.is_none() {
            state.unwatched_since = Some(now);
        }
        let since = state.unwatched_since.unwrap_or(now);
        (now.saturating_duration_since(since), state.is_over())
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.order.as_ref().is_some_and(|order| order.status.is_over())
    }

    /// Turns the facts that are ready into the next delta, into a first state, or into a new epoch.
    fn cut(&mut self) {
        if !std::mem::take(&mut self.ready) {
            return;
        }
        let Some(order) = &self.order else { return };
        if let Some(values) = self.values.as_ref().filter(|_| !self.order_changed && !self.fields.is_empty())
            && let Some((changed, shown)) = lay_over(&mut self.fields, order, values, self.shown)
        {
            self.shown = shown;
            return self.push(&changed);
        }
        let (fields, shown) =
            fields_of(order, self.link.unwrap_or(LinkState::Offline), self.values.as_ref(), self.shown);
        self.order_changed = false;
        let before = std::mem::replace(&mut self.fields, fields);
        if before.is_empty() {
            self.ring = Ring::after(1);
        } else if shown.is_below(self.shown) {
            // Watchers compare the epoch and take a snapshot.
            self.epoch = self.epochs.next();
            self.ring = Ring::after(1);
        } else {
            self.push(&difference(&before, &self.fields));
        }
        self.shown = shown;
    }

    fn push(&mut self, changed: &Fields) {
        if !changed.is_empty() {
            let seq = self.ring.last().saturating_add(1);
            self.ring.push(text(&Message { t: "delta", epoch: None, seq, greeting: None, d: changed }));
        }
    }
}

/// Serialising text keys and numbers into memory does not fail; an empty text would be sent as it is.
fn text(message: &Message<'_>) -> Utf8Bytes {
    serde_json::to_string(message).map(Utf8Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Fen, WattHours, Watts};
    use serde_json::{Value, json};
    use settlement::order::OrderStatus;

    use super::*;
    use crate::live::samples::{changed, closed, order};

    const HELLO: Greeting = Greeting { hb: 15_000, demo_speed: None };

    fn values(energy: i64, amount: i64) -> Values {
        Values { energy: WattHours(energy), amount: Fen(amount), power: Some(Watts(7000)), ..Values::default() }
    }

    fn track() -> (Track, Order) {
        let order = order("1001");
        let track = Track::new(order.order_no.clone(), Epochs::new(0xe));
        track.loaded(order.clone(), LinkState::Live, None);
        (track, order)
    }

    fn read(track: &Track, cursor: &mut Cursor) -> Value {
        match track.next(cursor, HELLO) {
            Next::Send(text) | Next::End(text) => serde_json::from_str(&text).unwrap(),
            Next::Wait => Value::Null,
        }
    }

    #[test]
    fn a_reader_gets_a_snapshot_and_then_only_what_changed() {
        let (track, _) = track();
        let mut cursor = track.cursor(None, None);
        let snap = read(&track, &mut cursor);
        assert_eq!((&snap["t"], &snap["seq"], &snap["hb"]), (&json!("snap"), &json!(1), &json!(15_000)));
        assert_eq!(snap["d"]["energyWh"], 0);
        assert!(snap.get("demoSpeed").is_none());
        assert_eq!(read(&track, &mut cursor), Value::Null);
        track.progress(&values(10, 1), Instant::now());
        let delta = json!({"t": "delta", "seq": 2, "d": {"energyWh": 10, "amountFen": 1, "powerW": 7000}});
        assert_eq!(read(&track, &mut cursor), delta);
        track.link_changed(LinkState::Stale);
        assert_eq!(read(&track, &mut cursor), json!({"t": "delta", "seq": 3, "d": {"link": "stale"}}));
        track.link_changed(LinkState::Stale);
        assert_eq!(read(&track, &mut cursor), Value::Null, "nothing changed, no number is used");
    }

    #[test]
    fn progress_that_comes_too_fast_is_merged_and_the_last_value_is_shown_when_due() {
        let (track, _) = track();
        let mut cursor = track.cursor(None, None);
        read(&track, &mut cursor);
        let start = Instant::now();
        let mut shown = 0;
        let mut later = 0;
        for n in 1..=100 {
            later += i32::from(track.progress(&values(n, n), start) == Paced::Later);
            shown += i32::from(!read(&track, &mut cursor).is_null());
        }
        assert_eq!((shown, later), (2, 1), "two at once, queued once");
        assert!(!track.is_due(start + Duration::from_millis(900)));
        assert_eq!(read(&track, &mut cursor), Value::Null);
        assert!(track.is_due(start + Duration::from_secs(1)));
        assert_eq!(read(&track, &mut cursor)["d"]["energyWh"], 100);
    }

    #[test]
    fn a_change_of_state_is_shown_at_once_and_takes_waiting_progress_along() {
        let (track, order) = track();
        let mut cursor = track.cursor(None, None);
        read(&track, &mut cursor);
        let start = Instant::now();
        for n in 1..=3 {
            track.progress(&values(n, n), start);
            read(&track, &mut cursor);
        }
        track.order_changed(&changed(&order, |o| o.status = OrderStatus::Stopping), LinkState::Live);
        let delta = read(&track, &mut cursor);
        assert_eq!(delta["d"], json!({"status": "STOPPING", "energyWh": 3, "amountFen": 3}));
    }

    #[test]
    fn an_older_revision_changes_nothing() {
        let (track, order) = track();
        let mut cursor = track.cursor(None, None);
        track.order_changed(&changed(&order, |o| o.status = OrderStatus::Stopping), LinkState::Live);
        read(&track, &mut cursor);
        track.order_changed(&order, LinkState::Live);
        track.loaded(order, LinkState::Live, None);
        assert_eq!(read(&track, &mut cursor), Value::Null);
    }

    #[test]
    fn a_bill_below_the_estimate_begins_a_new_epoch_with_a_snapshot() {
        let (track, order) = track();
        let mut cursor = track.cursor(None, None);
        track.progress(&values(500, 50), Instant::now());
        let first = read(&track, &mut cursor);
        track.order_changed(&closed(&order, 499, 50), LinkState::Live);
        let second = read(&track, &mut cursor);
        assert_eq!((&first["t"], &second["t"]), (&json!("snap"), &json!("snap")));
        assert_ne!(first["epoch"], second["epoch"]);
        assert_eq!(second["d"]["energyWh"], 499);
        assert_eq!(read(&track, &mut cursor)["t"], "end");
        assert_eq!(read(&track, &mut cursor), Value::Null);
    }

    #[test]
    fn a_reader_who_comes_back_goes_on_where_it_was() {
        let (track, _) = track();
        let mut first = track.cursor(None, None);
        let epoch = read(&track, &mut first)["epoch"].as_str().unwrap().to_owned();
        let mut links = [LinkState::Stale, LinkState::Live].into_iter().cycle();
        for _ in 0..300 {
            track.link_changed(links.next().unwrap());
            read(&track, &mut first);
        }
        let mut back = track.cursor(Some(&epoch), Some(301 - 256));
        let seqs: Vec<_> = (0..256).map(|_| read(&track, &mut back)["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (46..=301).collect::<Vec<_>>());
        assert_eq!(read(&track, &mut back), Value::Null);
        for (epoch, since, why) in [
            (Some(&*epoch), Some(301 - 257), "one too old"),
            (Some(&*epoch), Some(302), "from the future"),
            (Some("f-0"), Some(301), "of another epoch"),
            (None, Some(301), "of no epoch"),
            (Some(&*epoch), None, "from nowhere"),
        ] {
            assert_eq!(read(&track, &mut track.cursor(epoch, since))["t"], "snap", "{why}");
        }
        let mut same = track.cursor(Some(&epoch), Some(301));
        assert_eq!(read(&track, &mut same), Value::Null);
    }

    #[test]
    fn a_reader_that_falls_out_of_the_window_skips_ahead_by_a_snapshot() {
        let (track, _) = track();
        let (mut fast, mut slow) = (track.cursor(None, None), track.cursor(None, None));
        read(&track, &mut fast);
        read(&track, &mut slow);
        let mut links = [LinkState::Stale, LinkState::Live].into_iter().cycle();
        for _ in 0..257 {
            track.link_changed(links.next().unwrap());
            assert_eq!(read(&track, &mut fast)["t"], "delta");
        }
        let skipped = read(&track, &mut slow);
        assert_eq!((&skipped["t"], &skipped["seq"]), (&json!("snap"), &json!(258)));
        assert_eq!(read(&track, &mut slow), Value::Null);
    }

    #[test]
    fn an_order_that_is_over_gives_a_snapshot_and_the_end_even_to_who_comes_back() {
        for status in
            [OrderStatus::Closed, OrderStatus::ExceptionClosed, OrderStatus::StartFailed, OrderStatus::Canceled]
        {
            let (track, order) = track();
            let mut before = track.cursor(None, None);
            let epoch = read(&track, &mut before)["epoch"].as_str().unwrap().to_owned();
            track.order_changed(&changed(&order, |o| o.status = status), LinkState::Live);
            let seen = |cursor: &mut Cursor| [read(&track, cursor), read(&track, cursor), read(&track, cursor)];
            let names = |messages: &[Value; 3]| messages.each_ref().map(|m| m["t"].as_str().unwrap_or("").to_owned());
            assert_eq!(names(&seen(&mut before)), ["delta", "end", ""], "{status:?}");
            let back = seen(&mut track.cursor(Some(&epoch), Some(1)));
            assert_eq!(names(&back), ["snap", "end", ""], "{status:?}");
            assert_eq!(back[1]["seq"].as_u64(), back[0]["seq"].as_u64().map(|seq| seq + 1));
            assert_eq!(back[1]["d"], back[0]["d"]);
        }
    }
}
