//! What the simulated channels know: payments, what was paid of them, refunds. No bytes, no signatures.

use std::collections::BTreeMap;

use anyhow::Context as _;
use domain::Timestamp;

/// Which channel is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// WeChat Pay v3.
    Wechat,
    /// Alipay.
    Alipay,
}

impl Channel {
    /// As the hub names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wechat => "wechat",
            Self::Alipay => "alipay",
        }
    }

    /// The channel of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Wechat, Self::Alipay].into_iter().find(|channel| channel.name() == name)
    }
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Through which channel.
    pub channel: Channel,
    /// How much was asked for.
    pub fen: i64,
    /// Where it is.
    pub state: TradeState,
    /// What was paid; more than once when the driver paid twice.
    pub paid: Vec<PaidOnce>,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradeState {
    /// Nobody has paid.
    Waiting,
    /// Paid.
    Paid,
    /// It can be paid no more.
    Closed,
}

/// Money that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidOnce {
    /// The channel's name for it.
    pub transaction_id: String,
    /// When.
    pub at: Timestamp,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRow {
    /// Through which channel.
    pub channel: Channel,
    /// The merchant's name for it.
    pub refund_no: String,
    /// The channel's.
    pub refund_id: String,
    /// Of which transaction.
    pub transaction_id: String,
    /// The merchant's name for what was paid.
    pub out_trade_no: String,
    /// How much.
    pub fen: i64,
    /// Where it is.
    pub status: RefundStatus,
    /// When it was asked for.
    pub at: Timestamp,
}

/// Where a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    /// Under way.
    Processing,
    /// The money left.
    Success,
}

/// How refunds are dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RefundMode {
    /// Done at once.
    #[default]
    Succeed,
    /// Under way until told otherwise.
    Process,
    /// Refused.
    Refuse,
    /// Done, but the answer is lost.
    LoseAnswer,
    /// Not heard at all.
    LoseCall,
}

/// How the channels behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// Refunds.
    pub refunds: RefundMode,
    /// Questions about payments get no answer.
    pub queries_lost: bool,
    /// Questions are answered with so many fen more than were paid.
    pub misprice: i64,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) behaviour: Behaviour,
    pub(crate) trades: BTreeMap<String, Trade>,
    pub(crate) refunds: BTreeMap<String, RefundRow>,
    /// Calls without a good signature.
    pub(crate) unsigned: u64,
    /// Names given out.
    names: u64,
}

/// Why a refund is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRefund {
    /// No such transaction.
    NoTrade,
    /// More than was paid, or another amount under the same number.
    TooMuch,
    /// Because it was told to refuse.
    Unwilling,
}

impl World {
    fn name(&mut self, prefix: &str) -> String {
        self.names = self.names.saturating_add(1);
        format!("{prefix}{:020}", self.names)
    }

    /// Takes a prepay; the same again changes nothing. `false`: other facts under the same name.
    pub(crate) fn ask(&mut self, channel: Channel, no: &str, fen: i64, now: Timestamp) -> bool {
        let new = Trade { channel, fen, state: TradeState::Waiting, paid: Vec::new(), at: now };
        let trade = self.trades.entry(no.to_owned()).or_insert(new);
        trade.channel == channel && trade.fen == fen
    }

    pub(crate) fn pay(&mut self, no: &str, now: Timestamp) -> anyhow::Result<String> {
        let transaction_id = self.name("42");
        let trade = self.trades.get_mut(no).with_context(|| format!("no payment {no}"))?;
        if let Some(paid) = trade.paid.first() {
            return Ok(paid.transaction_id.clone());
        }
        trade.state = TradeState::Paid;
        trade.paid.push(PaidOnce { transaction_id: transaction_id.clone(), at: now });
        Ok(transaction_id)
    }

    pub(crate) fn pay_again(&mut self, no: &str, now: Timestamp) -> anyhow::Result<String> {
        let transaction_id = self.name("42");
        let trade = self.trades.get_mut(no).with_context(|| format!("no payment {no}"))?;
        trade.paid.push(PaidOnce { transaction_id: transaction_id.clone(), at: now });
        Ok(transaction_id)
    }

    pub(crate) fn stray(&mut self, channel: Channel, no: &str, fen: i64, now: Timestamp) -> String {
        let transaction_id = self.name("42");
        let paid = vec![PaidOnce { transaction_id: transaction_id.clone(), at: now }];
        self.trades.insert(no.to_owned(), Trade { channel, fen, state: TradeState::Paid, paid, at: now });
        transaction_id
    }

    /// Takes a refund; the same again changes nothing.
    pub(crate) fn refund(
        &mut self,
        transaction_id: &str,
        refund_no: &str,
        fen: i64,
        now: Timestamp,
    ) -> Result<RefundRow, NoRefund> {
        if let Some(row) = self.refunds.get(refund_no) {
            let same = row.transaction_id == transaction_id && row.fen == fen;
            return if same { Ok(row.clone()) } else { Err(NoRefund::TooMuch) };
        }
        if self.behaviour.refunds == RefundMode::Refuse {
            return Err(NoRefund::Unwilling);
        }
        let of = |trade: &&Trade| trade.paid.iter().any(|paid| paid.transaction_id == transaction_id);
        let found = self.trades.iter().find(|(_, trade)| of(trade));
        let (no, channel, paid) =
            found.map(|(no, trade)| (no.clone(), trade.channel, trade.fen)).ok_or(NoRefund::NoTrade)?;
        let others = self.refunds.values().filter(|row| row.transaction_id == transaction_id).map(|row| row.fen);
        if fen <= 0 || others.sum::<i64>().saturating_add(fen) > paid {
            return Err(NoRefund::TooMuch);
        }
        let status = match self.behaviour.refunds {
            RefundMode::Process => RefundStatus::Processing,
            RefundMode::Succeed | RefundMode::Refuse | RefundMode::LoseAnswer | RefundMode::LoseCall => {
                RefundStatus::Success
            }
        };
        let row = RefundRow {
            channel,
            refund_no: refund_no.to_owned(),
            refund_id: self.name("50"),
            transaction_id: transaction_id.to_owned(),
            out_trade_no: no,
            fen,
            status,
            at: now,
        };
        self.refunds.insert(refund_no.to_owned(), row.clone());
        Ok(row)
    }
}
