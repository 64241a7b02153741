//! The audit port: what `pilehub audit` reads beyond the money port. Reads only; judges nothing but the engine's own
//! copies of one fact.

use async_trait::async_trait;
use settlement::ledger::AccountState;

use crate::money::{Page, Payment, StoreError};

/// Two copies of one fact that differ, or a file that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Of what: `order 123`, `file money.db`, …
    pub of: String,
    /// What differs from what.
    pub what: String,
}

/// What an audit reads page by page; together with [`crate::money::Money`] over the same snapshot.
#[async_trait]
pub trait Audit: Send + Sync + std::fmt::Debug {
    /// A page of accounts, by user.
    async fn accounts(&self, cursor: Option<&str>, max: usize) -> Result<Page<AccountState>, StoreError>;

    /// A page of payments, by number.
    async fn payments(&self, cursor: Option<&str>, max: usize) -> Result<Page<Payment>, StoreError>;

    /// Names of a page of accounts' operations with the account version each one made, in the order they were done.
    async fn ops(
        &self,
        user_id: &domain::UserId,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Page<(i64, String)>, StoreError>;

    /// Where the engine's own copies of one fact differ (an order's columns and its body, …), at most
    /// [`crate::limits::DISAGREEMENTS_MAX`] of them; empty when all is well.
    async fn disagreements(&self) -> Result<Vec<Disagreement>, StoreError>;
}
