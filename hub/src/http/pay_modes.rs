//! How an order is paid for: what each mode needs before the order is placed. Whether somebody gets credit is settlement's
//! rule; here its facts are looked up, in the driver's turn, so that two starts at once do not both find none running.

use domain::{Fen, UserId};
use settlement::{
    order::{Order, OrderLimit, OrderStatus, PayMode, PaymentStatus},
    risk::credit::{CreditFacts, credit},
};
use store::money::OrderFilter;

use super::{
    problem::{Code, Problem},
    state::App,
};
use crate::limits::{CREDIT_ORDERS_MAX, PAGE_LEN_MAX};

/// The limit under which an order of this mode is placed.
pub(super) async fn limit_for(
    app: &App,
    user: &UserId,
    mode: PayMode,
    asked: OrderLimit,
) -> Result<OrderLimit, Problem> {
    match mode {
        PayMode::Freeze => Ok(asked),
        PayMode::Prepaid if asked.amount_fen.is_some() => Ok(asked),
        PayMode::Prepaid => Err(Problem::missing("limit.amountFen")),
        PayMode::Postpaid => {
            let facts = credit_facts(app, user).await?;
            let given = credit(&facts, &app.desk.risk.settings.credit, asked.amount_fen);
            let fen = given.map_err(|refused| Problem::new(Code::CreditRefused, refused.to_string()))?;
            Ok(OrderLimit { amount_fen: Some(fen), ..asked })
        }
    }
}

async fn credit_facts(app: &App, user: &UserId) -> Result<CreditFacts, Problem> {
    let account = app.money.account(user).await?;
    let debt =
        account.iter().flat_map(|account| account.debts.values()).fold(0_i64, |sum, fen| sum.saturating_add(fen.0));
    let entry = app.money.blacklisted(user).await?;
    let mut facts = CreditFacts {
        paid_orders: 0,
        debt: Fen(debt),
        open_order: None,
        blacklisted: entry.is_some_and(|entry| entry.holds_at(app.now())),
    };
    let filter = OrderFilter { user_id: Some(user.clone()), pile_code: None };
    let (mut cursor, mut left) = (None::<String>, CREDIT_ORDERS_MAX);
    while left > 0 {
        let page = app.money.orders(&filter, cursor.as_deref(), left.min(PAGE_LEN_MAX)).await?;
        left = left.saturating_sub(page.items.len());
        for order in page.items {
            if is_paid(&order) {
                facts.paid_orders = facts.paid_orders.saturating_add(1);
            } else if !order.status.is_over() && order.pay_mode == PayMode::Postpaid {
                facts.open_order = Some(order.order_no);
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(facts)
}

/// Closed as it should be, paid by the driver to the last fen, and nothing of it given back.
fn is_paid(order: &Order) -> bool {
    order.status == OrderStatus::Closed
        && order.payment_status == PaymentStatus::Paid
        && order.paid_fen > Fen::ZERO
        && order.written_off_fen == Fen::ZERO
}
