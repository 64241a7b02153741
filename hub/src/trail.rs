//! What the gate noticed, written down: rows of the audit trail, and alarms where a person must act.

use std::{net::IpAddr, sync::Arc};

use actors::Handle;
use broker::Attempt;
use domain::{Clock, PileCode, UserId};
use serde_json::json;
use store::{
    money::{Commit, CommitOutcome, Money, Severity, Write},
    registry::AuditRow,
};
use tokio::sync::mpsc;

/// Who acts when nobody has shown who they are.
const STRANGER: &str = "stranger";

/// Takes down what is tried until the gate is gone.
pub(crate) async fn keep(
    actors: Handle,
    money: Arc<dyn Money>,
    clock: Arc<dyn Clock>,
    mut attempts: mpsc::Receiver<Attempt>,
) {
    while let Some(attempt) = attempts.recv().await {
        let Some(note) = note(attempt, clock.as_ref()) else { continue };
        let lost = match note {
            Note::Row(row) => match money.commit(Commit { writes: vec![Write::Audit(Box::new(row))] }).await {
                CommitOutcome::Applied => None,
                lost @ (CommitOutcome::Conflict(_) | CommitOutcome::Unavailable(_) | CommitOutcome::Unknown(_)) => {
                    Some(format!("{lost:?}"))
                }
            },
            Note::Alarm { pile, code, severity, text, row } => {
                let raised = actors.raise_alarm(&pile, code, severity, text, row).await;
                raised.err().map(|refusal| refusal.to_string())
            }
        };
        if let Some(why) = lost {
            tracing::warn!(why, "an audit row could not be written");
        }
    }
}

enum Note {
    Row(AuditRow),
    Alarm { pile: PileCode, code: &'static str, severity: Severity, text: String, row: AuditRow },
}

fn note(attempt: Attempt, clock: &dyn Clock) -> Option<Note> {
    let at = clock.now();
    let row = |from: Option<IpAddr>, who: &str, action: String, target: String, detail: serde_json::Value| {
        let role = if who == STRANGER { STRANGER } else { "pile" };
        let actor = UserId::parse(who).ok()?;
        let address = from.map(|address| address.to_string());
        Some(AuditRow { at, actor, role: role.to_owned(), address, action, target, detail: detail.to_string() })
    };
    Some(match attempt {
        Attempt::Forbidden { pile, peer, what, topic } => {
            let action = format!("FORBIDDEN_{}", what.to_ascii_uppercase());
            Note::Row(row(Some(peer.ip()), pile.as_str(), action, topic, json!({ "peer": peer.to_string() }))?)
        }
        Attempt::Reader { name, peer, what, topic } => {
            let action = format!("FORBIDDEN_{}", what.to_ascii_uppercase());
            let actor = UserId::parse(&broker::username(&name)).ok()?;
            let detail = json!({ "peer": peer.to_string() }).to_string();
            Note::Row(AuditRow {
                at,
                actor,
                role: "integration".to_owned(),
                address: Some(peer.ip().to_string()),
                action,
                target: topic,
                detail,
            })
        }
        Attempt::Certificate { peer, why } => Note::Row(row(
            Some(peer.ip()),
            STRANGER,
            why.to_ascii_uppercase(),
            peer.ip().to_string(),
            json!({ "peer": peer.to_string() }),
        )?),
        Attempt::Banned { from, pile, whole_address, guesses, lasts } => {
            let detail = json!({ "pileCode": pile, "wholeAddress": whole_address, "guesses": guesses, "lastsS": lasts.as_secs() });
            Note::Row(row(Some(from), STRANGER, "BANNED".to_owned(), from.to_string(), detail)?)
        }
        Attempt::Clone { pile, first, second } => {
            let detail = json!({ "first": first.to_string(), "second": second.to_string() });
            let row = row(Some(second.ip()), pile.as_str(), "CLONE".to_owned(), pile.to_string(), detail)?;
            let text = format!(
                "two devices use this pile's identity, from {first} and from {second}; enrol the pile anew, or close its station to secrets"
            );
            Note::Alarm { pile, code: "PILE_CLONED", severity: Severity::High, text, row }
        }
        Attempt::Storm { connections } => Note::Row(row(
            None,
            STRANGER,
            "STORM".to_owned(),
            "gate".to_owned(),
            json!({ "connections": connections }),
        )?),
        Attempt::Flapping { pile, peer } => {
            let row = row(
                Some(peer.ip()),
                pile.as_str(),
                "FLAPPING".to_owned(),
                pile.to_string(),
                json!({ "peer": peer.to_string() }),
            )?;
            let text = format!("it connects again and again, from {peer}");
            Note::Alarm { pile, code: "PILE_FLAPPING", severity: Severity::Low, text, row }
        }
    })
}
