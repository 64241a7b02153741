//! Commands that people ask of a pile (reboot, unlock, …): stored before they are sent, sent again until answered.

use std::collections::BTreeMap;

use domain::{
    CommandId, Millis, Timestamp, limits as charging,
    wire::{AckResult, CommandAck},
};
use store::money::{CommandRow, CommandState, Commit, Write};

use crate::{core::Core, slot::Slot};

/// The commands of one pile that wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Commands(BTreeMap<CommandId, CommandRow>);

impl Commands {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a stored command and sends it if the pile is there.
    pub(crate) async fn add(&mut self, core: &Core, slot: &Slot, row: CommandRow, now: Timestamp) {
        let id = row.command.command_id.clone();
        self.0.insert(id.clone(), row);
        self.send(core, slot, &id, now).await;
    }

    /// The pile connected: whatever waits is sent (again, under its id).
    pub(crate) async fn connected(&mut self, core: &Core, slot: &Slot, now: Timestamp) {
        let ids: Vec<_> = self.0.keys().cloned().collect();
        for id in ids {
            self.send(core, slot, &id, now).await;
        }
    }

    /// The pile answered.
    pub(crate) async fn answered(&mut self, core: &Core, slot: &Slot, ack: &CommandAck, now: Timestamp) {
        let Some(mut row) = self.0.remove(&ack.command_id) else {
            tracing::debug!(pile = %slot.facts.pile_code, command = %ack.command_id, "answer to no open command");
            return;
        };
        row.state = match ack.result {
            AckResult::Accepted => CommandState::Acked,
            AckResult::Rejected => CommandState::Rejected,
        };
        row.done_at = Some(now);
        row.answer = ack.code.clone().or_else(|| ack.message.clone());
        store_row(core, row).await;
    }

    /// Time passed: expired commands are given up, unanswered ones sent again.
    pub(crate) async fn tick(&mut self, core: &Core, slot: &Slot, now: Timestamp) {
        let due: Vec<_> = self.0.iter().filter(|(_, row)| due_at(row) <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some(row) = self.0.get_mut(&id) else { continue };
            let expired = row.command.expires_at.is_some_and(|at| at <= now);
            if expired || row.tries >= charging::COMMAND_TRIES_MAX {
                row.state = CommandState::Timeout;
                row.done_at = Some(now);
                if let Some(row) = self.0.remove(&id) {
                    store_row(core, row).await;
                }
            } else {
                self.send(core, slot, &id, now).await;
            }
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.values().map(due_at).min()
    }

    async fn send(&mut self, core: &Core, slot: &Slot, id: &CommandId, now: Timestamp) {
        let Some(row) = self.0.get_mut(id) else { return };
        if !core.ports.piles.send_command(slot.no(), &slot.facts.pile_code, &row.command, now) {
            // Not connected: it waits until the pile is, or until it expires.
            row.sent_at = None;
            return;
        }
        row.state = CommandState::Sent;
        row.sent_at = Some(now);
        row.tries = row.tries.saturating_add(1);
        store_row(core, row.clone()).await;
    }
}

fn due_at(row: &CommandRow) -> Timestamp {
    let expires = row.command.expires_at.unwrap_or(Timestamp::MAX);
    row.sent_at.map_or(expires, |sent| expires.min(sent.plus(Millis::from_secs(charging::COMMAND_RETRY_S))))
}

/// What a command came to is kept for people; losing the last step to a crash costs a repeat under the same id.
async fn store_row(core: &Core, row: CommandRow) {
    let outcome = core.ports.money.commit(Commit { writes: vec![Write::Command(Box::new(row))] }).await;
    tracing::trace!(?outcome, "command noted");
}
