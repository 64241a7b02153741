//! The stable codes of refusals, each with its status, its title and what to do next, in both languages.

use axum::http::StatusCode;

/// The languages the hub speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Zh,
    En,
}

impl Language {
    /// From an `Accept-Language` header: the first of the two languages by weight; English when neither is named.
    pub(crate) fn accepted(header: &str) -> Self {
        let weighed = header.split(',').filter_map(|part| {
            let (range, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            let weight: f32 = weight.trim().parse().ok()?;
            let range = range.trim().to_ascii_lowercase();
            let language = match range.get(..2) {
                Some("zh") => Self::Zh,
                Some("en") => Self::En,
                Some(_) | None => return None,
            };
            (weight > 0.0).then_some((language, weight))
        });
        // The first of equal weights wins, which `max_by` would not do.
        weighed
            .fold(
                None,
                |best: Option<(Self, f32)>, one| if best.is_some_and(|b| b.1 >= one.1) { best } else { Some(one) },
            )
            .map_or(Self::En, |(language, _)| language)
    }
}

macro_rules! codes {
    ($($name:ident $status:ident $code:literal
        $title_zh:literal $title_en:literal
        $next_zh:literal $next_en:literal;)*) => {
        /// Why a call was refused; the text of a code never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $($name,)* }

        impl Code {
            /// Every code there is.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
            pub(crate) const fn title(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Zh) => $title_zh, (Self::$name, Language::En) => $title_en,)*
                }
            }
            /// What the caller can do about it.
            pub(crate) const fn next(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$name, Language::Zh) => $next_zh, (Self::$name, Language::En) => $next_en,)*
                }
            }
        }
    };
}

codes! {
    Unauthenticated UNAUTHORIZED "UNAUTHENTICATED"
        "未登录或登录已失效" "Not signed in"
        "请携带有效的 Authorization: Bearer 令牌重试" "send a valid token as Authorization: Bearer";
    Forbidden FORBIDDEN "FORBIDDEN"
        "没有权限" "Not allowed"
        "请使用具备相应角色的账号" "use an account whose role allows this call";
    Blacklisted FORBIDDEN "BLACKLISTED"
        "账号已被限制充电" "The account is blocked"
        "请联系客服" "contact customer service";
    RiskRefused FORBIDDEN "RISK_REFUSED"
        "操作因风控规则被拒绝" "Refused by a rule of risk"
        "请按 detail 的说明操作，或联系客服" "do what detail says, or ask customer service";
    CreditRefused FORBIDDEN "CREDIT_REFUSED"
        "不能先充后付" "No credit for this charge"
        "请改用 FREEZE 或 PREPAID" "choose payMode FREEZE or PREPAID";
    ApprovalLimit FORBIDDEN "APPROVAL_LIMIT"
        "超出审批限额" "Over the limit of this approver"
        "请由限额更高的角色审批" "let a role with a higher limit approve it";
    InsufficientBalance PAYMENT_REQUIRED "INSUFFICIENT_BALANCE"
        "余额不足" "Not enough money"
        "请先充值" "top up first";
    NotFound NOT_FOUND "NOT_FOUND"
        "没有这个地址" "There is nothing here"
        "请查阅 /api/docs" "see /api/docs for the calls there are";
    PileNotFound NOT_FOUND "PILE_NOT_FOUND"
        "没有这个充电桩" "There is no such pile"
        "请核对桩编号" "check the code on the pile";
    StationNotFound NOT_FOUND "STATION_NOT_FOUND"
        "没有这个场站" "There is no such station"
        "请核对场站编号" "check the station's id";
    OrderNotFound NOT_FOUND "ORDER_NOT_FOUND"
        "没有这个订单" "There is no such order"
        "请核对订单号" "check the order number";
    TariffNotFound NOT_FOUND "TARIFF_NOT_FOUND"
        "没有这个电价" "There is no such tariff"
        "请核对电价编号" "check the tariff's id";
    CommandNotFound NOT_FOUND "COMMAND_NOT_FOUND"
        "没有这条指令" "There is no such command"
        "请核对指令编号" "check the command's id";
    AlarmNotFound NOT_FOUND "ALARM_NOT_FOUND"
        "没有这条告警" "There is no such alarm"
        "请核对告警编号" "check the alarm's id";
    QuarantineNotFound NOT_FOUND "QUARANTINE_NOT_FOUND"
        "没有这条隔离报文" "There is no such quarantined frame"
        "请核对编号" "check the id";
    PaymentNotFound NOT_FOUND "PAYMENT_NOT_FOUND"
        "没有这笔支付" "There is no such payment"
        "请核对支付单号" "check the payment number";
    RefundNotFound NOT_FOUND "REFUND_NOT_FOUND"
        "没有这笔退款" "There is no such refund"
        "请核对退款单号" "check the refund number";
    SuspenseNotFound NOT_FOUND "SUSPENSE_NOT_FOUND"
        "没有这笔长款" "There is no such money in suspense"
        "请核对编号" "check the id";
    ReconciliationNotFound NOT_FOUND "RECONCILIATION_NOT_FOUND"
        "这一天还没有对账" "The day was not reconciled"
        "请先发起对账：POST /reconciliations" "run it first: POST /reconciliations";
    ItemNotFound NOT_FOUND "ITEM_NOT_FOUND"
        "没有这条差异" "There is no such item"
        "请核对日期和差异编号" "check the day and the item's id";
    AdjustmentNotFound NOT_FOUND "ADJUSTMENT_NOT_FOUND"
        "没有这笔调账" "There is no such adjustment"
        "请核对调账编号" "check the adjustment's id";
    WriteOffNotFound NOT_FOUND "WRITE_OFF_NOT_FOUND"
        "没有这笔核销" "There is no such write-off"
        "请核对核销编号" "check the write-off's id";
    IntegrationNotFound NOT_FOUND "INTEGRATION_NOT_FOUND"
        "没有这个集成账号" "There is no such integration"
        "请核对名称" "check the name";
    MethodNotAllowed METHOD_NOT_ALLOWED "METHOD_NOT_ALLOWED"
        "不支持的请求方法" "The method is not supported here"
        "请查阅 /api/docs" "see /api/docs for the calls there are";
    PileOffline CONFLICT "PILE_OFFLINE"
        "充电桩离线" "The pile is offline"
        "请换一个充电桩或稍后再试" "choose another pile or try again later";
    PileFaulted CONFLICT "PILE_FAULTED"
        "充电桩故障" "The pile is out of order"
        "请换一个充电桩" "choose another pile";
    PileMaintenance CONFLICT "PILE_MAINTENANCE"
        "充电桩维护中" "The pile is in maintenance"
        "请换一个充电桩" "choose another pile";
    PileExists CONFLICT "PILE_EXISTS"
        "桩编号已存在" "The pile code is taken"
        "请换一个编号" "use another code";
    StationExists CONFLICT "STATION_EXISTS"
        "场站编号已存在" "The station id is taken"
        "请换一个编号" "use another id";
    IntegrationExists CONFLICT "INTEGRATION_EXISTS"
        "集成账号已存在" "The integration exists already"
        "请换一个名称，或先删除原账号" "use another name, or remove the account first";
    ItemsOpen CONFLICT "ITEMS_OPEN"
        "还有未处理的差异" "Items are open"
        "请先处理这一天的差异" "resolve the items of the day first";
    DayClosed CONFLICT "DAY_CLOSED"
        "这一天已关账" "The day is closed"
        "之后发现的差异会记入下一个未关账日" "what turns up later is an item of the next open day";
    RotationRunning CONFLICT "ROTATION_RUNNING"
        "密钥正在轮换" "The secret is being changed already"
        "请等充电桩用新密钥登录，或等到 secretRotation.until" "wait until the pile has used the next one, or for secretRotation.until";
    ConnectorBusy CONFLICT "CONNECTOR_BUSY"
        "充电枪使用中" "The connector is in use"
        "请换一把枪或稍后再试" "choose another connector or try again later";
    NotPlugged CONFLICT "NOT_PLUGGED"
        "充电枪未插好" "The connector is not plugged in"
        "请插紧充电枪后重试" "plug the gun in firmly and try again";
    NoTariff CONFLICT "NO_TARIFF"
        "场站暂无生效电价" "The station has no price in force"
        "请换一个场站，或由运营发布电价" "choose another station; operations must publish a tariff";
    OpenDebt CONFLICT "OPEN_DEBT"
        "有未结清的订单" "An earlier order is not paid"
        "请先补缴欠款" "pay the debt first";
    IllegalState CONFLICT "ILLEGAL_STATE"
        "当前状态不允许此操作" "Not possible in this state"
        "请刷新后查看最新状态" "look at its present state";
    RequestInProgress CONFLICT "REQUEST_IN_PROGRESS"
        "相同请求正在处理" "The same call is still running"
        "请稍后用同一个 Idempotency-Key 重试" "try again shortly with the same Idempotency-Key";
    BodyTooLarge PAYLOAD_TOO_LARGE "BODY_TOO_LARGE"
        "请求体过大" "The body is too large"
        "请分批提交" "send it in smaller parts";
    Validation UNPROCESSABLE_ENTITY "VALIDATION"
        "参数不符合要求" "A value is not acceptable"
        "请按 field 与 rule 修改后重试" "correct the named field by its rule";
    TooLong UNPROCESSABLE_ENTITY "TOO_LONG"
        "记录太多，无法一次算出" "Too much to work out at once"
        "请向财务索取账簿导出" "ask finance for an export of the ledger";
    IdempotencyKeyReused UNPROCESSABLE_ENTITY "IDEMPOTENCY_KEY_REUSED"
        "Idempotency-Key 已用于其他请求" "The Idempotency-Key was used for another call"
        "请为新的请求换一个 Idempotency-Key" "use a new Idempotency-Key for a new call";
    TooManyRequests TOO_MANY_REQUESTS "TOO_MANY_REQUESTS"
        "请求过于频繁" "Too many calls"
        "请稍后再试" "try again later";
    Internal INTERNAL_SERVER_ERROR "INTERNAL"
        "服务内部错误" "The hub made a mistake"
        "请用同一个 Idempotency-Key 重试；若仍失败请联系运维" "try again with the same Idempotency-Key; tell operations if it stays";
    ChannelUnavailable SERVICE_UNAVAILABLE "CHANNEL_UNAVAILABLE"
        "支付渠道暂不可用" "The payment channel is unavailable"
        "请用同一个 Idempotency-Key 稍后重试，或换一个支付渠道" "try again later with the same Idempotency-Key, or use another channel";
    StoreUnavailable SERVICE_UNAVAILABLE "STORE_UNAVAILABLE"
        "存储暂不可用" "The store is unavailable"
        "请用同一个 Idempotency-Key 稍后重试" "try again later with the same Idempotency-Key";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_heavier_language_wins_and_english_is_the_fallback() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Zh),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Language::En),
            ("fr, zh;q=0.3", Language::Zh),
            ("zh;q=0, en;q=0.1", Language::En),
            ("fr", Language::En),
            ("", Language::En),
            ("é", Language::En),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn codes_are_unique_upper_snake_and_say_what_to_do_in_both_languages() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code:?}");
            assert!(code.status().is_client_error() || code.status().is_server_error());
            for language in [Language::Zh, Language::En] {
                assert!(!code.title(language).is_empty() && !code.next(language).is_empty());
                assert_eq!(code.title(language).is_ascii(), language == Language::En, "{code:?}");
            }
        }
    }
}
