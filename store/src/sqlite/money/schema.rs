//! Tables of `money.db`.
//!
//! Typed columns where lists and audits look, the whole value as JSON (`body`) where the value is what counts.
//! Times are milliseconds since 1970, money is fen, enumerated values are spelt as in JSON.

use crate::sqlite::connection::Schema;

/// All steps, first to last. A step that was released is never edited.
pub(super) const SCHEMA: Schema = Schema { steps: &[V1, V2, INTEGRATIONS, AUDITED_MONEY] };

const V1: &str = "
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('next_pile_no', 1);
CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT;

CREATE TABLE orders (
  order_no TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, pile_code TEXT NOT NULL, station_id TEXT NOT NULL,
  status TEXT NOT NULL, payment_status TEXT NOT NULL, open INTEGER NOT NULL, rev INTEGER NOT NULL,
  created_at INTEGER NOT NULL, ended_at INTEGER, energy_wh INTEGER NOT NULL, frozen_fen INTEGER NOT NULL,
  total_fen INTEGER, paid_fen INTEGER NOT NULL, released_fen INTEGER NOT NULL, debt_fen INTEGER NOT NULL,
  body TEXT NOT NULL) STRICT;
CREATE INDEX orders_by_time ON orders (created_at, order_no);
CREATE INDEX orders_by_user ON orders (user_id, created_at, order_no);
CREATE INDEX orders_by_pile ON orders (pile_code, created_at, order_no);
CREATE INDEX orders_open ON orders (created_at, order_no) WHERE open = 1;

CREATE TABLE history (
  id INTEGER PRIMARY KEY, order_no TEXT NOT NULL, at INTEGER NOT NULL, from_status TEXT NOT NULL,
  to_status TEXT NOT NULL, event TEXT NOT NULL, outcome TEXT NOT NULL) STRICT;
CREATE INDEX history_by_order ON history (order_no, at);

CREATE TABLE records (
  order_no TEXT NOT NULL, content BLOB NOT NULL, pile_no INTEGER NOT NULL, raw BLOB NOT NULL,
  received INTEGER NOT NULL, standing TEXT NOT NULL, PRIMARY KEY (order_no, content)) STRICT;
CREATE UNIQUE INDEX records_standing ON records (order_no) WHERE standing = 'STANDS';

CREATE TABLE accounts (
  user_id TEXT PRIMARY KEY, available INTEGER NOT NULL, frozen INTEGER NOT NULL, version INTEGER NOT NULL,
  entry_seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
  user_id TEXT NOT NULL, order_no TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (user_id, order_no)) STRICT, WITHOUT ROWID;
CREATE TABLE debts (
  user_id TEXT NOT NULL, order_no TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (user_id, order_no)) STRICT, WITHOUT ROWID;
CREATE TABLE ops (
  user_id TEXT NOT NULL, op TEXT NOT NULL, version INTEGER NOT NULL, result TEXT NOT NULL,
  PRIMARY KEY (user_id, op)) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
  user_id TEXT NOT NULL, seq INTEGER NOT NULL, op TEXT NOT NULL, debit TEXT NOT NULL, credit TEXT NOT NULL,
  amount INTEGER NOT NULL, order_no TEXT, kind TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (user_id, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE blacklist (user_id TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE once (
  caller TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL, fingerprint BLOB NOT NULL, status INTEGER NOT NULL,
  body TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (caller, path, key)) STRICT;
CREATE TABLE payments (
  payment_no TEXT PRIMARY KEY, user_id TEXT NOT NULL, amount_fen INTEGER NOT NULL, channel TEXT NOT NULL,
  state TEXT NOT NULL, transaction_id TEXT, created_at INTEGER NOT NULL, paid_at INTEGER) STRICT;
CREATE TABLE commands (
  command_id TEXT PRIMARY KEY, open INTEGER NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX commands_open ON commands (created_at, command_id) WHERE open = 1;
CREATE TABLE alarms (
  alarm_id TEXT PRIMARY KEY, state TEXT NOT NULL, open INTEGER NOT NULL, raised_at INTEGER NOT NULL,
  body TEXT NOT NULL) STRICT;
CREATE INDEX alarms_by_time ON alarms (raised_at, alarm_id);
CREATE INDEX alarms_by_state ON alarms (state, raised_at, alarm_id);
CREATE INDEX alarms_open ON alarms (raised_at, alarm_id) WHERE open = 1;
CREATE TABLE events (
  pile_no INTEGER NOT NULL, event_id TEXT NOT NULL, kind TEXT NOT NULL, connector INTEGER NOT NULL, fault_code TEXT,
  detail TEXT, device INTEGER NOT NULL, received INTEGER NOT NULL,
  PRIMARY KEY (pile_no, event_id)) STRICT, WITHOUT ROWID;

CREATE TABLE stations (station_id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE piles (
  pile_no INTEGER PRIMARY KEY, pile_code TEXT NOT NULL UNIQUE, station_id TEXT NOT NULL, kind TEXT NOT NULL,
  connectors INTEGER NOT NULL, max_power_w INTEGER NOT NULL, verifier BLOB NOT NULL) STRICT;
CREATE TABLE pile_states (pile_no INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE tariffs (
  tariff_id TEXT PRIMARY KEY, station_id TEXT NOT NULL, version INTEGER NOT NULL, published INTEGER NOT NULL,
  body TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX tariffs_by_version ON tariffs (station_id, version) WHERE published = 1;
CREATE INDEX tariffs_by_station ON tariffs (station_id);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
  action TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE INDEX audit_by_time ON audit (at);
";

/// The change of a pile's secret stands in the pile's own row, so that its end is one write. All of its columns are
/// set, or none.
const V2: &str = "
ALTER TABLE piles ADD COLUMN rotation_id TEXT;
ALTER TABLE piles ADD COLUMN next_verifier BLOB;
ALTER TABLE piles ADD COLUMN next_until INTEGER;
ALTER TABLE piles ADD COLUMN next_accepted INTEGER;
";

/// Accounts of other systems that read what the piles send.
const INTEGRATIONS: &str = "
CREATE TABLE integrations (name TEXT PRIMARY KEY, verifier BLOB NOT NULL, body TEXT NOT NULL) STRICT;
";

/// Refunds, suspense, cases, the outbox, the chain of the audit trail, and the lists that finance reads by time.
const AUDITED_MONEY: &str = "
ALTER TABLE accounts ADD COLUMN sums TEXT;
ALTER TABLE payments ADD COLUMN due INTEGER;
ALTER TABLE payments ADD COLUMN body TEXT;
CREATE INDEX payments_by_user ON payments (user_id, created_at, payment_no);
CREATE INDEX payments_by_paid ON payments (paid_at, payment_no) WHERE paid_at IS NOT NULL;
CREATE INDEX payments_due ON payments (due, payment_no) WHERE due IS NOT NULL;
CREATE INDEX orders_by_end ON orders (ended_at, order_no) WHERE ended_at IS NOT NULL;
CREATE INDEX orders_owing ON orders (created_at, order_no) WHERE debt_fen > 0;
CREATE INDEX entries_by_time ON entries (at, user_id, seq);
ALTER TABLE blacklist ADD COLUMN body TEXT;

CREATE TABLE cases (
  kind TEXT NOT NULL, id TEXT NOT NULL, rev INTEGER NOT NULL, state TEXT NOT NULL, open INTEGER NOT NULL,
  about TEXT NOT NULL, at INTEGER NOT NULL, due INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
CREATE INDEX cases_by_time ON cases (kind, at, id);
CREATE INDEX cases_by_state ON cases (kind, state, at, id);
CREATE INDEX cases_by_about ON cases (kind, about, at, id);
CREATE INDEX cases_open ON cases (kind, at, id) WHERE open = 1;
CREATE INDEX cases_due ON cases (kind, due, id) WHERE open = 1 AND due IS NOT NULL;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, at INTEGER NOT NULL,
  subject TEXT NOT NULL, data TEXT NOT NULL) STRICT;

ALTER TABLE audit ADD COLUMN address TEXT;
ALTER TABLE audit ADD COLUMN prev BLOB;
ALTER TABLE audit ADD COLUMN hash BLOB;
";
