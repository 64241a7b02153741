//! What a configuration must obey. All faults are found at once, each with its key, its value and a remedy.

use std::{fmt, net::SocketAddr};

use broker::MASTER_KEY_LEN;

use super::Config;
use crate::keys::master_key_of;

/// Least bytes of an HS256 key [RFC 7518 3.2].
pub(crate) const JWT_KEY_LEN_MIN: usize = 32;

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) key: &'static str,
    /// Never a secret.
    pub(crate) value: String,
    pub(crate) remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.key, self.value, self.remedy)
    }
}

/// Everything that is wrong with `config`.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut found = Faults(Vec::new());
    addresses(config, &mut found);
    secrets(config, &mut found);
    master_key(config, &mut found);
    times(config, &mut found);
    sums(config, &mut found);
    limits(config, &mut found);
    channels(config, &mut found);
    words(config, &mut found);
    found.0
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, key: &'static str, value: impl fmt::Display, remedy: impl Into<String>) {
        self.0.push(Fault { key, value: value.to_string(), remedy: remedy.into() });
    }

    fn range(&mut self, key: &'static str, value: impl Into<i64>, least: i64, most: i64) {
        let value = value.into();
        if value < least || value > most {
            self.add(key, value, format!("use a number from {least} to {most}"));
        }
    }

    fn address(&mut self, key: &'static str, value: &str, may_be_off: bool) {
        let off = may_be_off && value.is_empty();
        if !off && value.parse::<SocketAddr>().is_err() {
            let or_off = if may_be_off { ", or \"\" for off" } else { "" };
            self.add(key, format!("\"{value}\""), format!("use address:port like \"127.0.0.1:8080\"{or_off}"));
        }
    }

    fn required(&mut self, key: &'static str, value: &str, because: &str) {
        if value.is_empty() {
            self.add(key, "\"\"", format!("is required because {because} is set"));
        }
    }

    /// Money is spoken of in the clear on this machine only.
    fn channel_url(&mut self, key: &'static str, url: &str) {
        let host = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
        let is_local = host.and_then(|host| host.parse::<SocketAddr>().ok()).is_some_and(|at| at.ip().is_loopback());
        if !is_local && !url.starts_with("https://") {
            self.add(
                key,
                format!("\"{url}\""),
                "begin it with https:// (http:// only with a loopback address and a port)",
            );
        }
    }
}

fn addresses(config: &Config, found: &mut Faults) {
    found.address("http.listen", &config.http.listen, false);
    found.address("mqtt.listen", &config.mqtt.listen, true);
    found.address("mqtt.tls_listen", &config.mqtt.tls_listen, true);
    let url = &config.http.public_url;
    if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
        found.add("http.public_url", format!("\"{url}\""), "begin it with http:// or https://, or leave it empty");
    }
    if config.mqtt.listen.is_empty() && config.mqtt.tls_listen.is_empty() {
        found.add("mqtt.listen", "\"\"", "no charger could connect: set mqtt.listen or mqtt.tls_listen");
    }
    let off_loopback = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
    if !config.mqtt.allow_plain && config.mqtt.listen.parse().is_ok_and(|address| off_loopback(&address)) {
        let remedy = "everybody on the way could read the chargers' secrets: use mqtt.tls_listen there, or set \
             mqtt.allow_plain = true";
        found.add("mqtt.listen", format!("\"{}\"", config.mqtt.listen), remedy);
    }
    if !config.mqtt.tls_listen.is_empty() && (config.mqtt.tls_cert.is_empty() || config.mqtt.tls_key.is_empty()) {
        found.add("mqtt.tls_cert", "\"\"", "mqtt.tls_listen needs mqtt.tls_cert and mqtt.tls_key");
    }
}

fn secrets(config: &Config, found: &mut Faults) {
    for (key, secret) in [("auth.jwt_key", &config.auth.jwt_key), ("payment.sandbox_key", &config.payment.sandbox_key)]
    {
        let least = if key == "auth.jwt_key" { JWT_KEY_LEN_MIN } else { 1 };
        if !secret.is_empty() && secret.len() < least {
            let remedy = format!("use at least {least} bytes, or \"\" for a random one kept in the data directory");
            found.add(key, format!("({} bytes)", secret.len()), remedy);
        }
    }
}

/// A key that piles depend on is never cut, padded or guessed at.
fn master_key(config: &Config, found: &mut Faults) {
    let key = &config.auth.master_key;
    if !key.is_empty() && master_key_of(key).is_none() {
        let remedy = format!("use {} hexadecimal digits, or \"\"", 2 * MASTER_KEY_LEN);
        found.add("auth.master_key", format!("({} characters)", key.chars().count()), remedy);
    }
}

fn times(config: &Config, found: &mut Faults) {
    const DAY_S: i64 = 86_400;
    found.range("auth.ticket_ttl_s", config.auth.ticket_ttl_s, 1, 3_600);
    found.range("pile.stale_after_s", config.pile.stale_after_s, 1, DAY_S);
    found.range("pile.offline_after_s", config.pile.offline_after_s, 1, DAY_S);
    found.range("order.start_deadline_s", config.order.start_deadline_s, 1, 3_600);
    found.range("order.fault_wait_s", config.order.fault_wait_s, 1, 3_600);
    found.range("order.offline_grace_s", config.order.offline_grace_s, 1, 90 * DAY_S);
    found.range("live.ping_every_s", config.live.ping_every_s, 1, 300);
    found.range("reservation.noshow_after_s", config.reservation.noshow_after_s, 1, DAY_S);
    found.range("occupancy.grace_s", config.occupancy.grace_s, 0, DAY_S);
    found.range("webhook.retry_s", config.webhook.retry_s, 1, 3_600);
    found.range("mqtt.tick_us", i64::try_from(config.mqtt.tick_us).unwrap_or(i64::MAX), 0, 10_000);
    found.range("risk.hold_deadline_s", config.risk.hold_deadline_s, 1, 365 * DAY_S);
    found.range("risk.pile_window_s", config.risk.pile_window_s, 60, 90 * DAY_S);
    found.range("risk.pile_maintenance_after", config.risk.pile_maintenance_after, 0, 1_000);
    found.range("debt.blacklist_after_days", config.debt.blacklist_after_days, 0, 3_650);
    found.range("debt.blacklist_for_days", config.debt.blacklist_for_days, 0, 3_650);
    let days = &config.debt.reminder_days;
    let rising = days.windows(2).all(|pair| matches!(pair, [first, second] if first < second));
    if !rising || days.len() > 20 || days.iter().any(|day| *day > 3_650) {
        found.add("debt.reminder_days", format!("{days:?}"), "use at most 20 rising days, like [1, 3, 7, 30]");
    }
    if config.pile.offline_after_s < config.pile.stale_after_s {
        let remedy = format!("use at least pile.stale_after_s = {}", config.pile.stale_after_s);
        found.add("pile.offline_after_s", config.pile.offline_after_s, remedy);
    }
}

fn sums(config: &Config, found: &mut Faults) {
    const SUM_MAX: i64 = 100_000_000;
    found.range("money.freeze_min_fen", config.money.freeze_min_fen, 1, SUM_MAX);
    found.range("money.freeze_default_fen", config.money.freeze_default_fen, 1, SUM_MAX);
    found.range("money.hold_over_fen", config.money.hold_over_fen, 0, SUM_MAX);
    found.range("reconciliation.intraday_s", config.reconciliation.intraday_s, 0, 86_400);
    found.range("money.credit_limit_fen", config.money.credit_limit_fen, 0, SUM_MAX);
    found.range("money.credit_paid_orders_min", config.money.credit_paid_orders_min, 0, 1_000);
    found.range("risk.log_pass_over_fen", config.risk.log_pass_over_fen, 0, SUM_MAX);
    found.range("adjustment.finance_max_fen", config.adjustment.finance_max_fen, 0, SUM_MAX);
    found.range("compensation.auto_max_fen", config.compensation.auto_max_fen, 0, SUM_MAX);
    found.range("occupancy.fen_per_min", config.occupancy.fen_per_min, 0, 100_000);
    if config.money.freeze_default_fen < config.money.freeze_min_fen {
        let remedy = format!("use at least money.freeze_min_fen = {}", config.money.freeze_min_fen);
        found.add("money.freeze_default_fen", config.money.freeze_default_fen, remedy);
    }
}

fn channels(config: &Config, found: &mut Faults) {
    const SUM_MAX: i64 = 100_000_000;
    let payment = &config.payment;
    found.range("payment.confirm_over_fen", payment.confirm_over_fen, 0, SUM_MAX);
    found.range("payment.expires_s", payment.expires_s, 10, 86_400);
    found.range("payment.refund_retry_s", payment.refund_retry_s, 1, 3_600);
    found.range("payment.refund_tries_max", payment.refund_tries_max, 1, 100);
    let (wechat, alipay) = (&payment.wechat, &payment.alipay);
    if (wechat.is_on() || alipay.is_on()) && config.http.public_url.is_empty() {
        found.add("http.public_url", "\"\"", "name the address at which payment channels reach the hub");
    }
    if wechat.is_on() {
        for (key, value) in [
            ("payment.wechat.app_id", &wechat.app_id),
            ("payment.wechat.serial", &wechat.serial),
            ("payment.wechat.private_key_file", &wechat.private_key_file),
            ("payment.wechat.api_key_file", &wechat.api_key_file),
        ] {
            found.required(key, value, "payment.wechat.mch_id");
        }
        if wechat.platform_keys.is_empty() {
            found.add("payment.wechat.platform_keys", "[]", "pin at least one SERIAL=PATH");
        }
        found.channel_url("payment.wechat.base_url", &wechat.base_url);
    }
    if alipay.is_on() {
        for (key, value) in [
            ("payment.alipay.seller_id", &alipay.seller_id),
            ("payment.alipay.private_key_file", &alipay.private_key_file),
        ] {
            found.required(key, value, "payment.alipay.app_id");
        }
        if alipay.alipay_keys.is_empty() {
            found.add("payment.alipay.alipay_keys", "[]", "pin at least one path");
        }
        found.channel_url("payment.alipay.base_url", &alipay.base_url);
    }
}

fn limits(config: &Config, found: &mut Faults) {
    let limits = &config.limits;
    found.range("limits.mqtt_connections_max", limits.mqtt_connections_max, 1, 1_000_000);
    found.range("limits.mqtt_strangers_max", limits.mqtt_strangers_max, 1, 1_000_000);
    found.range("limits.mqtt_keep_alive_s_max", limits.mqtt_keep_alive_s_max, 10, 43_200);
    found.range("limits.mqtt_frames_in_flight_max", limits.mqtt_frames_in_flight_max, 64, 8_192);
    found.range("limits.mqtt_sockets_per_address_max", limits.mqtt_sockets_per_address_max, 0, 1_000_000);
    found.range(
        "limits.mqtt_connects_per_address_per_min_max",
        limits.mqtt_connects_per_address_per_min_max,
        0,
        10_000_000,
    );
    found.range("limits.mqtt_connects_per_pile_per_min_max", limits.mqtt_connects_per_pile_per_min_max, 0, 100_000);
    found.range("limits.mqtt_admissions_per_s_max", limits.mqtt_admissions_per_s_max, 0, 1_000_000);
    found.range("limits.mqtt_failures_per_pile_max", limits.mqtt_failures_per_pile_max, 0, 1_000_000);
    found.range("limits.mqtt_failures_per_address_max", limits.mqtt_failures_per_address_max, 0, 1_000_000);
    found.range("limits.mqtt_handshakes_max", limits.mqtt_handshakes_max, 4, 100_000);
    found.range("limits.mqtt_frames_per_pile_per_s_max", limits.mqtt_frames_per_pile_per_s_max, 0, 1_000_000);
    found.range("limits.mqtt_frames_surplus_per_s_max", limits.mqtt_frames_surplus_per_s_max, 0, 1_000_000);
    found.range("limits.mqtt_inbound_bytes_max", limits.mqtt_inbound_bytes_max, 1 << 20, 1 << 31);
    found.range("limits.http_connections_max", limits.http_connections_max, 1, 1_000_000);
    found.range("limits.http_connections_per_address_max", limits.http_connections_per_address_max, 0, 1_000_000);
    found.range("limits.http_requests_per_address_per_s_max", limits.http_requests_per_address_per_s_max, 0, 1_000_000);
    found.range("limits.http_body_bytes_max", limits.http_body_bytes_max, 1_024, 1 << 26);
    found.range("limits.http_import_bytes_max", limits.http_import_bytes_max, 1_024, 1 << 28);
    found.range("limits.http_idle_s_max", limits.http_idle_s_max, 5, 86_400);
    found.range("limits.ws_sockets_max", limits.ws_sockets_max, 1, 1_000_000);
    found.range("limits.ws_sockets_per_owner_max", limits.ws_sockets_per_owner_max, 1, 1_000_000);
    found.range("limits.ws_sockets_per_order_max", limits.ws_sockets_per_order_max, 1, 10_000);
}

fn words(config: &Config, found: &mut Faults) {
    let at = &config.reconciliation.at;
    if !settlement::tariff::parse_minute(at).is_ok_and(|minute| minute < 1440) {
        found.add("reconciliation.at", format!("\"{at}\""), "use a time of day from \"00:00\" to \"23:59\"");
    }
    if !matches!(config.store.engine.as_str(), "sqlite" | "cql") {
        found.add("store.engine", format!("\"{}\"", config.store.engine), "use \"sqlite\" or \"cql\"");
    }
    if config.store.data_dir.is_empty() {
        found.add("store.data_dir", "\"\"", "name a directory, also possible with --data-dir");
    }
    if !matches!(config.log.format.as_str(), "auto" | "pretty" | "json") {
        found.add("log.format", format!("\"{}\"", config.log.format), "use \"auto\", \"pretty\" or \"json\"");
    }
    if let Err(error) = config.log.filter.parse::<tracing_subscriber::filter::Targets>() {
        found.add("log.filter", format!("\"{}\"", config.log.filter), format!("{error}; try \"info\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        faults(&config).into_iter().map(|fault| fault.key).collect()
    }

    #[test]
    fn the_defaults_obey() {
        assert_eq!(keys(|_| ()), [""; 0]);
    }

    #[test]
    fn each_fault_names_its_key() {
        assert_eq!(keys(|c| c.http.listen = "here".to_owned()), ["http.listen"]);
        assert_eq!(keys(|c| c.auth.jwt_key = "short".to_owned()), ["auth.jwt_key"]);
        for bad in ["short".to_owned(), "0".repeat(63), "0".repeat(65), "x".repeat(64)] {
            assert_eq!(keys(|c| c.auth.master_key = bad), ["auth.master_key"]);
        }
        assert_eq!(keys(|c| c.auth.master_key = "0aF9".repeat(16)), [""; 0]);
        assert_eq!(keys(|c| c.mqtt.listen.clear()), ["mqtt.listen"]);
        assert_eq!(keys(|c| c.mqtt.listen = "0.0.0.0:1883".to_owned()), ["mqtt.listen"]);
        assert_eq!(keys(|c| c.mqtt.listen = "[::]:1883".to_owned()), ["mqtt.listen"]);
        assert_eq!(keys(|c| c.mqtt.listen = "[::1]:1883".to_owned()), [""; 0]);
        let allowed = |c: &mut Config| (c.mqtt.listen, c.mqtt.allow_plain) = ("0.0.0.0:1883".to_owned(), true);
        assert_eq!(keys(allowed), [""; 0]);
        for bad in ["24:00", "1", "", "01:60"] {
            assert_eq!(keys(|c| c.reconciliation.at = bad.to_owned()), ["reconciliation.at"]);
        }
        assert_eq!(keys(|c| c.pile.offline_after_s = 10), ["pile.offline_after_s"]);
        assert_eq!(keys(|c| c.store.engine = "mysql".to_owned()), ["store.engine"]);
        assert_eq!(keys(|c| c.log.filter = "loud".to_owned()), [""; 0], "a target name is a filter");
        assert_eq!(keys(|c| c.log.filter = "hub=loud".to_owned()), ["log.filter"]);
    }

    #[test]
    fn a_channel_that_is_on_needs_its_keys_and_an_address_to_be_called_at() {
        let on = |c: &mut Config| {
            c.http.public_url = "https://pile.example".to_owned();
            c.payment.alipay.app_id = "2021".to_owned();
            c.payment.alipay.seller_id = "2088".to_owned();
            c.payment.alipay.private_key_file = "app.key".to_owned();
            c.payment.alipay.alipay_keys = vec!["alipay.pem".to_owned()];
        };
        assert_eq!(keys(on), [""; 0]);
        let but = |change: fn(&mut Config)| {
            keys(|c| {
                on(c);
                change(c);
            })
        };
        assert_eq!(but(|c| c.http.public_url.clear()), ["http.public_url"]);
        assert_eq!(but(|c| c.payment.alipay.alipay_keys.clear()), ["payment.alipay.alipay_keys"]);
        for (url, faults) in [("http://127.0.0.1:8090", 0), ("http://pay.example", 1), ("http://127.0.0.1.x:80", 1)] {
            let found = keys(|c| {
                on(c);
                c.payment.alipay.base_url = url.to_owned();
            });
            assert_eq!(found, vec!["payment.alipay.base_url"; faults], "{url}");
        }
        assert_eq!(keys(|c| c.payment.wechat.mch_id = "190".to_owned()).len(), 6);
    }

    #[test]
    fn a_fault_never_shows_a_secret() {
        let mut config = Config::default();
        config.auth.jwt_key = "hush".to_owned();
        config.auth.master_key = "hushhush".to_owned();
        assert!(!faults(&config).iter().any(|fault| fault.to_string().contains("hush")));
    }
}
