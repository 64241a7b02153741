//! The rules of an order's life [CONTRACT 2], against real actors and a real store; each test is named after its rule.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test listens for one thing among many")]

mod support;

use actors::api::Refusal;
use domain::{
    Fen, Millis, PriceE4, StationId, StopReason, WattHours,
    wire::{AckResult, EventKind, RecordAckResult, UpFrame},
};
use settlement::{
    order::{OrderLimit, OrderStatus, Outcome, PaymentStatus},
    tariff::Tariff,
};
use support::{Said, World};

#[tokio::test]
async fn a_charge_is_frozen_started_by_evidence_billed_and_acknowledged() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    assert_eq!(w.wallet("d1").await, (5000, 5000, 0));
    w.pass(600);
    let token = w.finish(1, &order, 10_000, StopReason::User);
    w.until_stored(token).await;
    assert_eq!(w.until_record_ack().await, RecordAckResult::Stored);
    let closed = w.until_status(OrderStatus::Closed).await;
    // 10 kWh at 0.6 + 0.4 yuan.
    assert_eq!(closed.bill.as_ref().unwrap().total_fen, Fen(1000));
    assert_eq!((closed.paid_fen, closed.released_fen, closed.debt_fen), (Fen(1000), Fen(4000), Fen(0)));
    assert_eq!(closed.payment_status, PaymentStatus::Paid);
    assert_eq!(w.wallet("d1").await, (9000, 0, 0));
}

#[tokio::test]
async fn a_charge_is_priced_with_the_tariff_of_its_order_and_not_with_a_newer_one() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    let mut dear = Tariff::clone(&w.hub.tariff_now(&StationId::parse("S1").unwrap()).unwrap());
    (dear.tariff_id, dear.version, dear.effective_at) = ("T2".to_owned(), 2, Some(w.now()));
    dear.periods.iter_mut().for_each(|period| period.electricity = PriceE4(50_000));
    w.hub.add_tariff(dear);
    w.pass(600);
    w.finish(1, &order, 10_000, StopReason::User);
    let closed = w.until_status(OrderStatus::Closed).await;
    assert_eq!((closed.tariff_version, closed.bill.unwrap().total_fen), (1, Fen(1000)));
}

#[tokio::test]
async fn a_clock_offset_measured_before_the_charge_is_applied_to_all_its_readings() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let token = w.heartbeat(1, 700_000);
    w.until_stored(token).await;
    let order = w.start_at("d1", 1, 1).await.unwrap().order_no;
    let mut record = w.record(&order, 1000, StopReason::Full);
    let ended = record.end_time;
    record.start_time = record.start_time.map(|at| at.plus(Millis(700_000)));
    record.end_time = ended.plus(Millis(700_000));
    w.frame(1, UpFrame::Finished(record));
    let closed = w.until_status(OrderStatus::Closed).await;
    assert_eq!(closed.bill.unwrap().ended_at, ended);
}

#[tokio::test]
async fn nothing_within_the_start_deadline_fails_the_start_and_gives_all_back() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let order = w.start_at("d1", 1, 1).await.unwrap();
    w.until_start().await;
    w.pass(60);
    let failed = w.until_status(OrderStatus::StartFailed).await;
    assert_eq!(failed.order_no, order.order_no);
    assert_eq!(w.wallet("d1").await, (10_000, 0, 0));
}

#[tokio::test]
async fn a_refused_start_fails_at_once() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    w.start_at("d1", 1, 1).await.unwrap();
    let command = w.until_start().await;
    w.ack(1, &command, AckResult::Rejected);
    w.until_status(OrderStatus::StartFailed).await;
    assert_eq!(w.wallet("d1").await, (10_000, 0, 0));
}

#[tokio::test]
async fn evidence_after_a_failed_start_is_a_ghost_charge_that_the_platform_pays() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let order = w.start_at("d1", 1, 1).await.unwrap().order_no;
    w.until_start().await;
    w.pass(60);
    w.until_status(OrderStatus::StartFailed).await;
    w.status(1, &order, 1, 500);
    w.until_stop().await;
    let token = w.finish(1, &order, 2000, StopReason::Operator);
    w.until_stored(token).await;
    assert_eq!(w.until_record_ack().await, RecordAckResult::Stored);
    let ghost = w.until_status(OrderStatus::StartFailed).await;
    assert_eq!(ghost.ghost.unwrap().bill.unwrap().total_fen, Fen(200));
    assert_eq!(w.wallet("d1").await, (10_000, 0, 0));
    assert!(w.money.open_alarms().await.unwrap().iter().any(|alarm| alarm.code == "GHOST_CHARGE"));
}

#[tokio::test]
async fn a_late_accepted_start_is_a_ghost_charge_too() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    w.start_at("d1", 1, 1).await.unwrap();
    let command = w.until_start().await;
    w.pass(60);
    w.until_status(OrderStatus::StartFailed).await;
    w.ack(1, &command, AckResult::Accepted);
    w.until_stop().await;
}

#[tokio::test]
async fn a_stop_while_starting_cancels_and_gives_all_back() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let order = w.start_at("d1", 1, 1).await.unwrap().order_no;
    w.until_start().await;
    assert_eq!(w.stop(&order).await.unwrap().status, OrderStatus::Canceled);
    assert_eq!(w.wallet("d1").await, (10_000, 0, 0));
    w.status(1, &order, 1, 10);
    w.until_stop().await;
}

#[tokio::test]
async fn a_stop_sends_one_command_and_a_second_stop_none() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    assert_eq!(w.stop(&order).await.unwrap().status, OrderStatus::Stopping);
    let (command, reason) = w.until_stop().await;
    assert_eq!(reason, StopReason::User);
    assert_eq!(w.stop(&order).await.unwrap().status, OrderStatus::Stopping);
    w.ack(1, &command, AckResult::Accepted);
    w.finish(1, &order, 1000, StopReason::User);
    w.until_status(OrderStatus::Closed).await;
    let stops = w.heard.iter().filter(|said| matches!(said, Said::Command(_, c) if c.command_id == command.command_id));
    assert_eq!(stops.count(), 1);
}

#[tokio::test]
async fn a_stop_for_an_offline_pile_waits_and_the_order_stays_charging() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.disconnect(1);
    w.until("stale", |said| matches!(said, Said::Link(..)).then_some(())).await;
    let asked = w.stop(&order).await.unwrap();
    assert_eq!((asked.status, asked.stop_pending), (OrderStatus::Charging, true));
    w.connect_quietly(1);
    let (command, _) = w.until_stop().await;
    assert_eq!(w.stored_order(&order).await.status, OrderStatus::Charging);
    w.ack(1, &command, AckResult::Accepted);
    w.until_status(OrderStatus::Stopping).await;
}

#[tokio::test]
async fn silence_is_never_settlement_and_the_backfilled_record_is_settled_with_its_own_times() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.disconnect(1);
    w.pass(301);
    w.until_fleet("PILE_OFFLINE").await;
    assert_eq!(w.stored_order(&order).await.status, OrderStatus::Charging);
    let record = w.record(&order, 3000, StopReason::Full);
    w.pass(3600);
    w.connect_quietly(1);
    w.frame(1, UpFrame::Finished(record.clone()));
    let closed = w.until_status(OrderStatus::Closed).await;
    assert_eq!(closed.ended_at, Some(record.end_time));
    assert!(!closed.provisional);
}

#[tokio::test]
async fn a_silent_order_is_settled_provisionally_after_the_grace_time_and_corrected_by_the_difference() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.status(1, &order, 2, 5000);
    w.disconnect(1);
    w.until("stale", |said| matches!(said, Said::Link(..)).then_some(())).await;
    let record = w.record(&order, 8000, StopReason::Full);
    w.pass(86_400);
    let closed = w.until_status(OrderStatus::ExceptionClosed).await;
    assert!(closed.provisional);
    assert_eq!(closed.bill.as_ref().unwrap().total_fen, Fen(500));
    assert_eq!(w.wallet("d1").await, (9500, 0, 0));
    w.connect_quietly(1);
    w.frame(1, UpFrame::Finished(record.clone()));
    assert_eq!(w.until_record_ack().await, RecordAckResult::Stored);
    let corrected = w.stored_order(&order).await;
    assert_eq!((corrected.status, corrected.provisional), (OrderStatus::ExceptionClosed, false));
    assert_eq!(corrected.bill.unwrap().total_fen, Fen(800));
    assert_eq!(corrected.corrections[0].total_fen, Fen(300));
    assert_eq!(w.wallet("d1").await, (9200, 0, 0));
    w.frame(1, UpFrame::Finished(record));
    assert_eq!(w.until_record_ack().await, RecordAckResult::Duplicate);
    assert_eq!(w.wallet("d1").await, (9200, 0, 0));
}

#[tokio::test]
async fn a_fault_while_charging_waits_for_the_record_and_closes_as_an_exception() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    let token = w.event(1, "e1", EventKind::Fault, 1, Some("E106"));
    w.until_status(OrderStatus::Stopping).await;
    assert!(
        w.heard.iter().any(|said| matches!(said, Said::Stored(stored) if *stored == token)),
        "PUBACK after the commit"
    );
    w.finish(1, &order, 1000, StopReason::User);
    let closed = w.until_status(OrderStatus::ExceptionClosed).await;
    assert_eq!((closed.stop_reason, closed.fault_code.as_deref()), (Some(StopReason::Fault), Some("E106")));
    let refused = w.start_at("d1", 1, 1).await.unwrap_err();
    assert!(matches!(refused, Refusal::PileFaulted { .. }), "{refused:?}");
    w.start_at("d1", 1, 2).await.expect("a fault on one connector leaves the other alone");
    w.event(1, "e2", EventKind::FaultCleared, 1, None);
    w.until_fleet("FAULT_CLEARED").await;
}

#[tokio::test]
async fn a_fault_without_a_record_is_settled_at_the_last_reading() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.pass(60);
    w.status(1, &order, 2, 2000);
    w.event(1, "e1", EventKind::Fault, 0, Some("E9"));
    w.until_status(OrderStatus::Stopping).await;
    w.pass(30);
    let closed = w.until_status(OrderStatus::ExceptionClosed).await;
    assert!(closed.provisional);
    assert_eq!(closed.bill.unwrap().energy_wh, WattHours(2000));
}

#[tokio::test]
async fn a_second_record_with_other_content_is_kept_flagged_and_answered_quarantined() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.finish(1, &order, 1000, StopReason::User);
    assert_eq!(w.until_record_ack().await, RecordAckResult::Stored);
    w.finish(1, &order, 1000, StopReason::User);
    assert_eq!(w.until_record_ack().await, RecordAckResult::Duplicate);
    w.finish(1, &order, 1500, StopReason::User);
    assert_eq!(w.until_record_ack().await, RecordAckResult::Quarantined);
    assert_eq!(w.stored_order(&order).await.bill.unwrap().energy_wh, WattHours(1000));
    assert!(w.money.open_alarms().await.unwrap().iter().any(|alarm| alarm.code == "CONFLICTING_RECORD"));
}

#[tokio::test]
async fn a_frame_after_the_record_is_ignored_and_kept_in_the_history() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.finish(1, &order, 1000, StopReason::User);
    w.until_status(OrderStatus::Closed).await;
    let token = w.status(1, &order, 2, 900);
    w.until_stored(token).await;
    let history = w.money.history(&order).await.unwrap();
    assert_eq!(history.last().unwrap().outcome, Outcome::Ignored);
}

#[tokio::test]
async fn a_frame_of_an_unknown_or_foreign_order_is_quarantined_and_counted() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.connect(2).await;
    let token = w.status(2, &order, 2, 9000);
    w.until("bad frame", |said| matches!(said, Said::BadFrame(_)).then_some(())).await;
    w.until_stored(token).await;
    w.finish(2, &order, 9000, StopReason::User);
    assert_eq!(w.until_record_ack().await, RecordAckResult::Quarantined);
    assert_eq!(w.stored_order(&order).await.status, OrderStatus::Charging);
}

#[tokio::test]
async fn a_total_over_the_threshold_is_held_until_a_person_decides() {
    let mut w = World::new(50_000).await;
    let order = w.charging().await;
    w.finish(1, &order, 200_010, StopReason::User);
    let held = w.until_status(OrderStatus::Held).await;
    assert_eq!(held.bill.unwrap().total_fen, Fen(20_001));
    assert_eq!(w.wallet("d1").await, (45_000, 5000, 0));
}

#[tokio::test]
async fn a_short_balance_becomes_a_debt_that_bars_the_next_start_until_it_is_repaid() {
    let mut w = World::new(1500).await;
    let order = w.charging().await;
    w.finish(1, &order, 20_000, StopReason::User);
    let closed = w.until_status(OrderStatus::Closed).await;
    assert_eq!((closed.payment_status, closed.debt_fen), (PaymentStatus::Unpaid, Fen(500)));
    assert_eq!(w.wallet("d1").await, (0, 0, 500));
    w.top_up("d1", 3000).await;
    assert_eq!(w.start_at("d1", 1, 1).await.unwrap_err(), Refusal::OpenDebt(Fen(500)));
    let repaid = w.hub.repay(&order, None, None).await.unwrap();
    assert_eq!((repaid.payment_status, repaid.debt_fen), (PaymentStatus::Paid, Fen(0)));
    assert_eq!(w.wallet("d1").await, (2500, 0, 0));
    w.start_at("d1", 1, 1).await.unwrap();
}

#[tokio::test]
async fn a_stop_of_an_order_that_is_over_changes_nothing_and_is_kept_as_ignored() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.finish(1, &order, 1000, StopReason::User);
    let closed = w.until_status(OrderStatus::Closed).await;
    assert!(matches!(w.stop(&order).await, Err(Refusal::IllegalState(_))));
    assert_eq!(w.stored_order(&order).await, closed);
    assert_eq!(w.money.history(&order).await.unwrap().last().unwrap().outcome, Outcome::Ignored);
}

#[tokio::test]
async fn a_limit_of_the_order_stops_the_charge() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let limit = OrderLimit { amount_fen: Some(Fen(1000)), ..OrderLimit::default() };
    let order = w.start_with("d1", 1, 1, limit).await.unwrap();
    assert_eq!(order.frozen_fen, Fen(1000));
    w.status(1, &order.order_no, 1, 100);
    w.pass(300);
    w.status(1, &order.order_no, 2, 10_000);
    let (_, reason) = w.until_stop().await;
    assert_eq!(reason, StopReason::LimitReached);
}

#[tokio::test]
async fn fifty_starts_on_one_connector_make_one_order_and_49_clear_refusals() {
    let mut w = World::new(1_000_000).await;
    w.connect(1).await;
    let starts = (0..50).map(|_| w.start_at("d1", 1, 1));
    let mut made = 0;
    for result in futures(starts).await {
        match result {
            Ok(_) => made += 1,
            Err(refusal) => assert!(matches!(refusal, Refusal::ConnectorBusy { .. }), "{refusal:?}"),
        }
    }
    assert_eq!((made, w.wallet("d1").await), (1, (995_000, 5000, 0)));
}

#[tokio::test]
async fn concurrent_starts_of_one_account_never_freeze_more_than_it_has() {
    let mut w = World::new(7000).await;
    w.connect(1).await;
    w.connect(2).await;
    let starts = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(n, connector)| w.start_at("d1", n, connector));
    let made = futures(starts.into_iter()).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((made, w.wallet("d1").await), (2, (0, 7000, 0)));
}

#[tokio::test]
async fn a_running_charge_goes_on_after_a_restart_with_its_readings() {
    let mut w = World::new(10_000).await;
    let order = w.charging().await;
    w.pass(60);
    let token = w.status(1, &order, 2, 1000);
    w.until_stored(token).await;
    let mut w = w.restart().await;
    w.connect_quietly(1);
    // A repeat of a frame that was acknowledged before the restart is still a duplicate.
    let token = w.status(1, &order, 2, 1000);
    w.until_stored(token).await;
    w.pass(60);
    w.status(1, &order, 3, 2000);
    let live = w
        .until("progress", |said| match said {
            Said::Progress(_, live) => Some(live.clone()),
            _ => None,
        })
        .await;
    assert_eq!(live.energy, WattHours(2000));
    w.finish(1, &order, 2500, StopReason::User);
    let closed = w.until_status(OrderStatus::Closed).await;
    assert_eq!(closed.bill.unwrap().energy_wh, WattHours(2500));
    assert_eq!(w.wallet("d1").await, (9750, 0, 0));
}

#[tokio::test]
async fn a_start_that_was_stored_before_a_restart_is_sent_to_the_pile_again() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    w.start_at("d1", 1, 1).await.unwrap();
    let first = w.until_start().await;
    let mut w = w.restart().await;
    w.connect_quietly(1);
    assert_eq!(w.until_start().await.command_id, first.command_id);
}

#[tokio::test]
async fn a_fault_survives_a_restart_until_it_is_cleared() {
    let mut w = World::new(10_000).await;
    w.connect(1).await;
    let token = w.event(1, "e1", EventKind::Fault, 1, Some("E106"));
    w.until_stored(token).await;
    let mut w = w.restart().await;
    w.connect(1).await;
    assert!(matches!(w.start_at("d1", 1, 1).await, Err(Refusal::PileFaulted { .. })));
    w.event(1, "e2", EventKind::FaultCleared, 1, Some("E106"));
    w.until_fleet("FAULT_CLEARED").await;
    w.start_at("d1", 1, 1).await.unwrap();
}

#[tokio::test]
async fn the_same_event_again_changes_nothing() {
    let mut w = World::new(0).await;
    w.connect(1).await;
    for id in ["e1", "e1", "e2"] {
        let token = w.event(1, id, EventKind::Fault, 1, Some("E1"));
        w.until_stored(token).await;
    }
    let alarms = w.money.open_alarms().await.unwrap();
    assert_eq!((alarms.len(), alarms[0].count), (1, 2));
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut out = Vec::new();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, place) in all.iter_mut().zip(&mut done) {
            if place.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *place = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    out.extend(done.into_iter().flatten());
    out
}
