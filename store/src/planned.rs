//! What `settlement` planned, as the writes that store it.

use settlement::{ledger::LedgerChange, settle::Step};

use crate::money::{Commit, LedgerWrite, StoreError, Write};

impl LedgerWrite {
    /// One operation of the ledger.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when its result cannot be written as JSON.
    pub fn of(change: LedgerChange) -> Result<Self, StoreError> {
        let LedgerChange { op, expect_version, next, entries, result } = change;
        let result = serde_json::to_string(&result)
            .map_err(|error| StoreError::Corrupt(format!("the result of operation {op}: {error}")))?;
        Ok(Self { op, expect_version, next, entries, result })
    }
}

impl Commit {
    /// All steps of a plan, in their order.
    ///
    /// # Errors
    ///
    /// As [`LedgerWrite::of`].
    pub fn of(steps: Vec<Step>) -> Result<Self, StoreError> {
        let writes = steps.into_iter().map(|step| {
            Ok(match step {
                Step::NewOrder(order) => Write::NewOrder(order),
                Step::Order(order) => Write::Order(order),
                Step::History(order_no, rows) => Write::History(order_no, rows),
                Step::Ledger(change) => Write::Ledger(Box::new(LedgerWrite::of(*change)?)),
            })
        });
        Ok(Self { writes: writes.collect::<Result<_, StoreError>>()? })
    }
}
