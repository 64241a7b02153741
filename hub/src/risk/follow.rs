//! Follows the outbox: what a step of an order or of an account told in its own commit is dealt with here, once the step
//! is durable, and again after a crash in between. So every reaction must be repeatable; each is, by the names it writes.

use std::{sync::Arc, time::Duration};

use actors::api::Refusal;
use domain::OrderNo;
use settlement::order::Order;
use store::{
    cases::{CaseKind, Filed, OutboxEvent},
    money::Write,
};
use tokio::time::{MissedTickBehavior, interval};

use super::{Desk, Kept, away, filed::Followed};
use crate::limits::{FOLLOW_EVERY_MS, FOLLOW_LEN_MAX, FOLLOW_SLOWLY_EVERY};

impl Desk {
    /// Follows until the hub stops.
    pub(crate) async fn run(self: Arc<Self>) {
        if let Err(error) = Box::pin(self.recall()).await {
            tracing::warn!(%error, "the counters of risk begin empty");
        }
        let mut ticks = interval(Duration::from_millis(FOLLOW_EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round: u64 = 0;
        let mut place = None;
        loop {
            ticks.tick().await;
            let slowly = round.is_multiple_of(FOLLOW_SLOWLY_EVERY);
            if let Err(error) = Box::pin(self.turn_around(&mut place, slowly)).await {
                // How far it came is what the store says.
                place = None;
                // The store is away, as a rule; everything is found again in the next round.
                tracing::warn!(%error, "the jobs of risk wait");
            }
            round = round.wrapping_add(1);
        }
    }

    async fn turn_around(&self, place: &mut Option<Followed>, slowly: bool) -> Result<(), Refusal> {
        self.follow(place).await?;
        if slowly {
            self.due_holds().await?;
            self.due_debts().await?;
            self.finish_approved().await?;
            self.look_at_marks().await?;
        }
        Ok(())
    }

    /// Deals with everything that was told since the last time.
    async fn follow(&self, place: &mut Option<Followed>) -> Result<(), Refusal> {
        let followed = match place {
            Some(known) => known,
            None => place.insert(self.followed().await?),
        };
        loop {
            let events = self.money.outbox(followed.after, FOLLOW_LEN_MAX).await.map_err(away)?;
            let Some((last, _)) = events.last() else { return Ok(()) };
            let last = *last;
            for (_, event) in &events {
                match Box::pin(self.react(event)).await {
                    Ok(()) => {}
                    Err(error @ Refusal::StoreUnavailable(_)) => return Err(error),
                    // It would be refused again; a person finds it in the log.
                    Err(error) => tracing::error!(event = event.event_id, %error, "an event was not dealt with"),
                }
            }
            followed.after = last;
            followed.rev = followed.rev.saturating_add(1);
            if self.keep(vec![Write::Case(Box::new(followed.case()))]).await? == Kept::Outrun {
                *followed = self.followed().await?;
            }
        }
    }

    async fn followed(&self) -> Result<Followed, Refusal> {
        let stored = self.money.case(CaseKind::Progress, Followed::ID).await.map_err(away)?;
        match stored {
            Some(case) => case.read().map_err(away),
            None => Ok(Followed { since: self.now(), after: 0, rev: 0 }),
        }
    }

    async fn react(&self, event: &OutboxEvent) -> Result<(), Refusal> {
        match event.name.as_str() {
            "order.settled" | "order.corrected" => {
                let order = self.order_of(event).await?;
                self.hold_is_over(&order).await?;
                self.log_large_pass(&order).await?;
                self.compensate(&order).await
            }
            "order.held" => self.held(&self.order_of(event).await?, event.at).await,
            "debt.opened" => self.debt_opened(&self.order_of(event).await?, event).await,
            "debt.cleared" => self.debt_cleared(&self.order_of(event).await?).await,
            "payment.credited" => self.credited(event).await,
            _ => Ok(()),
        }
    }

    async fn order_of(&self, event: &OutboxEvent) -> Result<Order, Refusal> {
        let order_no = OrderNo::parse(&event.subject).map_err(|bad| Refusal::Validation(bad.to_string()))?;
        let order = self.money.order(&order_no).await.map_err(away)?;
        order.ok_or(Refusal::OrderNotFound(order_no))
    }
}
