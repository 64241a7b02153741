//! The bodies that callers send and the parts of answers that are looked at; unknown fields are ignored.

use domain::{Fen, OrderNo, PileCode, PriceE4, StationId, Timestamp, WattHours};
use serde::{Deserialize, Serialize};

/// `POST /stations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewStation {
    /// Its name in every message.
    pub station_id: StationId,
    /// For people.
    pub name: String,
    /// IANA name.
    pub timezone: String,
    /// Degrees, east positive.
    pub longitude: f64,
    /// Degrees, north positive.
    pub latitude: f64,
}

/// `POST /piles/import`, one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPile {
    /// The code painted on it.
    pub pile_code: PileCode,
    /// Where it stands.
    pub station_id: StationId,
    /// `DC` or `AC`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of guns.
    pub connectors: u8,
    /// Rated power.
    pub max_power_kw: u32,
}

/// What `POST /piles/import` answers for each pile: the only time the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PileSecret {
    /// Which pile.
    pub pile_code: PileCode,
    /// Its MQTT password.
    pub secret: String,
}

/// What a driver limits an order to; nothing means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderLimit {
    /// Money, also what is frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_fen: Option<i64>,
    /// Energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_wh: Option<i64>,
}

/// `POST /orders` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placed {
    /// The order's name.
    pub order_no: OrderNo,
    /// `STARTING`.
    pub status: String,
    /// Set aside for it.
    pub frozen_fen: Fen,
}

/// `GET /orders/{no}` and the `d` of the WebSocket's last message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order's name.
    pub order_no: OrderNo,
    /// `PLACED` … `CLOSED`.
    pub status: String,
    /// `NONE` … `REFUNDED`.
    pub payment_status: String,
    /// Settled without the charger's record.
    #[serde(default)]
    pub provisional: bool,
    /// Number of the charger's reason.
    #[serde(default)]
    pub stop_reason: Option<u8>,
    /// Energy of the bill, else of the last evidence.
    #[serde(default)]
    pub energy_wh: Option<WattHours>,
    /// When current began to flow.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it stopped.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Set aside at the start.
    #[serde(default)]
    pub frozen_fen: Option<Fen>,
    /// `null` before settlement.
    #[serde(default)]
    pub bill: Option<Bill>,
}

impl Order {
    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "CLOSED" | "EXCEPTION_CLOSED" | "START_FAILED" | "CANCELED")
    }
}

/// The bill of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// Rounded once.
    pub electricity_fen: Fen,
    /// Rounded once.
    pub service_fen: Fen,
    /// Sum of all fees.
    pub total_fen: Fen,
    /// What was taken, repayments included.
    pub paid_fen: Fen,
    /// What was given back of the frozen sum.
    pub released_fen: Fen,
    /// What is owed.
    pub debt_fen: Fen,
    /// Energy by period.
    pub segments: Vec<Segment>,
}

/// Energy of one period.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// For people.
    pub label: String,
    /// Energy in it.
    pub energy_wh: WattHours,
    /// Its price.
    pub electricity_e4: PriceE4,
    /// Its price.
    pub service_e4: PriceE4,
}

/// `GET /wallet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wallet {
    /// Free to use.
    pub available_fen: Fen,
    /// Set aside for running orders.
    pub frozen_fen: Fen,
    /// Owed.
    pub debt_fen: Fen,
}

/// `POST /wallet/topups` answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopUp {
    /// The payment's name.
    pub payment_no: String,
    /// `POST` it to pay.
    pub pay_url: String,
}

/// `application/problem+json` [RFC 9457].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Problem {
    /// Stable, in UPPER_SNAKE.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// For people, about this call.
    #[serde(default)]
    pub detail: Option<String>,
}
