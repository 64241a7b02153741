//! An order as the outside sees it [CONTRACT 3]: the one place where its JSON is shaped, for HTTP and for the live push.
//!
//! It shows what it is given; it computes no money and asks nobody.

use actors::api::{LinkState, Live};
use domain::{
    ConnectorId, Fen, OrderNo, PileCode, PriceE4, SocTenths, StationId, StopReason, Timestamp, UserId, WattHours,
};
use serde::Serialize;
use settlement::{
    order::{Correction, Order, OrderLimit, OrderStatus, PayMode, PaymentStatus},
    pricing::{Bill, BillFlag, Segment},
};
use utoipa::ToSchema;

/// Fields of `GET /orders/{no}`; the push adds the live values and sends the differences.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderView {
    #[schema(value_type = String)]
    pub(crate) order_no: OrderNo,
    #[schema(value_type = String)]
    pub(crate) user_id: UserId,
    #[schema(value_type = String)]
    pub(crate) pile_code: PileCode,
    #[schema(value_type = String)]
    pub(crate) station_id: StationId,
    #[schema(value_type = u8)]
    pub(crate) connector_id: ConnectorId,
    #[schema(value_type = String)]
    pub(crate) status: OrderStatus,
    #[schema(value_type = String)]
    pub(crate) payment_status: PaymentStatus,
    /// `FREEZE`, `PREPAID` or `POSTPAID`.
    #[schema(value_type = String)]
    pub(crate) pay_mode: PayMode,
    #[schema(value_type = String)]
    pub(crate) link: LinkState,
    pub(crate) provisional: bool,
    /// A stop was asked for and waits for the pile to come back.
    pub(crate) stop_pending: bool,
    #[schema(value_type = Option<u8>)]
    pub(crate) stop_reason: Option<StopReason>,
    pub(crate) fault_code: Option<String>,
    #[schema(value_type = i64)]
    pub(crate) energy_wh: WattHours,
    pub(crate) duration_s: i64,
    pub(crate) start_soc_percent: Option<f64>,
    pub(crate) end_soc_percent: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) ended_at: Option<Timestamp>,
    #[schema(value_type = i64)]
    pub(crate) frozen_fen: Fen,
    /// Given back afterwards.
    #[schema(value_type = i64)]
    pub(crate) refunded_fen: Fen,
    /// Given up of what was owed.
    #[schema(value_type = i64)]
    pub(crate) written_off_fen: Fen,
    /// The pile's energy register, as its record says.
    #[schema(value_type = Option<i64>)]
    pub(crate) meter_start_wh: Option<WattHours>,
    #[schema(value_type = Option<i64>)]
    pub(crate) meter_end_wh: Option<WattHours>,
    /// The rule for which the bill waits for a person, or waited.
    pub(crate) hold_reason: Option<String>,
    pub(crate) limit: LimitView,
    /// `null` before settlement.
    pub(crate) bill: Option<BillView>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) corrections: Vec<Correction>,
    pub(crate) ghost: Option<GhostView>,
}

/// What the driver asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitView {
    #[schema(value_type = Option<i64>)]
    pub(crate) amount_fen: Option<Fen>,
    #[schema(value_type = Option<i64>)]
    pub(crate) energy_wh: Option<WattHours>,
    pub(crate) duration_s: Option<u32>,
    pub(crate) soc_percent: Option<f64>,
}

/// The price of an order and what became of it; `paidFen` and `debtFen` follow repayments.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BillView {
    #[schema(value_type = i64)]
    pub(crate) electricity_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) service_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) occupancy_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) total_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) paid_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) released_fen: Fen,
    #[schema(value_type = i64)]
    pub(crate) debt_fen: Fen,
    pub(crate) tariff_id: String,
    pub(crate) tariff_version: u32,
    pub(crate) segments: Vec<SegmentView>,
    /// What a person should look at; never changes the price.
    #[schema(value_type = Vec<String>)]
    pub(crate) flags: Vec<BillFlag>,
}

/// Energy of one tariff period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SegmentView {
    #[schema(value_type = String, format = DateTime)]
    pub(crate) from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) to: Timestamp,
    pub(crate) label: String,
    #[schema(value_type = i64)]
    pub(crate) energy_wh: WattHours,
    #[serde(rename = "electricityE4")]
    #[schema(value_type = i64)]
    pub(crate) electricity_e4: PriceE4,
    #[serde(rename = "serviceE4")]
    #[schema(value_type = i64)]
    pub(crate) service_e4: PriceE4,
}

/// A charge that began after its order was over; the driver pays nothing for it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GhostView {
    #[schema(value_type = String, format = DateTime)]
    pub(crate) since: Timestamp,
    /// What it cost the platform, once known.
    #[schema(value_type = Option<i64>)]
    pub(crate) total_fen: Option<Fen>,
    #[schema(value_type = Option<i64>)]
    pub(crate) energy_wh: Option<WattHours>,
}

/// Shapes an order. `live` are the values of its running session, if there is one.
pub(crate) fn order_view(order: &Order, link: LinkState, live: Option<&Live>) -> OrderView {
    let open = order.ended_at.is_none();
    let running = live.filter(|_| open && order.bill.is_none());
    OrderView {
        order_no: order.order_no.clone(),
        user_id: order.user_id.clone(),
        pile_code: order.pile_code.clone(),
        station_id: order.station_id.clone(),
        connector_id: order.connector_id,
        status: order.status,
        payment_status: order.payment_status,
        link,
        pay_mode: order.pay_mode,
        provisional: order.provisional,
        stop_pending: order.stop_pending,
        stop_reason: order.stop_reason,
        fault_code: order.fault_code.clone(),
        energy_wh: running.map_or(order.energy_wh, |live| live.energy.max(order.energy_wh)),
        duration_s: running.map_or_else(|| charged_s(order), |live| live.duration_s),
        start_soc_percent: order.start_soc.map(percent),
        end_soc_percent: order.end_soc.map(percent),
        created_at: order.created_at,
        started_at: order.started_at,
        ended_at: order.ended_at,
        frozen_fen: order.frozen_fen,
        refunded_fen: order.refunded_fen,
        written_off_fen: order.written_off_fen,
        meter_start_wh: order.meter_start,
        meter_end_wh: order.meter_end,
        hold_reason: order.hold_reason.clone(),
        limit: limit_view(&order.limit),
        bill: order.bill.as_ref().map(|bill| bill_view(order, bill)),
        corrections: order.corrections.clone(),
        ghost: order.ghost.as_ref().map(|ghost| GhostView {
            since: ghost.since,
            total_fen: ghost.bill.as_ref().map(|bill| bill.total_fen),
            energy_wh: ghost.bill.as_ref().map(|bill| bill.energy_wh),
        }),
    }
}

/// Tenths of a percent as the outside reads them: one decimal at most.
pub(crate) fn percent(soc: SocTenths) -> f64 {
    f64::from(soc.0) / 10.0
}

fn charged_s(order: &Order) -> i64 {
    match (order.started_at, order.ended_at) {
        (Some(start), Some(end)) => end.since(start).as_secs().max(0),
        (Some(_) | None, None) | (None, Some(_)) => 0,
    }
}

fn limit_view(limit: &OrderLimit) -> LimitView {
    LimitView {
        amount_fen: limit.amount_fen,
        energy_wh: limit.energy_wh,
        duration_s: limit.duration_s,
        soc_percent: limit.soc.map(percent),
    }
}

fn bill_view(order: &Order, bill: &Bill) -> BillView {
    BillView {
        electricity_fen: bill.electricity_fen,
        service_fen: bill.service_fen,
        occupancy_fen: bill.occupancy_fen,
        total_fen: bill.total_fen,
        paid_fen: order.paid_fen,
        released_fen: order.released_fen,
        debt_fen: order.debt_fen,
        tariff_id: bill.tariff_id.clone(),
        tariff_version: bill.tariff_version,
        segments: bill.segments.iter().map(segment_view).collect(),
        flags: bill.flags.clone(),
    }
}

fn segment_view(segment: &Segment) -> SegmentView {
    SegmentView {
        from: segment.from,
        to: segment.to,
        label: segment.label.clone(),
        energy_wh: segment.energy_wh,
        electricity_e4: segment.electricity_e4,
        service_e4: segment.service_e4,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Millis, PileNo};
    use serde_json::{Value, json};
    use settlement::order::NewOrder;

    use super::*;

    const BEGAN: Timestamp = Timestamp::from_millis_clamped(1_763_690_000_000);

    fn order() -> Order {
        let mut order = Order::new(NewOrder {
            order_no: OrderNo::parse("7").unwrap(),
            user_id: UserId::parse("anna").unwrap(),
            pile_code: PileCode::parse("P1").unwrap(),
            pile_no: PileNo(1),
            station_id: StationId::parse("S1").unwrap(),
            connector_id: ConnectorId(1),
            limit: OrderLimit { soc: Some(SocTenths(805)), ..OrderLimit::default() },
            pay_mode: PayMode::Freeze,
            tariff_id: "T1".to_owned(),
            tariff_version: 3,
            created_at: BEGAN,
        });
        order.status = OrderStatus::Charging;
        order.started_at = Some(BEGAN);
        order.energy_wh = WattHours(100);
        order
    }

    fn json_of(order: &Order, live: Option<&Live>) -> Value {
        serde_json::to_value(order_view(order, LinkState::Live, live)).unwrap()
    }

    #[test]
    fn every_field_of_the_contract_is_there() {
        let view = json_of(&order(), None);
        for field in [
            "orderNo",
            "userId",
            "pileCode",
            "connectorId",
            "status",
            "paymentStatus",
            "link",
            "provisional",
            "stopReason",
            "faultCode",
            "energyWh",
            "durationS",
            "startSocPercent",
            "endSocPercent",
            "createdAt",
            "startedAt",
            "endedAt",
            "frozenFen",
            "bill",
            "corrections",
        ] {
            assert!(view.get(field).is_some(), "{field}");
        }
        assert_eq!((&view["status"], &view["link"], &view["bill"]), (&json!("CHARGING"), &json!("live"), &Value::Null));
        assert_eq!(
            (&view["createdAt"], &view["limit"]["socPercent"]),
            (&json!("2025-11-21T01:53:20.000Z"), &json!(80.5))
        );
    }

    #[test]
    fn a_running_order_shows_its_live_energy_and_time_and_an_ended_one_its_own() {
        let live = Live { energy: WattHours(250), duration_s: 60, ..Live::default() };
        let mut order = order();
        let running = json_of(&order, Some(&live));
        assert_eq!((&running["energyWh"], &running["durationS"]), (&json!(250), &json!(60)));
        order.ended_at = Some(BEGAN.plus(Millis(90_999)));
        let ended = json_of(&order, Some(&live));
        assert_eq!((&ended["energyWh"], &ended["durationS"]), (&json!(100), &json!(90)));
    }

    #[test]
    fn a_bill_shows_what_became_of_it() {
        let mut order = order();
        (order.paid_fen, order.released_fen, order.debt_fen) = (Fen(120), Fen(4_880), Fen(0));
        let segment = Segment {
            from: BEGAN,
            to: BEGAN.plus(Millis(1_000)),
            label: "平".to_owned(),
            energy_wh: WattHours(100),
            electricity_e4: PriceE4(8_000),
            service_e4: PriceE4(4_000),
        };
        order.bill = Some(Bill {
            electricity_fen: Fen(80),
            service_fen: Fen(40),
            occupancy_fen: Fen(0),
            total_fen: Fen(120),
            tariff_id: "T1".to_owned(),
            tariff_version: 3,
            segments: vec![segment],
            energy_wh: WattHours(100),
            started_at: BEGAN,
            ended_at: BEGAN.plus(Millis(1_000)),
            flags: vec![BillFlag::MissingFrames],
        });
        let bill = &json_of(&order, None)["bill"];
        assert_eq!(
            *bill,
            json!({
                "electricityFen": 80, "serviceFen": 40, "occupancyFen": 0, "totalFen": 120, "paidFen": 120,
                "releasedFen": 4_880, "debtFen": 0, "tariffId": "T1", "tariffVersion": 3, "flags": ["MISSING_FRAMES"],
                "segments": [{"from": "2025-11-21T01:53:20.000Z", "to": "2025-11-21T01:53:21.000Z", "label": "平",
                    "energyWh": 100, "electricityE4": 8_000, "serviceE4": 4_000}],
            })
        );
    }
}
