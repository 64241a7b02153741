//! A receipt for people: one page to print, in Chinese or English, without any script.
//!
//! It shows what the receipt says and computes nothing. Whatever comes from outside is escaped.

use std::fmt::Write as _;

use domain::{Fen, PriceE4, Timestamp, WattHours};
use jiff::tz::TimeZone;
use settlement::{
    order::{OrderStatus, PayMode, PaymentStatus},
    pricing::{Bill, Segment},
    receipt::{Receipt, Sums},
};

use crate::{escape, http::problem::Language};

const STYLE: &str = include_str!("page.css");

/// A page of a receipt.
pub(super) struct Page<'a> {
    pub(super) receipt: &'a Receipt,
    /// The station's name for people.
    pub(super) station: String,
    pub(super) language: Language,
}

impl Page<'_> {
    /// The page; its style carries the nonce.
    pub(super) fn write(&self, nonce: &str) -> String {
        let receipt = self.receipt;
        let title = format!("{} {}", self.say("充电收据", "Charging receipt"), receipt.order_no);
        let lang = if self.language == Language::Zh { "zh-CN" } else { "en" };
        let mut page = format!(
            "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><title>{title}</title><style nonce=\"{nonce}\">{STYLE}</style>\
             </head><body><h1>{title}</h1>",
            title = escape::html(&title)
        );
        self.charge(&mut page);
        if let Some(bill) = &receipt.bill {
            self.segments(&mut page, bill);
            self.fees(&mut page, bill);
        }
        self.corrections(&mut page);
        self.sums(&mut page, &receipt.sums);
        self.entries(&mut page);
        self.foot(&mut page);
        page.push_str("</body></html>\n");
        page
    }

    const fn say(&self, zh: &'static str, en: &'static str) -> &'static str {
        match self.language {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    /// What, where, when.
    fn charge(&self, page: &mut String) {
        let receipt = self.receipt;
        let bill = receipt.bill.as_ref();
        let time = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| self.time(at));
        let register = |wh: Option<WattHours>| wh.map_or_else(|| "–".to_owned(), |wh| format!("{} kWh", kwh(wh)));
        let status = self.status();
        let rows = [
            (self.say("场站", "Station"), self.station.clone()),
            (
                self.say("充电桩 / 枪", "Pile / connector"),
                format!("{} / {}", receipt.pile_code, receipt.connector_id.0),
            ),
            (self.say("用户", "Driver"), receipt.user_id.to_string()),
            (self.say("状态", "Status"), status),
            (self.say("开始", "Began"), time(bill.map(|bill| bill.started_at))),
            (self.say("结束", "Ended"), time(bill.map(|bill| bill.ended_at))),
            (self.say("电表起码", "Meter at start"), register(receipt.meter_start_wh)),
            (self.say("电表止码", "Meter at end"), register(receipt.meter_end_wh)),
        ];
        definitions(page, &rows);
    }

    fn status(&self) -> String {
        let status = match self.receipt.status {
            OrderStatus::Placed => self.say("已下单", "placed"),
            OrderStatus::Starting => self.say("启动中", "starting"),
            OrderStatus::Charging => self.say("充电中", "charging"),
            OrderStatus::Stopping => self.say("停止中", "stopping"),
            OrderStatus::Settling => self.say("结算中", "settling"),
            OrderStatus::Held => self.say("待审核", "held for review"),
            OrderStatus::Closed => self.say("已完成", "closed"),
            OrderStatus::ExceptionClosed => self.say("异常结束", "closed as an exception"),
            OrderStatus::StartFailed => self.say("启动失败", "start failed"),
            OrderStatus::Canceled => self.say("已取消", "canceled"),
        };
        let payment = match self.receipt.payment_status {
            PaymentStatus::None => self.say("未扣款", "nothing taken"),
            PaymentStatus::Frozen => self.say("已冻结", "set aside"),
            PaymentStatus::Paid => self.say("已支付", "paid"),
            PaymentStatus::Unpaid => self.say("有欠费", "owing"),
            PaymentStatus::PartiallyRefunded => self.say("部分退款", "partially refunded"),
            PaymentStatus::Refunded => self.say("已退款", "refunded"),
        };
        let mode = match self.receipt.pay_mode {
            PayMode::Freeze => self.say("冻结后付", "money set aside"),
            PayMode::Prepaid => self.say("预付", "prepaid"),
            PayMode::Postpaid => self.say("信用后付", "on credit"),
        };
        let provisional = if self.receipt.provisional { self.say("（暂结）", " (provisional)") } else { "" };
        format!("{status}{provisional} · {payment} · {mode}")
    }

    /// The energy of every period, with its price.
    fn segments(&self, page: &mut String, bill: &Bill) {
        let heads = [
            self.say("时段", "Period"),
            self.say("从", "From"),
            self.say("至", "To"),
            self.say("电量 kWh", "Energy kWh"),
            self.say("电价 元/kWh", "Electricity CNY/kWh"),
            self.say("服务费 元/kWh", "Service CNY/kWh"),
        ];
        let row = |segment: &Segment| {
            [
                segment.label.clone(),
                self.time(segment.from),
                self.time(segment.to),
                kwh(segment.energy_wh),
                price(segment.electricity_e4),
                price(segment.service_e4),
            ]
        };
        table(page, self.say("分时电量", "Energy by period"), &heads, bill.segments.iter().map(row));
    }

    fn fees(&self, page: &mut String, bill: &Bill) {
        let heads = [
            self.say("总电量 kWh", "Energy kWh"),
            self.say("电费 元", "Electricity CNY"),
            self.say("服务费 元", "Service CNY"),
            self.say("占位费 元", "Occupancy CNY"),
            self.say("合计 元", "Total CNY"),
        ];
        let row = [
            kwh(bill.energy_wh),
            yuan(bill.electricity_fen),
            yuan(bill.service_fen),
            yuan(bill.occupancy_fen),
            yuan(bill.total_fen),
        ];
        table(page, self.say("费用", "Fees"), &heads, [row]);
    }

    fn corrections(&self, page: &mut String) {
        let heads = [
            self.say("更正时间", "Corrected"),
            self.say("电量差 kWh", "Energy kWh"),
            self.say("电费差 元", "Electricity CNY"),
            self.say("服务费差 元", "Service CNY"),
            self.say("合计差 元", "Total CNY"),
        ];
        let rows = self.receipt.corrections.iter().map(|one| {
            [
                self.time(one.at),
                kwh(one.energy_wh),
                yuan(one.electricity_fen),
                yuan(one.service_fen),
                yuan(one.total_fen),
            ]
        });
        if rows.len() > 0 {
            table(page, self.say("更正（已计入上表）", "Corrections (in the figures above)"), &heads, rows);
        }
    }

    fn sums(&self, page: &mut String, sums: &Sums) {
        let heads = [
            self.say("冻结 元", "Set aside CNY"),
            self.say("解冻 元", "Released CNY"),
            self.say("已付 元", "Paid CNY"),
            self.say("欠费 元", "Owed CNY"),
            self.say("退款 元", "Refunded CNY"),
            self.say("核销 元", "Written off CNY"),
        ];
        let row =
            [sums.frozen_fen, sums.released_fen, sums.paid_fen, sums.debt_fen, sums.refunded_fen, sums.written_off_fen]
                .map(yuan);
        table(page, self.say("支付", "Payment"), &heads, [row]);
    }

    fn entries(&self, page: &mut String) {
        let heads = [
            "#",
            self.say("时间", "Time"),
            self.say("操作", "Operation"),
            self.say("借", "Debit"),
            self.say("贷", "Credit"),
            self.say("金额 元", "Amount CNY"),
        ];
        let rows = self.receipt.entries.iter().map(|line| {
            let name = |account| serde_json::to_value(account).ok().and_then(|name| Some(name.as_str()?.to_owned()));
            let (debit, credit) = (name(line.debit).unwrap_or_default(), name(line.credit).unwrap_or_default());
            [line.seq.to_string(), self.time(line.at), line.op.clone(), debit, credit, yuan(line.fen)]
        });
        if rows.len() > 0 {
            table(page, self.say("账簿分录", "Lines of the books"), &heads, rows);
        }
    }

    /// Prices, rule and hash: what it takes to check the rest.
    fn foot(&self, page: &mut String) {
        let receipt = self.receipt;
        let tariff = &receipt.tariff;
        let tariff =
            format!("{} · {} {} · {}", tariff.tariff_id, self.say("版本", "version"), tariff.version, tariff.timezone);
        let frames = receipt.readings.as_ref().map_or_else(
            || self.say("读数已不完整，不在收据中", "no longer stored in full").to_owned(),
            |priced| {
                let (count, offset) = (priced.frames.len(), priced.clock_offset_ms);
                match self.language {
                    Language::Zh => format!("{count} 条，桩时钟修正 {offset} 毫秒（见 JSON）"),
                    Language::En => format!("{count}, the pile's clock corrected by {offset} ms (see the JSON)"),
                }
            },
        );
        let rule = format!("{} {}: {}", self.say("版本", "version"), receipt.rule.version, receipt.rule.text);
        let rows = [
            (self.say("电价", "Tariff"), tariff),
            (self.say("计价读数", "Readings priced"), frames),
            (self.say("计价规则", "Rule"), rule),
            (self.say("SHA-256 校验", "SHA-256"), receipt.hash.clone()),
        ];
        definitions(page, &rows);
        let how = self.say(
            "可离线复核：保存 JSON 收据后运行 pilehub verify-receipt 文件",
            "Check it offline: save the receipt as JSON and run pilehub verify-receipt FILE",
        );
        let _ = write!(page, "<p>{}</p>", escape::html(how));
    }

    /// By the wall clock of the station.
    fn time(&self, at: Timestamp) -> String {
        let zone = TimeZone::get(&self.receipt.tariff.timezone).unwrap_or(TimeZone::UTC);
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }
}

// Writing into memory does not fail.
fn definitions(page: &mut String, rows: &[(&str, String)]) {
    page.push_str("<dl>");
    for (name, text) in rows {
        let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd></div>", escape::html(name), escape::html(text));
    }
    page.push_str("</dl>");
}

fn table<const N: usize>(
    page: &mut String,
    title: &str,
    heads: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let _ = write!(page, "<h2>{}</h2><table><thead><tr>", escape::html(title));
    for head in heads {
        let _ = write!(page, "<th>{}</th>", escape::html(head));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escape::html(&cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>");
}

/// A whole number of units, as a decimal of `places` places.
fn decimal(units: i64, places: usize) -> String {
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = places.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(places));
    format!("{}{whole}.{part}", if units < 0 { "-" } else { "" })
}

fn yuan(fen: Fen) -> String {
    decimal(fen.0, 2)
}

fn kwh(wh: WattHours) -> String {
    decimal(wh.0, 3)
}

fn price(e4: PriceE4) -> String {
    decimal(e4.0, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_all_their_places() {
        for (fen, text) in [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (1_234, "12.34"), (-120_000, "-1200.00")] {
            assert_eq!(yuan(Fen(fen)), text);
        }
        assert_eq!((kwh(WattHours(12_480)), price(PriceE4(8_123))), ("12.480".to_owned(), "0.8123".to_owned()));
        assert_eq!(yuan(Fen(i64::MIN)), "-92233720368547758.08");
    }

    #[test]
    fn markup_from_outside_is_text() {
        assert_eq!(
            escape::html("<img src=\"x\" onerror='y'>&"),
            "&lt;img src=&quot;x&quot; onerror=&#39;y&#39;&gt;&amp;"
        );
    }
}
