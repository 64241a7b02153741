//! The calls of the contract that the load generator makes, each in the name of somebody.

use hyper::Method;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::{
    http::{ApiError, Http, Sending},
    types::{NewPile, NewStation, Order, OrderLimit, PileSecret, Placed, TopUp, Wallet},
};
use crate::{
    oracle::Period,
    token::{Role, Signer},
};

/// A hub and the key that its tokens are signed with; cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// The connection pool.
    pub http: Http,
    signer: Signer,
}

/// Somebody who calls: a role, a name and their token.
#[derive(Debug, Clone)]
pub struct Caller {
    http: Http,
    token: String,
    sub: String,
}

#[derive(serde::Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

impl Api {
    /// Calls to a hub at `http://host:port`.
    #[must_use]
    pub const fn new(http: Http, signer: Signer) -> Self {
        Self { http, signer }
    }

    /// Somebody in a role.
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub fn caller(&self, role: Role, sub: &str) -> anyhow::Result<Caller> {
        Ok(Caller { http: self.http.clone(), token: self.signer.token(role, sub)?, sub: sub.to_owned() })
    }
}

/// Every method is one call of CONTRACT 3 and fails with what the hub said, or with why there was no answer.
impl Caller {
    /// The `sub` of the token.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.sub
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let sending = Sending { token: Some(&self.token), ..Sending::default() };
        self.http.call(Method::GET, &format!("/api/v1{path}"), sending).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, key: &str, body: Option<&Value>) -> Result<T, ApiError> {
        let sending = Sending {
            token: Some(&self.token),
            idempotency_key: Some(key),
            body: body.map(|body| body.to_string().into_bytes()),
        };
        let path = if path.starts_with("/api/") || path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        self.http.call(Method::POST, &path, sending).await
    }

    /// `POST /stations` (admin).
    pub async fn add_station(&self, station: &NewStation) -> Result<(), ApiError> {
        let key = format!("station-{}", station.station_id);
        let _: IgnoredAny = self.post("/stations", &key, Some(&json!(station))).await?;
        Ok(())
    }

    /// `POST /piles/import` (admin).
    pub async fn import_piles(&self, key: &str, piles: &[NewPile]) -> Result<Vec<PileSecret>, ApiError> {
        self.post("/piles/import", key, Some(&json!(piles))).await
    }

    /// `POST /tariffs` (ops, finance): a draft; returns its id.
    pub async fn draft_tariff(&self, key: &str, station: &str, periods: &[Period]) -> Result<String, ApiError> {
        let draft: Value = self.post("/tariffs", key, Some(&json!({"stationId": station, "periods": periods}))).await?;
        let id = draft.get("tariffId").and_then(Value::as_str);
        id.map(ToOwned::to_owned).ok_or_else(|| ApiError::Broken(format!("no tariffId in {draft}")))
    }

    /// `POST /tariffs/{id}/publish` (ops, finance; not the author).
    pub async fn publish_tariff(&self, key: &str, tariff_id: &str) -> Result<(), ApiError> {
        let _: IgnoredAny = self.post(&format!("/tariffs/{tariff_id}/publish"), key, None).await?;
        Ok(())
    }

    /// `POST /wallet/topups` and then `POST payUrl` (driver): pays through the sandbox channel.
    pub async fn top_up(&self, key: &str, fen: i64) -> Result<(), ApiError> {
        let body = json!({"amountFen": fen, "channel": "sandbox"});
        let payment: TopUp = self.post("/wallet/topups", key, Some(&body)).await?;
        let _: IgnoredAny = self.post(&payment.pay_url, &format!("{key}-pay"), None).await?;
        Ok(())
    }

    /// `GET /wallet` (driver).
    pub async fn wallet(&self) -> Result<Wallet, ApiError> {
        self.get("/wallet").await
    }

    /// `POST /orders` (driver).
    pub async fn start(&self, key: &str, pile: &str, connector: u8, limit: OrderLimit) -> Result<Placed, ApiError> {
        let body = json!({"pileCode": pile, "connectorId": connector, "limit": limit});
        self.post("/orders", key, Some(&body)).await
    }

    /// `POST /orders/{no}/stop` (driver, ops, service).
    pub async fn stop(&self, key: &str, order_no: &str) -> Result<(), ApiError> {
        let _: IgnoredAny = self.post(&format!("/orders/{order_no}/stop"), key, None).await?;
        Ok(())
    }

    /// `GET /orders/{no}` (owner, staff).
    pub async fn order(&self, order_no: &str) -> Result<Order, ApiError> {
        self.get(&format!("/orders/{order_no}")).await
    }

    /// `GET /orders`, its first page (owner, staff).
    pub async fn orders(&self) -> Result<Vec<Order>, ApiError> {
        let page: Items<Order> = self.get("/orders").await?;
        Ok(page.items)
    }

    /// `POST /orders/{no}/ticket` (owner, staff): one use, for the WebSocket.
    pub async fn ticket(&self, key: &str, order_no: &str) -> Result<String, ApiError> {
        let answer: Value = self.post(&format!("/orders/{order_no}/ticket"), key, None).await?;
        let ticket = answer.get("ticket").and_then(Value::as_str);
        ticket.map(ToOwned::to_owned).ok_or_else(|| ApiError::Broken(format!("no ticket in {answer}")))
    }

    /// `GET /alarms` (staff): how many of the first page have this code.
    pub async fn alarms(&self, code: &str) -> Result<usize, ApiError> {
        let page: Items<Value> = self.get("/alarms?limit=100").await?;
        Ok(page.items.iter().filter(|alarm| alarm.get("code").and_then(Value::as_str) == Some(code)).count())
    }

    /// `POST /debts/{no}/repay` (driver): the whole debt.
    pub async fn repay(&self, key: &str, order_no: &str) -> Result<(), ApiError> {
        let _: IgnoredAny = self.post(&format!("/debts/{order_no}/repay"), key, None).await?;
        Ok(())
    }
}
