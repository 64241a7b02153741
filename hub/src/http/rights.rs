//! Who may do what: every call of the API in one table, and nowhere else [CONTRACT 3].
//!
//! A handler takes its roles from here (`By<STATIONS_CREATE>`), the OpenAPI document says them (`x-roles`), and
//! `docs/roles.md` is the table as a matrix. Tests compare all of them, and try every call with every role. Where two
//! persons are needed the handler compares `sub`; the rule is told here.

use super::auth::{
    ADMIN, ANYONE, AUDITOR, DRIVER, DRIVER_FINANCE, DRIVER_FINANCE_SERVICE, DRIVER_OPS_SERVICE, FINANCE, FINANCE_ADMIN,
    FINANCE_AUDITOR, FINANCE_SERVICE, OPS, OPS_FINANCE, RISK, RISK_AUDITOR, RISK_SERVICE, Roles, STAFF,
};

/// Nobody's role: the call shows by itself who it comes from.
const SIGNED: Roles = 0;

/// Who may make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Right {
    /// `GET`, `POST`, …
    pub(crate) method: &'static str,
    /// Under `/api/v1`, as the OpenAPI document writes it.
    pub(crate) path: &'static str,
    /// The roles that may; exact.
    pub(crate) roles: Roles,
    /// Which two persons must differ, by `sub`.
    pub(crate) two_persons: Option<&'static str>,
    /// What else limits it.
    pub(crate) only: Option<&'static str>,
}

/// `NAME METHOD "path" ROLE | ROLE [two "who ≠ who"] [only "what"];` makes the constant of the handler and the row.
macro_rules! rights {
    ($($name:ident $method:ident $path:literal $($role:ident)|+ $(two $two:literal)? $(only $only:literal)?;)+) => {
        $(pub(crate) const $name: Roles = $($role)|+;)+

        /// Every call of the API.
        pub(crate) const ALL: &[Right] = &[$(Right {
            method: stringify!($method),
            path: $path,
            roles: $name,
            two_persons: [$(Some($two),)? None][0],
            only: [$(Some($only),)? None][0],
        },)+];
    };
}

rights! {
    STATIONS_CREATE POST "/stations" ADMIN;
    STATIONS_LIST GET "/stations" STAFF;
    STATIONS_ACCESS PUT "/stations/{id}/access" ADMIN;
    PILES_CREATE POST "/piles" ADMIN;
    PILES_LIST GET "/piles" STAFF;
    PILES_IMPORT POST "/piles/import" ADMIN;
    PILES_NEARBY GET "/piles/nearby" ANYONE;
    PILES_GET GET "/piles/{code}" ANYONE;
    PILES_SECRET POST "/piles/{code}/secret" ADMIN;
    PILES_ENROLMENT POST "/piles/{code}/enrolment" ADMIN;
    PILES_MAINTENANCE PUT "/piles/{code}/maintenance" OPS;
    PILES_TELEMETRY GET "/piles/{code}/telemetry" STAFF;
    COMMANDS_CREATE POST "/piles/{code}/commands" OPS;
    COMMANDS_GET GET "/commands/{id}" OPS;
    INTEGRATIONS_CREATE POST "/integrations" ADMIN;
    INTEGRATIONS_LIST GET "/integrations" STAFF;
    INTEGRATIONS_REMOVE DELETE "/integrations/{name}" ADMIN;
    TARIFFS_CREATE POST "/tariffs" OPS_FINANCE;
    TARIFFS_LIST GET "/tariffs" STAFF;
    TARIFFS_GET GET "/tariffs/{id}" STAFF;
    TARIFFS_PUBLISH POST "/tariffs/{id}/publish" OPS_FINANCE two "publisher ≠ author";
    TARIFFS_ROLLBACK POST "/tariffs/{id}/rollback" OPS_FINANCE;
    TARIFFS_ROLLOUT POST "/tariffs/{id}/rollout" OPS_FINANCE two "caller ≠ author";
    TARIFFS_DRY_RUN POST "/tariffs/{id}/dry-run" OPS_FINANCE;
    ORDERS_CREATE POST "/orders" DRIVER;
    ORDERS_LIST GET "/orders" ANYONE only "drivers: their own";
    ORDERS_GET GET "/orders/{no}" ANYONE only "drivers: their own";
    ORDERS_STOP POST "/orders/{no}/stop" DRIVER_OPS_SERVICE only "drivers: their own";
    ORDERS_HISTORY GET "/orders/{no}/history" ANYONE only "drivers: their own";
    ORDERS_RECEIPT GET "/orders/{no}/receipt" ANYONE only "drivers: their own";
    ORDERS_TICKET POST "/orders/{no}/ticket" ANYONE only "drivers: their own";
    ORDERS_LINK POST "/orders/{no}/link" DRIVER only "their own";
    OPS_TICKET POST "/ops/ticket" STAFF;
    WALLET_GET GET "/wallet" DRIVER only "their own";
    WALLET_ENTRIES GET "/wallet/entries" DRIVER only "their own";
    WALLET_STATEMENTS GET "/wallet/statements" DRIVER only "their own";
    WALLET_STATEMENT GET "/wallet/statements/{month}" DRIVER only "their own";
    WALLET_TOPUP POST "/wallet/topups" DRIVER;
    PAYMENTS_CALLBACK POST "/payments/callback" SIGNED only "signed by the channel";
    PAYMENTS_CHANNEL_CALLBACK POST "/payments/callback/{channel}" SIGNED only "signed by the channel";
    PAYMENTS_LIST GET "/payments" FINANCE_SERVICE;
    PAYMENTS_GET GET "/payments/{paymentNo}" DRIVER_FINANCE_SERVICE only "drivers: their own";
    REFUNDS_CREATE POST "/payments/{paymentNo}/refunds" DRIVER_FINANCE only "drivers: their own";
    REFUNDS_LIST GET "/refunds" FINANCE_SERVICE;
    REFUNDS_GET GET "/refunds/{refundNo}" DRIVER_FINANCE_SERVICE only "drivers: their own";
    REFUNDS_RESOLVE POST "/refunds/{refundNo}/resolve" FINANCE two "caller ≠ requester";
    SUSPENSE_LIST GET "/suspense" FINANCE;
    SUSPENSE_RESOLVE POST "/suspense/{suspenseId}/resolve" FINANCE;
    SUSPENSE_APPROVE POST "/suspense/{suspenseId}/approve" FINANCE_ADMIN two "approver ≠ requester";
    SANDBOX_PAY POST "/sandbox/pay/{paymentNo}" SIGNED only "whoever has the payment's link";
    DEBTS_REPAY POST "/debts/{orderNo}/repay" DRIVER only "their own";
    DEBTS_LIST GET "/debts" DRIVER_FINANCE_SERVICE only "drivers: their own";
    WRITE_OFFS_CREATE POST "/debts/{orderNo}/write-off" FINANCE;
    WRITE_OFFS_APPROVE POST "/write-offs/{id}/approve" FINANCE_ADMIN two "approver ≠ author";
    WRITE_OFFS_REJECT POST "/write-offs/{id}/reject" FINANCE_ADMIN;
    WRITE_OFFS_LIST GET "/write-offs" STAFF;
    WRITE_OFFS_GET GET "/write-offs/{id}" STAFF;
    ADJUSTMENTS_CREATE POST "/adjustments" FINANCE_SERVICE;
    ADJUSTMENTS_LIST GET "/adjustments" STAFF;
    ADJUSTMENTS_GET GET "/adjustments/{id}" STAFF;
    ADJUSTMENTS_APPROVE POST "/adjustments/{id}/approve" FINANCE_ADMIN two "approver ≠ author";
    ADJUSTMENTS_REJECT POST "/adjustments/{id}/reject" FINANCE_ADMIN;
    RISK_DECISIONS GET "/risk/decisions" RISK_AUDITOR;
    LEDGER_ENTRIES GET "/ledger/entries" FINANCE_AUDITOR;
    LEDGER_EXPORT GET "/ledger/entries.csv" FINANCE_AUDITOR;
    RECONCILIATIONS_RUN POST "/reconciliations" FINANCE;
    RECONCILIATIONS_LIST GET "/reconciliations" FINANCE_AUDITOR;
    RECONCILIATIONS_GET GET "/reconciliations/{day}" FINANCE_AUDITOR;
    RECONCILIATIONS_IMPORT POST "/reconciliations/{day}/bills" FINANCE;
    RECONCILIATIONS_BILLS GET "/reconciliations/{day}/bills" FINANCE_AUDITOR;
    RECONCILIATIONS_EXPORT GET "/reconciliations/{day}/bills.csv" FINANCE_AUDITOR;
    RECONCILIATIONS_RESOLVE POST "/reconciliations/{day}/items/{id}/resolve" FINANCE;
    RECONCILIATIONS_CLOSE POST "/reconciliations/{day}/close" FINANCE;
    RECONCILIATIONS_APPROVE POST "/reconciliations/{day}/close/approve" FINANCE two "approver ≠ closer";
    RECONCILIATIONS_TABLE GET "/reconciliations/{day}/report.csv" FINANCE_AUDITOR;
    RECONCILIATIONS_PAGE GET "/reconciliations/{day}/report.html" FINANCE_AUDITOR;
    HOLDS_LIST GET "/holds" RISK;
    HOLDS_APPROVE POST "/holds/{orderNo}/approve" RISK;
    HOLDS_REJECT POST "/holds/{orderNo}/reject" RISK;
    USERS_BLACKLIST PUT "/users/{sub}/blacklist" RISK;
    USERS_BLACKLISTED GET "/users/{sub}/blacklist" RISK_SERVICE;
    ALARMS_LIST GET "/alarms" STAFF;
    ALARMS_ACK POST "/alarms/{id}/ack" OPS;
    QUARANTINE_LIST GET "/quarantine" OPS;
    QUARANTINE_GET GET "/quarantine/{id}" OPS;
    QUARANTINE_REPLAY POST "/quarantine/{id}/replay" OPS;
    AUDIT_LIST GET "/audit" STAFF;
    AUDIT_HEADS GET "/audit/heads" AUDITOR | ADMIN | FINANCE;
    STATS GET "/stats" STAFF;
    SUPERVISION GET "/supervision" STAFF;
}

/// Who may make a call; the path as the OpenAPI document writes it, without `/api/v1`.
pub(crate) fn of(method: &str, path: &str) -> Option<&'static Right> {
    ALL.iter().find(|right| right.method == method && right.path == path)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _, path::Path};

    use super::*;
    use crate::http::{self, auth::Role};

    /// `docs/roles.md`, made from the table.
    fn matrix() -> String {
        let mut page = String::from(
            "# Who may do what\n\n\
             Every call of the API with the roles that may make it; the list is exact, `admin` is not everything. A token\n\
             names its role (`pilehub token --role R --sub S`), every refusal is 403 `FORBIDDEN` and names the roles. *Two\n\
             persons* compares `sub`: whoever did the one may not do the other. This page is made from the table in\n\
             `hub/src/http/rights.rs`, which the handlers take their roles from; a test compares them, another tries every\n\
             call with every role.\n\n| call |",
        );
        let write = "writing into memory does not fail";
        Role::ALL.iter().for_each(|role| write!(page, " {} |", role.as_str()).expect(write));
        page.push_str(" two persons | only |\n|---|");
        page.push_str(&":-:|".repeat(Role::ALL.len()));
        page.push_str("---|---|\n");
        for right in ALL {
            write!(page, "| `{} {}` |", right.method, right.path).expect(write);
            for role in Role::ALL {
                page.push_str(if role.bit() & right.roles == 0 { " |" } else { " ✓ |" });
            }
            let words = |text: Option<&str>| text.map_or_else(String::new, |text| format!("{text} "));
            writeln!(page, " {}| {}|", words(right.two_persons), words(right.only)).expect(write);
        }
        page
    }

    #[test]
    fn the_page_of_roles_is_the_table() {
        const WRITE: &str = "PILEHUB_WRITE_ROLES";
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/roles.md");
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&page, matrix()).unwrap();
        }
        let written = std::fs::read_to_string(&page).unwrap_or_default();
        let differs = matrix()
            .lines()
            .zip(written.lines().chain(std::iter::repeat("")))
            .find(|(a, b)| a != b)
            .map(|(a, _)| a.to_owned());
        assert!(
            written == matrix(),
            "docs/roles.md is not the table, beginning with {differs:?}; write it anew with \
             `{WRITE}=1 cargo test -p hub --bin pilehub the_page_of_roles_is_the_table`"
        );
    }

    #[test]
    fn the_table_and_the_openapi_document_list_the_same_calls() {
        let document = serde_json::to_value(http::document()).unwrap();
        let mut described = BTreeSet::new();
        for (path, calls) in document["paths"].as_object().unwrap() {
            let path = path.strip_prefix("/api/v1").unwrap();
            for method in calls.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        let listed: BTreeSet<String> = ALL.iter().map(|right| format!("{} {}", right.method, right.path)).collect();
        assert_eq!(listed.len(), ALL.len(), "a call is in the table once");
        assert_eq!(described, listed);
    }

    #[test]
    fn what_a_person_must_not_do_alone_is_said() {
        let two: Vec<&str> = ALL.iter().filter(|right| right.two_persons.is_some()).map(|right| right.path).collect();
        let told = [
            "/tariffs/{id}/publish",
            "/tariffs/{id}/rollout",
            "/refunds/{refundNo}/resolve",
            "/suspense/{suspenseId}/approve",
            "/write-offs/{id}/approve",
            "/adjustments/{id}/approve",
            "/reconciliations/{day}/close/approve",
        ];
        assert_eq!(two, told);
        assert!(of("POST", "/tariffs/{id}/publish").is_some() && of("GET", "/tariffs/{id}/publish").is_none());
    }
}
