//! Marks of piles whose meters and bills disagree [R55], and the event when a pile has too many of them.

use std::collections::BTreeSet;

use domain::PileCode;
use serde_json::json;
use settlement::{
    limits::{PILE_MARK_DAYS, PILE_MARKS_MAX},
    reconcile::{About, Day, Finding, Item, ItemKind, ItemState, meter_abnormal},
};
use store::{
    cases::{CaseFilter, CaseKind, Filed, OutboxEvent},
    money::Write,
};

use super::{Reconciler, Trouble, facts, filed::PileMark};
use crate::limits::RECON_MARKS_MAX;

/// The event of a pile whose meter is to be looked at.
const METER_ABNORMAL: &str = "pile.meter_abnormal";

/// Piles that are to be marked for the day, and piles of which a difference went away.
fn piles(day: Day, findings: &[Finding], changed: &[Item]) -> (BTreeSet<PileCode>, BTreeSet<PileCode>) {
    let of = |kind: ItemKind, about: &About| about.pile_code.clone().filter(|_| kind.marks_the_pile());
    let gone = changed.iter().filter(|item| item.state == ItemState::Matched && item.about_day() == day);
    (
        findings.iter().filter_map(|finding| of(finding.kind, &finding.about)).collect(),
        gone.filter_map(|item| of(item.kind, &item.about)).collect(),
    )
}

impl Reconciler {
    /// The marks a run sets and takes away, and the events that follow.
    pub(super) async fn marks(&self, day: Day, findings: &[Finding], changed: &[Item]) -> Result<Vec<Write>, Trouble> {
        let (marked, gone) = piles(day, findings, changed);
        let mut writes = Vec::new();
        for pile in &marked {
            let Some(mark) = self.changed_mark(pile, day, true).await? else { continue };
            writes.push(Write::Case(Box::new(mark.case())));
            writes.extend(self.abnormal(pile, day).await?);
        }
        for pile in gone {
            if marked.contains(&pile) {
                continue;
            }
            let mark = self.changed_mark(&pile, day, false).await?;
            writes.extend(mark.map(|mark| Write::Case(Box::new(mark.case()))));
        }
        Ok(writes)
    }

    /// A pile's mark of a day as it shall be; `None` when it is so already.
    async fn changed_mark(&self, pile: &PileCode, day: Day, stands: bool) -> Result<Option<PileMark>, Trouble> {
        let stored = self.money.case(CaseKind::PileMark, &PileMark::name(pile, day)).await?;
        let stored = stored.map(|case| case.read::<PileMark>()).transpose()?;
        Ok(match stored {
            Some(mark) if mark.stands == stands => None,
            Some(mark) => Some(PileMark { stands, rev: mark.rev.saturating_add(1), ..mark }),
            None if stands => Some(PileMark { pile_code: pile.clone(), day, stands, at: self.now(), rev: 1 }),
            None => None,
        })
    }

    /// The event of a pile that gets one more mark, when that makes it abnormal.
    async fn abnormal(&self, pile: &PileCode, day: Day) -> Result<Option<Write>, Trouble> {
        let filter =
            CaseFilter { about: Some(pile.to_string()), open_only: true, ..CaseFilter::all(CaseKind::PileMark) };
        let cases = facts::cases(self.money.as_ref(), &filter, RECON_MARKS_MAX).await?.rows;
        let marks = cases.iter().map(|case| case.read::<PileMark>()).collect::<Result<Vec<_>, _>>()?;
        let days: BTreeSet<Day> = marks.iter().map(|mark| mark.day).chain([day]).collect();
        let days: Vec<Day> = days.into_iter().collect();
        if !meter_abnormal(&days, day) {
            return Ok(None);
        }
        tracing::warn!(%pile, %day, "a pile's meter and its bills disagree again and again");
        let data = json!({ "pileCode": pile, "day": day, "marks": PILE_MARKS_MAX, "withinDays": PILE_MARK_DAYS });
        Ok(Some(Write::Outbox(Box::new(OutboxEvent {
            event_id: format!("{METER_ABNORMAL}:{pile}:{day}"),
            name: METER_ABNORMAL.to_owned(),
            at: self.now(),
            subject: pile.to_string(),
            data: data.to_string(),
        }))))
    }
}
