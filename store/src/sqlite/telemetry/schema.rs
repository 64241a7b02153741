//! Tables of `tlm.db`.
//!
//! `log`: one row per flush with the samples of all piles, in the order in which they came. `chunk`: samples of one
//! pile, sealed; its key is the generation and the pile, so that a generation is one contiguous range. `upto` is the
//! last log row whose samples of that pile it holds. `generation`: one row per sealing round.

use crate::sqlite::connection::Schema;

/// All steps, first to last. A step that was released is never edited.
pub(super) const SCHEMA: Schema = Schema { steps: &[V1] };

const V1: &str = "
CREATE TABLE log (id INTEGER PRIMARY KEY, blob BLOB NOT NULL) STRICT;
CREATE TABLE chunk (
  key INTEGER PRIMARY KEY, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, n INTEGER NOT NULL, upto INTEGER NOT NULL,
  blob BLOB NOT NULL) STRICT;
CREATE TABLE generation (
  id INTEGER PRIMARY KEY, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, last_log INTEGER NOT NULL) STRICT;
CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT, pile_code TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, received INTEGER NOT NULL, replayed_at INTEGER) STRICT;
";

/// Key of a pile's chunk of a generation.
pub(super) fn chunk_key(generation: i64, pile_no: u32) -> i64 {
    (generation << 32) | i64::from(pile_no)
}

/// The pile of a key.
pub(super) fn key_pile(key: i64) -> u32 {
    let [a, b, c, d, ..] = key.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
