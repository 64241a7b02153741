//! Where the money must be, order by order [CONTRACT 2.2].

/// A driver's account as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Free to use.
    pub available_fen: i64,
    /// Set aside for running orders.
    pub frozen_fen: i64,
    /// Owed.
    pub debt_fen: i64,
    /// Everything that ever came in.
    pub topped_up_fen: i64,
    /// Everything that was ever taken.
    pub paid_fen: i64,
}

/// What settling one order must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payment {
    /// Taken, from the frozen sum and then from the available balance.
    pub paid_fen: i64,
    /// Left of the frozen sum and given back.
    pub released_fen: i64,
    /// Owed.
    pub debt_fen: i64,
}

impl Account {
    /// Money comes in.
    pub const fn top_up(&mut self, fen: i64) {
        self.available_fen = self.available_fen.saturating_add(fen);
        self.topped_up_fen = self.topped_up_fen.saturating_add(fen);
    }

    /// An order is created: freezes `min(limit, available)`; `None` when that is less than the minimum or there is a
    /// debt.
    pub fn freeze(&mut self, limit_fen: i64, min_fen: i64) -> Option<i64> {
        let frozen = limit_fen.min(self.available_fen);
        if self.debt_fen > 0 || frozen < min_fen {
            return None;
        }
        self.available_fen = self.available_fen.saturating_sub(frozen);
        self.frozen_fen = self.frozen_fen.saturating_add(frozen);
        Some(frozen)
    }

    /// An order that froze `frozen` is settled over `total`.
    pub fn settle(&mut self, frozen: i64, total: i64) -> Payment {
        let from_frozen = total.min(frozen);
        let from_available = total.saturating_sub(from_frozen).min(self.available_fen);
        let released_fen = frozen.saturating_sub(from_frozen);
        let paid_fen = from_frozen.saturating_add(from_available);
        let debt_fen = total.saturating_sub(paid_fen);
        self.frozen_fen = self.frozen_fen.saturating_sub(frozen);
        self.available_fen = self.available_fen.saturating_add(released_fen).saturating_sub(from_available);
        self.paid_fen = self.paid_fen.saturating_add(paid_fen);
        self.debt_fen = self.debt_fen.saturating_add(debt_fen);
        Payment { paid_fen, released_fen, debt_fen }
    }

    /// A debt is paid from the available balance; takes at most what is owed and what there is.
    pub fn repay(&mut self, fen: i64) -> i64 {
        let taken = fen.min(self.debt_fen).min(self.available_fen);
        self.available_fen = self.available_fen.saturating_sub(taken);
        self.debt_fen = self.debt_fen.saturating_sub(taken);
        self.paid_fen = self.paid_fen.saturating_add(taken);
        taken
    }
}
