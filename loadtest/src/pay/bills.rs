//! The channels' bills of a day, in their own columns: WeChat's 交易账单 and Alipay's 业务明细. Days are those of Shanghai.

use anyhow::Context as _;
use domain::Timestamp;
use jiff::civil::Date;

use super::{
    ALIPAY_APP, MCH_ID, SELLER_ID, WECHAT_APP,
    alipay::{shanghai, yuan},
    world::{Channel, RefundRow, RefundStatus, World},
};

const WECHAT_HEADER: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const WECHAT_SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
const ALIPAY_HEADER: &str = "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注";

/// A line of a bill.
struct Line<'a> {
    at: String,
    transaction_id: &'a str,
    out_trade_no: &'a str,
    fen: i64,
    refund: Option<&'a RefundRow>,
}

/// The bill of a day (`2026-11-21`).
pub(super) fn bill(world: &World, channel: Channel, day: &str) -> anyhow::Result<String> {
    let day: Date = day.parse().with_context(|| format!("\"{day}\" is no day like 2026-11-21"))?;
    let lines = lines(world, channel, day)?;
    Ok(match channel {
        Channel::Wechat => wechat(&lines),
        Channel::Alipay => alipay(&lines, day),
    })
}

fn lines(world: &World, channel: Channel, day: Date) -> anyhow::Result<Vec<Line<'_>>> {
    let on_day = |at: Timestamp| anyhow::Ok(Some(shanghai(at)?).filter(|text| text.starts_with(&day.to_string())));
    let mut lines = Vec::new();
    for (out_trade_no, trade) in world.trades.iter().filter(|(_, trade)| trade.channel == channel) {
        for paid in &trade.paid {
            if let Some(at) = on_day(paid.at)? {
                lines.push(Line {
                    at,
                    transaction_id: &paid.transaction_id,
                    out_trade_no,
                    fen: trade.fen,
                    refund: None,
                });
            }
        }
    }
    for row in world.refunds.values().filter(|row| row.channel == channel && row.status == RefundStatus::Success) {
        if let Some(at) = on_day(row.at)? {
            let (transaction_id, out_trade_no) = (&row.transaction_id, &row.out_trade_no);
            lines.push(Line { at, transaction_id, out_trade_no, fen: row.fen, refund: Some(row) });
        }
    }
    lines.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(lines)
}

/// Every field begins with a backtick, so that spreadsheets leave it as it is.
fn ticked(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("`{field}")).collect::<Vec<_>>().join(",")
}

fn wechat(lines: &[Line<'_>]) -> String {
    let mut out = format!("{WECHAT_HEADER}\n");
    let (mut paid, mut refunded) = (0_i64, 0_i64);
    for line in lines {
        let (sum, none) = (yuan(line.fen), "0.00");
        let (state, pay_fen, refund_fen) = match line.refund {
            None => ("SUCCESS", sum.as_str(), none),
            Some(_) => ("REFUND", none, sum.as_str()),
        };
        match line.refund {
            None => paid = paid.saturating_add(line.fen),
            Some(_) => refunded = refunded.saturating_add(line.fen),
        }
        let (refund_id, refund_no) = line.refund.map_or(("0", "0"), |row| (&row.refund_id, &row.refund_no));
        let (kind, status) = line.refund.map_or(("", ""), |_| ("ORIGINAL", "SUCCESS"));
        out.push_str(&ticked(&[
            &line.at,
            WECHAT_APP,
            MCH_ID,
            "0",
            "",
            line.transaction_id,
            line.out_trade_no,
            "o-simulated",
            "NATIVE",
            state,
            "OTHERS",
            "CNY",
            pay_fen,
            none,
            refund_id,
            refund_no,
            refund_fen,
            none,
            kind,
            status,
            "充电钱包充值",
            "",
            "0.00000",
            "0.60%",
            pay_fen,
            refund_fen,
            "",
        ]));
        out.push('\n');
    }
    let (paid, refunded, count) = (yuan(paid), yuan(refunded), lines.len().to_string());
    let summary = ticked(&[&count, &paid, &refunded, "0.00", "0.00000", &paid, &refunded]);
    out.push_str(&format!("{WECHAT_SUMMARY}\n{summary}\n"));
    out
}

fn alipay(lines: &[Line<'_>], day: Date) -> String {
    let long_day = day.strftime("%Y年%m月%d日");
    let mut out = format!(
        "#支付宝业务明细查询\n#账号：[{SELLER_ID}0156]\n#起始日期：[{long_day} 00:00:00]   终止日期：[{long_day} 24:00:00]\n\
         #-----------------------------------------业务明细列表----------------------------------------\n{ALIPAY_HEADER}\n"
    );
    for line in lines {
        let kind = if line.refund.is_some() { "退款" } else { "交易" };
        let sum = yuan(if line.refund.is_some() { line.fen.saturating_neg() } else { line.fen });
        let refund_no = line.refund.map_or("", |row| &row.refund_no);
        // Names end with a tab, so that spreadsheets leave them as they are.
        let fields = [
            &format!("{}\t", line.transaction_id),
            &format!("{}\t", line.out_trade_no),
            kind,
            "充电钱包充值",
            &line.at,
            &line.at,
            "",
            "",
            "",
            "",
            "*某某(138****0000)",
            &sum,
            &sum,
            "0.00",
            "0.00",
            "0.00",
            "0.00",
            "0.00",
            "",
            "0.00",
            "0.00",
            refund_no,
            "0.00",
            "0.00",
            ALIPAY_APP,
        ];
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    out.push_str("#-----------------------------------------业务明细列表结束------------------------------------\n");
    let refunds = lines.iter().filter(|line| line.refund.is_some()).count();
    let total = |refund: bool| lines.iter().filter(|line| line.refund.is_some() == refund).map(|line| line.fen).sum();
    let trades = lines.len().saturating_sub(refunds);
    out.push_str(&format!(
        "#交易合计：{trades}笔，商家实收共{}元，商家优惠共0.00元\n#退款合计：{refunds}笔，商家实收退款共{}元，商家优惠退款共0.00元\n",
        yuan(total(false)),
        yuan(total(true))
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_has_what_was_paid_and_what_went_back_on_its_day_in_shanghai() {
        let mut world = World::default();
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        for channel in [Channel::Wechat, Channel::Alipay] {
            let no = |n: u8| format!("{}{n}", channel.name());
            assert!(world.ask(channel, &no(1), 5_001, at("2026-11-20T10:00:00Z")));
            assert!(world.ask(channel, &no(2), 700, at("2026-11-20T10:00:00Z")));
            let first = world.pay(&no(1), at("2026-11-20T16:00:00Z")).unwrap();
            world.pay(&no(2), at("2026-11-20T15:59:59Z")).unwrap();
            world.refund(&first, &format!("R{}", channel.name()), 1_000, at("2026-11-21T02:00:00Z")).unwrap();
            let bill = bill(&world, channel, "2026-11-21").unwrap();
            assert!(bill.contains(&no(1)) && !bill.contains(&no(2)) && bill.contains("50.01"), "{bill}");
            assert!(bill.contains("10.00") && bill.contains(&format!("R{}", channel.name())), "{bill}");
            let fields = |line: &str| line.split(',').count();
            let rows: Vec<&str> = bill.lines().filter(|line| line.contains(&no(1))).collect();
            let header = bill.lines().find(|line| line.contains("商户订单号")).unwrap();
            assert_eq!(rows.iter().map(|row| fields(row)).collect::<Vec<_>>(), [fields(header); 2]);
        }
        assert!(bill(&world, Channel::Wechat, "yesterday").is_err());
    }
}
