//! Writes about changes of piles' secrets: columns of the pile's own row.

use domain::{CommandId, PileNo};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::apply::{Applied, OK};
use crate::{
    money::Conflict,
    registry::{Rotation, RotationEnd},
};

/// A change begins, beside none or in place of the one that is named.
pub(super) fn begin(conn: &Connection, rotation: &Rotation, replaces: Option<&CommandId>) -> Applied {
    let Rotation { pile_no, rotation_id, verifier, until, accepted } = rotation;
    let running: Option<Option<String>> = conn
        .prepare_cached("SELECT rotation_id FROM piles WHERE pile_no = ?1")?
        .query_row([pile_no.0], |row| row.get(0))
        .optional()?;
    let Some(running) = running else {
        return Ok(Err(Conflict::Malformed(format!("there is no pile number {}", pile_no.0))));
    };
    if running.as_deref() == Some(rotation_id.as_str()) {
        return OK;
    }
    if running.as_deref() != replaces.map(CommandId::as_str) {
        return Ok(Err(Conflict::RotationRuns(*pile_no)));
    }
    conn.prepare_cached(
        "UPDATE piles SET rotation_id = ?2, next_verifier = ?3, next_until = ?4, next_accepted = ?5 WHERE pile_no = ?1",
    )?
    .execute(params![pile_no.0, rotation_id.as_str(), verifier, until.as_millis(), accepted])?;
    OK
}

/// The pile has said that it took the next secret.
pub(super) fn accepted(conn: &Connection, pile_no: PileNo, rotation_id: &CommandId) -> Applied {
    conn.prepare_cached("UPDATE piles SET next_accepted = 1 WHERE pile_no = ?1 AND rotation_id = ?2")?
        .execute(params![pile_no.0, rotation_id.as_str()])?;
    OK
}

/// A change is over, one way or the other.
pub(super) fn over(conn: &Connection, pile_no: PileNo, rotation_id: &CommandId, end: RotationEnd) -> Applied {
    let verifier = match end {
        RotationEnd::Taken => "next_verifier",
        RotationEnd::Lapsed => "verifier",
    };
    conn.prepare_cached(&format!(
        "UPDATE piles SET verifier = {verifier}, rotation_id = NULL, next_verifier = NULL, next_until = NULL,
         next_accepted = NULL WHERE pile_no = ?1 AND rotation_id = ?2"
    ))?
    .execute(params![pile_no.0, rotation_id.as_str()])?;
    OK
}
