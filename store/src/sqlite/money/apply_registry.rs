//! Writes about piles, stations, tariffs, integrations, commands, alarms, events and the audit trail.

use domain::{IntegrationName, PileNo};
use rusqlite::{Connection, OptionalExtension as _, params};
use settlement::tariff::Tariff;

use super::apply::{Applied, OK, json};
use crate::{
    money::{Alarm, AlarmState, CommandRow, CommandState, Conflict, EventRow},
    registry::{Integration, Pile, PileState, Station},
    sqlite::names::Name,
};

/// A command's present state.
pub(super) fn command(conn: &Connection, row: &CommandRow) -> Applied {
    let open = match row.state {
        CommandState::Queued | CommandState::Sent => true,
        CommandState::Acked | CommandState::Rejected | CommandState::Timeout => false,
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO commands (command_id, open, created_at, body) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![row.command.command_id.as_str(), open, row.created_at.as_millis(), json(row)?])?;
    OK
}

/// An alarm's present state.
pub(super) fn alarm(conn: &Connection, alarm: &Alarm) -> Applied {
    let open = match alarm.state {
        AlarmState::Raised | AlarmState::Acked => true,
        AlarmState::Cleared | AlarmState::Closed => false,
    };
    conn.prepare_cached(
        "INSERT OR REPLACE INTO alarms (alarm_id, state, open, raised_at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![alarm.alarm_id, Name(alarm.state), open, alarm.raised_at.as_millis(), json(alarm)?])?;
    OK
}

/// An event; the first of its id stays.
pub(super) fn event(conn: &Connection, event: &EventRow) -> Applied {
    conn.prepare_cached(
        "INSERT INTO events (pile_no, event_id, kind, connector, fault_code, detail, device, received)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (pile_no, event_id) DO NOTHING",
    )?
    .execute(params![
        event.pile_no.0,
        event.event_id.as_str(),
        event.kind,
        event.connector_id.0,
        event.fault_code,
        event.detail,
        event.device.as_millis(),
        event.received.as_millis()
    ])?;
    OK
}

/// What of a pile must survive a restart.
pub(super) fn pile_state(conn: &Connection, pile_no: PileNo, state: &PileState) -> Applied {
    conn.prepare_cached("INSERT OR REPLACE INTO pile_states (pile_no, body) VALUES (?1, ?2)")?
        .execute(params![pile_no.0, json(state)?])?;
    OK
}

/// A station.
pub(super) fn station(conn: &Connection, station: &Station) -> Applied {
    conn.prepare_cached("INSERT OR REPLACE INTO stations (station_id, body) VALUES (?1, ?2)")?
        .execute(params![station.station_id.as_str(), json(station)?])?;
    OK
}

/// New piles; one taken code refuses them all.
pub(super) fn piles(conn: &Connection, piles: &[Pile]) -> Applied {
    let mut insert = conn.prepare_cached(
        "INSERT INTO piles (pile_no, pile_code, station_id, kind, connectors, max_power_w, verifier)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (pile_code) DO NOTHING",
    )?;
    for pile in piles {
        let inserted = insert.execute(params![
            pile.pile_no.0,
            pile.pile_code.as_str(),
            pile.station_id.as_str(),
            Name(pile.kind),
            pile.connectors,
            pile.max_power.0,
            pile.verifier
        ])?;
        if inserted == 0 {
            return Ok(Err(Conflict::PileExists(pile.pile_code.clone())));
        }
    }
    OK
}

/// A draft or a published tariff. Publishing the same again changes nothing.
pub(super) fn tariff(conn: &Connection, tariff: &Tariff) -> Applied {
    let body = json(tariff)?;
    let stored: Option<(bool, String)> = conn
        .prepare_cached("SELECT published, body FROM tariffs WHERE tariff_id = ?1")?
        .query_row([&tariff.tariff_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let refused = || Ok(Err(Conflict::TariffPublished(tariff.tariff_id.clone())));
    match stored {
        Some((true, stored)) if stored == body => return OK,
        Some((true, _)) => return refused(),
        Some((false, _)) | None => {}
    }
    let published = tariff.effective_at.is_some();
    let taken: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM tariffs
             WHERE station_id = ?1 AND version = ?2 AND published = 1 AND tariff_id <> ?3)",
        )?
        .query_row(params![tariff.station_id.as_str(), tariff.version, tariff.tariff_id], |row| row.get(0))?;
    if published && taken {
        return refused();
    }
    conn.prepare_cached(
        "INSERT INTO tariffs (tariff_id, station_id, version, published, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (tariff_id) DO UPDATE SET station_id = ?2, version = ?3, published = ?4, body = ?5",
    )?
    .execute(params![tariff.tariff_id, tariff.station_id.as_str(), tariff.version, published, body])?;
    OK
}

/// A new account. The same account again changes nothing.
pub(super) fn integration(conn: &Connection, integration: &Integration) -> Applied {
    let (name, body) = (integration.name.as_str(), json(integration)?);
    let inserted = conn
        .prepare_cached(
            "INSERT INTO integrations (name, verifier, body) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
        )?
        .execute(params![name, integration.verifier, body])?;
    let the_same: bool = conn
        .prepare_cached("SELECT verifier = ?2 AND body = ?3 FROM integrations WHERE name = ?1")?
        .query_row(params![name, integration.verifier, body], |row| row.get(0))?;
    if inserted == 1 || the_same {
        return OK;
    }
    Ok(Err(Conflict::IntegrationExists(integration.name.clone())))
}

/// An account that is no more.
pub(super) fn integration_removed(conn: &Connection, name: &IntegrationName) -> Applied {
    conn.prepare_cached("DELETE FROM integrations WHERE name = ?1")?.execute([name.as_str()])?;
    OK
}
