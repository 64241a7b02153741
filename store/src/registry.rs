//! Stations, piles, tariffs: few, read at the start, kept in memory by those who need them.

use domain::{CommandId, IntegrationName, PileCode, PileNo, StationId, Timestamp, UserId, Watts};
use serde::{Deserialize, Serialize};

/// A place where piles stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Station {
    /// Its name in every message.
    pub station_id: StationId,
    /// For people.
    pub name: String,
    /// IANA time zone in which its tariffs are read.
    pub timezone: String,
    /// Degrees × 10⁷, east positive.
    pub longitude_e7: i32,
    /// Degrees × 10⁷, north positive.
    pub latitude_e7: i32,
    /// Its piles are admitted with a certificate only.
    #[serde(default)]
    pub certificate_only: bool,
}

/// A registered pile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pile {
    /// The hub's short number; given by the store, 1, 2, 3 …, never used again.
    pub pile_no: PileNo,
    /// The code painted on it.
    pub pile_code: PileCode,
    /// Where it stands.
    pub station_id: StationId,
    /// DC or AC.
    pub kind: PileKind,
    /// Number of guns.
    pub connectors: u8,
    /// Rated power.
    pub max_power: Watts,
    /// Keyed verifier of its secret (the secret itself is never stored).
    #[serde(skip)]
    pub verifier: [u8; 32],
}

/// A change of a pile's secret that is under way: the present secret and the next one are both good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Of which pile.
    pub pile_no: PileNo,
    /// Its name, and the id of the command that carries the next secret.
    pub rotation_id: CommandId,
    /// Keyed verifier of the next secret.
    pub verifier: [u8; 32],
    /// When the next secret must have been used.
    pub until: Timestamp,
    /// The pile has said that it took the next secret.
    pub accepted: bool,
}

/// How a change of a secret ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationEnd {
    /// The next secret is the only one.
    Taken,
    /// The next secret is forgotten.
    Lapsed,
}

/// The two kinds of pile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PileKind {
    /// Direct current.
    Dc,
    /// Alternating current.
    Ac,
}

/// What of a pile's state must survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PileState {
    /// Reason of the maintenance mode, if it is on.
    pub maintenance: Option<String>,
    /// Faults that came by event and were not cleared yet: (connector, code).
    pub faults: Vec<(u8, String)>,
}

/// Another system of the operator's that may read what the piles send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integration {
    /// Names the account.
    pub name: IntegrationName,
    /// Keyed verifier of its secret (the secret itself is never stored).
    #[serde(skip)]
    pub verifier: [u8; 32],
    /// The stations whose piles it reads; `None`: every station, those to come too.
    pub stations: Option<Vec<StationId>>,
    /// The topics it reads, as they follow `pile/{pileCode}/`.
    pub topics: Vec<String>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// Who did what, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: UserId,
    /// In which role.
    pub role: String,
    /// From which address, when it came over the network.
    #[serde(default)]
    pub address: Option<String>,
    /// What, in UPPER_SNAKE.
    pub action: String,
    /// To what.
    pub target: String,
    /// Before, after, reason: as JSON.
    pub detail: String,
}
