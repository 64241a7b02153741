//! What a step of an order tells those who were not there: events that are stored in the step's own commit, so that none is
//! lost and none is told of a step that did not happen. Knows nobody who listens.

use domain::Timestamp;
use serde_json::json;
use settlement::order::{Order, OrderStatus};
use store::{cases::OutboxEvent, money::Write};

/// The events of a step that made `after` out of `before`, in the order in which they are to be understood.
pub(crate) fn of_step(before: &Order, after: &Order, now: Timestamp) -> Vec<Write> {
    if before.rev == after.rev {
        return Vec::new();
    }
    let was_closed = is_closed(before.status);
    let owes = |order: &Order| order.debt_fen.0 > 0;
    let told = [
        ("order.held", before.status != OrderStatus::Held && after.status == OrderStatus::Held),
        ("order.settled", !was_closed && is_closed(after.status)),
        ("order.corrected", before.corrections.len() < after.corrections.len()),
        ("debt.opened", !owes(before) && owes(after)),
        ("debt.cleared", owes(before) && !owes(after)),
    ];
    told.into_iter().filter(|(_, happened)| *happened).map(|(name, _)| event(name, after, now)).collect()
}

/// Named by the order's revision: the same step again tells the same.
fn event(name: &str, order: &Order, now: Timestamp) -> Write {
    let total = order.bill.as_ref().map(|bill| bill.total_fen);
    let data = json!({ "orderNo": order.order_no, "userId": order.user_id, "pileCode": order.pile_code,
        "stationId": order.station_id, "status": order.status, "paymentStatus": order.payment_status,
        "provisional": order.provisional, "totalFen": total, "paidFen": order.paid_fen, "debtFen": order.debt_fen,
        "holdReason": order.hold_reason });
    Write::Outbox(Box::new(OutboxEvent {
        event_id: format!("{name}:{}:{}", order.order_no, order.rev),
        name: name.to_owned(),
        at: now,
        subject: order.order_no.to_string(),
        data: data.to_string(),
    }))
}

const fn is_closed(status: OrderStatus) -> bool {
    match status {
        OrderStatus::Closed | OrderStatus::ExceptionClosed => true,
        OrderStatus::Placed
        | OrderStatus::Starting
        | OrderStatus::Charging
        | OrderStatus::Stopping
        | OrderStatus::Settling
        | OrderStatus::Held
        | OrderStatus::StartFailed
        | OrderStatus::Canceled => false,
    }
}

#[cfg(test)]
mod tests {
    use domain::{ConnectorId, Fen, OrderNo, PileCode, PileNo, StationId, UserId, WattHours};
    use settlement::order::{Correction, NewOrder, OrderLimit, PayMode};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

    fn order(status: OrderStatus, debt: i64, corrections: usize) -> Order {
        let mut order = Order::new(NewOrder {
            order_no: OrderNo::parse("7").unwrap(),
            user_id: UserId::parse("anna").unwrap(),
            pile_code: PileCode::parse("P1").unwrap(),
            pile_no: PileNo(1),
            station_id: StationId::parse("S1").unwrap(),
            connector_id: ConnectorId(1),
            limit: OrderLimit::default(),
            pay_mode: PayMode::Freeze,
            tariff_id: "T1".to_owned(),
            tariff_version: 1,
            created_at: NOW,
        });
        let none = Fen::ZERO;
        let correction =
            Correction { at: NOW, energy_wh: WattHours(0), electricity_fen: none, service_fen: none, total_fen: none };
        (order.status, order.debt_fen, order.corrections) = (status, Fen(debt), vec![correction; corrections]);
        order
    }

    #[test]
    fn each_step_tells_what_it_changed_and_nothing_else() {
        use OrderStatus::{Charging, Closed, ExceptionClosed, Held, Settling, StartFailed, Starting};
        for (before, after, told) in [
            ((Starting, 0, 0), (Charging, 0, 0), vec![]),
            ((Starting, 0, 0), (StartFailed, 0, 0), vec![]),
            ((Charging, 0, 0), (Closed, 0, 0), vec!["order.settled"]),
            ((Charging, 0, 0), (Closed, 9, 0), vec!["order.settled", "debt.opened"]),
            ((Charging, 0, 0), (Held, 0, 0), vec!["order.held"]),
            ((Held, 0, 0), (ExceptionClosed, 0, 0), vec!["order.settled"]),
            ((Settling, 0, 0), (Closed, 0, 0), vec!["order.settled"]),
            ((Closed, 9, 0), (Closed, 4, 0), vec![]),
            ((Closed, 4, 0), (Closed, 0, 0), vec!["debt.cleared"]),
            ((ExceptionClosed, 0, 0), (ExceptionClosed, 5, 1), vec!["order.corrected", "debt.opened"]),
            ((Held, 0, 0), (Held, 0, 1), vec!["order.corrected"]),
        ] {
            let (before, mut after) = (order(before.0, before.1, before.2), order(after.0, after.1, after.2));
            assert_eq!(of_step(&before, &after, NOW).len(), 0, "the same revision tells nothing");
            after.rev += 1;
            let told_of = of_step(&before, &after, NOW).into_iter().map(|write| {
                let Write::Outbox(event) = write else { panic!("{write:?}") };
                *event
            });
            let events: Vec<_> = told_of.collect();
            let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(names, told, "{:?} to {:?}", before.status, after.status);
            assert!(events.iter().all(|event| event.event_id == format!("{}:7:{}", event.name, after.rev)));
        }
    }
}
