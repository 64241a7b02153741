//! Bills of the channels: what is read, to the fen, and what is refused, by line and column.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

use domain::{Fen, Timestamp};
use settlement::reconcile::{
    BillLine, Day, LineKind,
    bills::{BillError, BillFormat},
};

const WECHAT: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注
`2026-11-20 08:00:01,`wx1,`1900000109,`0,`,`4200001,`P1,`oUp,`JSAPI,`SUCCESS,`OTHERS,`CNY,`99.00,`1.00,`0,`0,`0.00,`0.00,`,`,`充值, 100 元,`,`0.60,`0.60%,`100.00,`0.00,`
`2026-11-20 23:59:59,`wx1,`1900000109,`0,`,`4200002,`P2,`oUp,`JSAPI,`SUCCESS,`OTHERS,`CNY,`0.1,`0.00,`0,`0,`0.00,`0.00,`,`,`充值,`,`0.00,`0.60%,`0.1,`0.00,`
`2026-11-20 09:00:00,`wx1,`1900000109,`0,`,`4200001,`P1,`oUp,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5000001,`R1,`19.99,`0.00,`ORIGINAL,`SUCCESS,`充值,`,`-0.12,`0.60%,`0.00,`19.99,`
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额
`3,`99.10,`19.99,`0.00,`0.48,`100.10,`19.99
";

const ALIPAY: &str = "#支付宝业务明细查询
#账号：[20880000000000000156]
#起始日期：[2026年11月20日 00:00:00]   终止日期：[2026年11月21日 00:00:00]
#-----------------------------------------业务明细列表----------------------------------------
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注
2026112022001\t,P1\t,交易\t,\"充值, 100 元\"\t,2026-11-20 08:00:00\t,2026-11-20 08:00:01\t,\t,\t,\t,\t,*明(an***@x.cn)\t,100.00,99.40,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,\t,0.60,0.00,\t
2026112022001\t,P1\t,退款\t,充值\t,2026-11-20 09:00:00\t,2026-11-20 09:00:00\t,\t,\t,\t,\t,*明(an***@x.cn)\t,-19.99,-19.99,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,R1\t,0.00,0.00,\t
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：1笔，商家实收共99.40元，商家优惠共0.00元
#退款合计：1笔，商家实收退款共-19.99元，商家优惠退款共0.00元
#导出时间：[2026年11月21日 09:12:13]
";

const SANDBOX: &str = "kind,paymentNo,transactionId,refundNo,amountFen,at
PAY,P1,T1,,10000,2026-11-20T00:00:01.000Z
REFUND,P1,T1,R1,1999,2026-11-20T01:00:00.000Z
";

fn day() -> Day {
    "2026-11-20".parse().unwrap()
}

fn line(kind: LineKind, names: [&str; 3], fen: i64, at: &str) -> BillLine {
    let [payment_no, refund_no, transaction_id] = names.map(str::to_owned);
    BillLine {
        kind,
        payment_no,
        refund_no,
        transaction_id,
        amount_fen: Fen(fen),
        at: Timestamp::parse_rfc3339(at).unwrap(),
    }
}

fn refused(format: BillFormat, text: &str) -> (u64, String) {
    let BillError { line, column, .. } = format.read(text.as_bytes(), day()).unwrap_err();
    (line, column)
}

#[test]
fn a_bill_of_wechat_is_read_to_the_fen() {
    let expected = [
        line(LineKind::Pay, ["P1", "", "4200001"], 10_000, "2026-11-20T00:00:01Z"),
        line(LineKind::Pay, ["P2", "", "4200002"], 10, "2026-11-20T15:59:59Z"),
        line(LineKind::Refund, ["P1", "R1", "4200001"], 1_999, "2026-11-20T01:00:00Z"),
    ];
    assert_eq!(BillFormat::Wechat.read(WECHAT.as_bytes(), day()).unwrap(), expected);
    let windows = format!("\u{feff}{}", WECHAT.replace('\n', "\r\n"));
    assert_eq!(BillFormat::Wechat.read(windows.as_bytes(), day()).unwrap(), expected, "a byte order mark, line ends");
}

#[test]
fn a_bill_of_alipay_is_read_to_the_fen() {
    let expected = [
        line(LineKind::Pay, ["P1", "", "2026112022001"], 10_000, "2026-11-20T00:00:01Z"),
        line(LineKind::Refund, ["P1", "R1", "2026112022001"], 1_999, "2026-11-20T01:00:00Z"),
    ];
    assert_eq!(BillFormat::Alipay.read(ALIPAY.as_bytes(), day()).unwrap(), expected);
    let narrow = ALIPAY.replace('（', "(").replace('）', ")");
    assert_eq!(BillFormat::Alipay.read(narrow.as_bytes(), day()).unwrap(), expected);
}

#[test]
fn a_bill_of_the_sandbox_is_read_to_the_fen() {
    let expected = [
        line(LineKind::Pay, ["P1", "", "T1"], 10_000, "2026-11-20T00:00:01Z"),
        line(LineKind::Refund, ["P1", "R1", "T1"], 1_999, "2026-11-20T01:00:00Z"),
    ];
    assert_eq!(BillFormat::Sandbox.read(SANDBOX.as_bytes(), day()).unwrap(), expected);
}

#[test]
fn a_refused_bill_of_wechat_names_line_and_column() {
    for (from, to, line, column) in [
        ("`100.00,`0.00,`\n", "`100.001,`0.00,`\n", 2, "订单金额"),
        ("`100.00,`0.00,`\n", "`1e2,`0.00,`\n", 2, "订单金额"),
        ("`100.00,`0.00,`\n", "`-100.00,`0.00,`\n", 2, "订单金额"),
        ("`19.99,`\n", "`,`\n", 4, "申请退款金额"),
        ("`2026-11-20 23:59:59", "`2026-11-21 00:00:00", 3, "交易时间"),
        ("`2026-11-20 23:59:59", "`2026-11-20 24:00:00", 3, "交易时间"),
        ("`2026-11-20 23:59:59", "`2026/11/20 23:59:59", 3, "交易时间"),
        ("`SUCCESS,`OTHERS,`CNY,`0.1", "`SUCCESS,`OTHERS,`USD,`0.1", 3, "货币种类"),
        ("`JSAPI,`REFUND", "`JSAPI,`LOST", 4, "交易状态"),
        ("`4200002,`P2", "`4200002,`", 3, "商户订单号"),
        ("`4200002,`P2", "`订单,`P2", 3, "微信订单号"),
        ("商户订单号,", "", 1, "商户订单号"),
        ("货币种类,", "币种,", 1, "货币种类"),
        ("`0.1,`0.00,`\n", "`0.1,`0.00\n", 3, "(row)"),
        ("`3,`99.10", "`4,`99.10", 6, "总交易单数"),
        ("`0.48,`100.10", "`0.48,`100.11", 6, "订单总金额"),
        ("`3,`99.10", "`3,`99.11", 6, "应结订单总金额"),
        ("总交易单数", "总数", 6, "总交易单数"),
        ("`3,`99.10,`19.99,`0.00,`0.48,`100.10,`19.99\n", "", 6, "总交易单数"),
    ] {
        assert!(WECHAT.contains(from), "{from}");
        let text = WECHAT.replacen(from, to, 1);
        assert_eq!(refused(BillFormat::Wechat, &text), (line, column.to_owned()), "{from} → {to}");
    }
    let cut: String = WECHAT.lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(refused(BillFormat::Wechat, &cut), (3, "总交易单数".to_owned()), "a file that was cut off");
    assert_eq!(refused(BillFormat::Wechat, ALIPAY).1, "总交易单数");
    assert_eq!(refused(BillFormat::Wechat, ""), (0, "总交易单数".to_owned()));
}

#[test]
fn a_refused_bill_of_alipay_names_line_and_column() {
    for (from, to, line, column) in [
        (",100.00,", ",100.0.0,", 6, "订单金额(元)"),
        (",100.00,", ",-100.00,", 6, "订单金额(元)"),
        (",-19.99,-19.99", ",19.99,-19.99", 7, "订单金额(元)"),
        ("2026-11-20 09:00:00\t,\t", "2026-11-19 09:00:00\t,\t", 7, "完成时间"),
        (",退款\t", ",其他\t", 7, "业务类型"),
        (",P1\t,退款", ",P 1\t,退款", 7, "商户订单号"),
        ("业务类型", "类型", 5, "业务类型"),
        (",0.60,0.00,\t\n", ",0.60\n", 6, "(row)"),
        ("#交易合计：1笔", "#交易合计：2笔", 9, "(合计)"),
        ("#退款合计：1笔", "#退款合计：0笔", 10, "(合计)"),
        ("#退款合计：1笔", "#退款合计：", 10, "(合计)"),
    ] {
        assert!(ALIPAY.contains(from), "{from}");
        let text = ALIPAY.replacen(from, to, 1);
        assert_eq!(refused(BillFormat::Alipay, &text), (line, column.to_owned()), "{from} → {to}");
    }
}

#[test]
fn a_refused_bill_of_the_sandbox_names_line_and_column() {
    for (from, to, line, column) in [
        ("PAY", "PAID", 2, "kind"),
        (",10000,", ",100.00,", 2, "amountFen"),
        (",10000,", ",-1,", 2, "amountFen"),
        (",10000,", ",+1,", 2, "amountFen"),
        ("2026-11-20T01", "2026-11-20T16", 3, "at"),
        ("2026-11-20T01", "20.11.2026 01", 3, "at"),
        ("transactionId", "transaction", 1, "transactionId"),
    ] {
        let text = SANDBOX.replacen(from, to, 1);
        assert_eq!(refused(BillFormat::Sandbox, &text), (line, column.to_owned()), "{from} → {to}");
    }
}

#[test]
fn what_is_no_utf_8_is_refused_with_the_way_to_make_it_so() {
    // "支付宝" in GBK.
    let gbk = [b"# remark\n# ".as_slice(), &[0xD6, 0xA7, 0xB8, 0xB6, 0xB1, 0xA6]].concat();
    for format in BillFormat::ALL {
        let refused = format.read(&gbk, day()).unwrap_err();
        assert_eq!((refused.line, refused.column.as_str()), (2, "(encoding)"));
        assert!(refused.to_string().contains("iconv -f GBK"), "{refused}");
    }
}

#[test]
fn what_is_written_reads_back_in_every_form() {
    let lines = [
        line(LineKind::Pay, ["P1", "", "T,1"], 10_000, "2026-11-19T16:00:00Z"),
        line(LineKind::Pay, ["P2", "", "T\"2"], 0, "2026-11-20T15:59:59Z"),
        line(LineKind::Refund, ["P1", "R1", "T1"], 1, "2026-11-20T04:00:00Z"),
        line(LineKind::Refund, ["P2", "", "T2"], 9_223_372_036_854, "2026-11-20T04:00:00Z"),
    ];
    for format in BillFormat::ALL {
        let text = format.write(&lines, day());
        assert_eq!(format.read(text.as_bytes(), day()).unwrap(), lines, "{text}");
        assert_eq!(format.read(format.write(&[], day()).as_bytes(), day()), Ok(Vec::new()), "an empty day");
    }
}

#[test]
fn any_bytes_are_read_or_refused_and_never_end_the_process() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
    };
    for _ in 0..3_000 {
        let of = [WECHAT, ALIPAY, SANDBOX][next(3)];
        let mut bytes = of.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        for format in BillFormat::ALL {
            let _ = format.read(&bytes, day());
        }
    }
}
