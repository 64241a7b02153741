//! The settings of a hub [CONTRACT 5]: the built-in defaults, what a file and the environment change of them, and the
//! checks a configuration must pass before anything is opened.
//!
//! Plain data; it opens nothing but the file it is told to read.

mod check;
mod keys;
mod load;
mod payment;
mod risk;
mod show;

use serde::{Deserialize, Serialize};

pub(crate) use load::load;
pub(crate) use payment::{Alipay, Payment, Wechat};
pub(crate) use show::masked_toml;

/// Every setting. `Default` is the built-in configuration, which `config/hub.toml` repeats with explanations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) http: Http,
    pub(crate) mqtt: Mqtt,
    pub(crate) auth: Auth,
    pub(crate) pile: Pile,
    pub(crate) order: Order,
    pub(crate) money: Money,
    pub(crate) payment: Payment,
    pub(crate) reconciliation: Reconciliation,
    pub(crate) live: Live,
    pub(crate) limits: Limits,
    pub(crate) store: Store,
    pub(crate) reservation: Reservation,
    pub(crate) occupancy: Occupancy,
    pub(crate) webhook: Webhook,
    pub(crate) risk: risk::Risk,
    pub(crate) adjustment: risk::Adjustment,
    pub(crate) compensation: risk::Compensation,
    pub(crate) debt: risk::Debt,
    pub(crate) log: Log,
}

/// Where apps, people and monitoring reach the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Http {
    /// `address:port`.
    pub(crate) listen: String,
    /// Base of the absolute links the hub hands out; `""`: taken from the request's `Host`.
    pub(crate) public_url: String,
}

/// Where chargers reach the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mqtt {
    /// `address:port`; `""`: off.
    pub(crate) listen: String,
    /// `address:port` for TLS; `""`: off.
    pub(crate) tls_listen: String,
    /// Path of the certificate chain; `""`: none.
    pub(crate) tls_cert: String,
    /// Path of its private key; `""`: none.
    pub(crate) tls_key: String,
    /// Path of the authority that signs chargers' certificates; `""`: no client certificates.
    pub(crate) client_ca: String,
    /// Path of the list of revoked serial numbers; `""`: none.
    pub(crate) revoked: String,
    /// Whether `listen` may be reachable from other machines.
    pub(crate) allow_plain: bool,
    /// Longest pause before a wake-up under load, in microseconds; `0`: none. Trades latency for CPU.
    pub(crate) tick_us: u64,
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Auth {
    /// HS256 key of the tokens, at least 32 bytes; `""`: random, kept in the data directory.
    pub(crate) jwt_key: String,
    /// Key of the piles' verifiers and secrets, 64 hexadecimal digits; `""`: see [`Self::master_key_file`].
    pub(crate) master_key: String,
    /// Path of a file with that key; `""`: the system's credential, else random, kept in the data directory.
    pub(crate) master_key_file: String,
    /// Life of a WebSocket ticket, in seconds.
    pub(crate) ticket_ttl_s: u32,
}

/// When a silent pile means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pile {
    /// Seconds without a frame until `stale`.
    pub(crate) stale_after_s: u32,
    /// Seconds without a frame until `offline`.
    pub(crate) offline_after_s: u32,
}

/// Deadlines of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Seconds from creation to the charger's evidence.
    pub(crate) start_deadline_s: u32,
    /// Seconds from a fault to the charger's record.
    pub(crate) fault_wait_s: u32,
    /// Seconds of silence after which an order is settled provisionally.
    pub(crate) offline_grace_s: u32,
}

/// Sums that are set aside or looked at twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Money {
    /// Set aside at the start when the driver names no amount, in fen.
    pub(crate) freeze_default_fen: i64,
    /// Least sum to start with, in fen.
    pub(crate) freeze_min_fen: i64,
    /// A total over this waits for a person, in fen.
    pub(crate) hold_over_fen: i64,
    /// The most that an order may be charged before it is paid, in fen; `0`: no credit.
    pub(crate) credit_limit_fen: i64,
    /// Orders that a driver must have paid in full before there is credit.
    pub(crate) credit_paid_orders_min: u32,
    /// Whether a credited top-up pays open debts, the oldest first.
    pub(crate) repay_on_topup: bool,
}

/// When days are reconciled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reconciliation {
    /// `HH:MM` in the time zone of the first station by id: when the day before is looked at.
    pub(crate) at: String,
    /// Seconds between two looks at the present day; `0`: none.
    pub(crate) intraday_s: u32,
}

/// The live push to phones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// Seconds between two pings.
    pub(crate) ping_every_s: u32,
}

/// Limits that an operator may set; what happens at each is said in `config/hub.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) mqtt_connections_max: u32,
    pub(crate) mqtt_strangers_max: u32,
    pub(crate) mqtt_keep_alive_s_max: u32,
    pub(crate) mqtt_frames_in_flight_max: u32,
    pub(crate) mqtt_sockets_per_address_max: u32,
    pub(crate) mqtt_connects_per_address_per_min_max: u32,
    pub(crate) mqtt_connects_per_pile_per_min_max: u32,
    pub(crate) mqtt_admissions_per_s_max: u32,
    pub(crate) mqtt_failures_per_pile_max: u32,
    pub(crate) mqtt_failures_per_address_max: u32,
    pub(crate) mqtt_handshakes_max: u32,
    pub(crate) mqtt_frames_per_pile_per_s_max: u32,
    pub(crate) mqtt_frames_surplus_per_s_max: u32,
    pub(crate) mqtt_inbound_bytes_max: u32,
    pub(crate) http_connections_max: u32,
    pub(crate) http_connections_per_address_max: u32,
    pub(crate) http_requests_per_address_per_s_max: u32,
    pub(crate) http_body_bytes_max: u32,
    pub(crate) http_import_bytes_max: u32,
    pub(crate) http_idle_s_max: u32,
    pub(crate) ws_sockets_max: u32,
    pub(crate) ws_sockets_per_owner_max: u32,
    pub(crate) ws_sockets_per_order_max: u32,
}

/// Where facts are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Store {
    /// `"sqlite"` or `"cql"`.
    pub(crate) engine: String,
    /// Directory of the embedded engine and of generated keys.
    pub(crate) data_dir: String,
    pub(crate) cql: Cql,
}

/// The cluster engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cql {
    /// `host:port` of some nodes.
    pub(crate) nodes: Vec<String>,
    pub(crate) user: String,
    /// Path of a file with the password; `""`: none.
    pub(crate) password_file: String,
    /// Path of the authority of the nodes' certificates; `""`: no TLS.
    pub(crate) tls_ca: String,
    pub(crate) keyspace_prefix: String,
}

/// Rules of reservations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    /// Seconds after its begin at which an unused reservation is a no-show.
    pub(crate) noshow_after_s: u32,
}

/// The fee for standing there after the charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Occupancy {
    /// Free seconds after the charge.
    pub(crate) grace_s: u32,
    /// Fee per begun minute, in fen.
    pub(crate) fen_per_min: i64,
}

/// Calls to other systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Webhook {
    /// Seconds before the first retry.
    pub(crate) retry_s: u32,
    /// Whether plain http to this machine is allowed.
    pub(crate) allow_local: bool,
}

/// What the hub says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// `tracing` filter: a level, or `target=level` pairs with commas.
    pub(crate) filter: String,
    /// `"auto"` (pretty on a terminal, else JSON), `"pretty"` or `"json"`.
    pub(crate) format: String,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned(), public_url: String::new() }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:1883".to_owned(),
            tls_listen: String::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            client_ca: String::new(),
            revoked: String::new(),
            allow_plain: false,
            tick_us: 4000,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self { jwt_key: String::new(), master_key: String::new(), master_key_file: String::new(), ticket_ttl_s: 60 }
    }
}

impl Default for Pile {
    fn default() -> Self {
        Self { stale_after_s: 90, offline_after_s: 300 }
    }
}

impl Default for Order {
    fn default() -> Self {
        Self { start_deadline_s: 60, fault_wait_s: 30, offline_grace_s: 86_400 }
    }
}

impl Default for Money {
    fn default() -> Self {
        Self {
            freeze_default_fen: 5_000,
            freeze_min_fen: 1_000,
            hold_over_fen: 20_000,
            credit_limit_fen: 0,
            credit_paid_orders_min: 3,
            repay_on_topup: false,
        }
    }
}

impl Default for Reconciliation {
    fn default() -> Self {
        Self { at: "01:00".to_owned(), intraday_s: 300 }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self { ping_every_s: 15 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mqtt_connections_max: 18_000,
            mqtt_strangers_max: 4_096,
            mqtt_keep_alive_s_max: 600,
            mqtt_frames_in_flight_max: 8_192,
            mqtt_sockets_per_address_max: 16_000,
            mqtt_connects_per_address_per_min_max: 60_000,
            mqtt_connects_per_pile_per_min_max: 60,
            mqtt_admissions_per_s_max: 2_000,
            mqtt_failures_per_pile_max: 20,
            mqtt_failures_per_address_max: 1_000,
            mqtt_handshakes_max: 4_096,
            mqtt_frames_per_pile_per_s_max: 100,
            mqtt_frames_surplus_per_s_max: 5_000,
            mqtt_inbound_bytes_max: 67_108_864,
            http_connections_max: 8_192,
            http_connections_per_address_max: 4_096,
            http_requests_per_address_per_s_max: 5_000,
            http_body_bytes_max: 65_536,
            http_import_bytes_max: 33_554_432,
            http_idle_s_max: 120,
            ws_sockets_max: 8_000,
            ws_sockets_per_owner_max: 1_000,
            ws_sockets_per_order_max: 20,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { engine: "sqlite".to_owned(), data_dir: "pilehub-data".to_owned(), cql: Cql::default() }
    }
}

impl Default for Cql {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            user: String::new(),
            password_file: String::new(),
            tls_ca: String::new(),
            keyspace_prefix: "pilehub".to_owned(),
        }
    }
}

impl Default for Reservation {
    fn default() -> Self {
        Self { noshow_after_s: 900 }
    }
}

impl Default for Occupancy {
    fn default() -> Self {
        Self { grace_s: 900, fen_per_min: 0 }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self { retry_s: 2, allow_local: false }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,rumqttd=warn".to_owned(), format: "auto".to_owned() }
    }
}
