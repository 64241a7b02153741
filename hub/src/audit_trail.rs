//! The audit trail as an auditor checks it: every row follows the one before, none was changed, and the heads of the days
//! are where they were written.

use std::collections::BTreeMap;

use settlement::invariants::Breach;
use store::{
    cases::{Case, CaseFilter, CaseKind},
    chain::{self, Chained, Link, START},
    limits::PAGE_LEN_MAX,
    money::{Money, StoreError},
};

use crate::{audit_heads::Head, ids::hex};

/// What is wrong with the trail, and how many rows it has.
pub(crate) async fn check(money: &dyn Money) -> Result<(usize, Vec<Breach>), StoreError> {
    let mut trail = Trail::new(heads(money).await?);
    let mut after = 0;
    loop {
        let page = money.audit_chain(after, PAGE_LEN_MAX).await?;
        for row in &page {
            trail.follow(row);
        }
        match page.last() {
            Some(last) => after = last.id,
            None => return Ok((trail.rows, trail.finish())),
        }
    }
}

/// All heads, the first day first.
async fn heads(money: &dyn Money) -> Result<Vec<Head>, StoreError> {
    let (mut all, mut cursor): (Vec<Head>, Option<String>) = (Vec::new(), None);
    loop {
        let page = money.cases(&CaseFilter::all(CaseKind::AuditHead), cursor.as_deref(), PAGE_LEN_MAX).await?;
        all.extend(page.items.iter().map(Case::read).collect::<Result<Vec<Head>, _>>()?);
        cursor = page.next_cursor;
        if cursor.is_none() {
            all.reverse();
            return Ok(all);
        }
    }
}

/// The trail while it is gone along.
#[derive(Debug)]
struct Trail {
    /// Heads that were not come by yet, by their last row.
    heads: BTreeMap<i64, Vec<Head>>,
    last: Link,
    last_id: i64,
    rows: usize,
    /// Chained rows since the last head.
    since_head: u64,
    breaches: Vec<Breach>,
}

impl Trail {
    fn new(heads: Vec<Head>) -> Self {
        let mut by_row: BTreeMap<i64, Vec<Head>> = BTreeMap::new();
        for head in heads {
            by_row.entry(head.last_id).or_default().push(head);
        }
        // Days before the first row have heads that name none.
        by_row.remove(&0);
        Self { heads: by_row, last: START, last_id: 0, rows: 0, since_head: 0, breaches: Vec::new() }
    }

    fn breach(&mut self, what: String) {
        self.breaches.push(Breach { rule: "audit trail", what });
    }

    fn follow(&mut self, Chained { id, row, links }: &Chained) {
        self.rows = self.rows.saturating_add(1);
        let Some((prev, hash)) = links else {
            if self.last_id != 0 {
                let last = self.last_id;
                self.breach(format!("row {id} has no link, and row {last} before it has one: it was put in"));
            }
            return;
        };
        let who = format!("row {id} ({} by {} on {})", row.action, row.actor, row.target);
        if *prev != self.last {
            let last = self.last_id;
            self.breach(format!("{who} does not follow row {last}: one was removed, put in, moved or changed"));
        } else if *hash != chain::hash(prev, *id, row) {
            self.breach(format!("{who} is not what was written: it was changed"));
        }
        (self.last, self.last_id) = (*hash, *id);
        self.since_head = self.since_head.saturating_add(1);
        for head in self.heads.remove(id).unwrap_or_default() {
            self.head(&head);
        }
    }

    /// The trail has come to the last row of a head.
    fn head(&mut self, head: &Head) {
        if head.hash != hex(&self.last) {
            self.breach(format!("the head of {} was another: row {} was changed", head.day, head.last_id));
        }
        if head.rows != self.since_head {
            let (said, found) = (head.rows, self.since_head);
            self.breach(format!("the head of {} counted {said} rows, now there are {found}", head.day));
        }
        self.since_head = 0;
    }

    fn finish(mut self) -> Vec<Breach> {
        for head in std::mem::take(&mut self.heads).into_values().flatten() {
            self.breach(format!("the head of {} names row {}, which is not there", head.day, head.last_id));
        }
        self.breaches
    }
}

#[cfg(test)]
mod tests {
    use domain::{Timestamp, UserId};
    use store::registry::AuditRow;

    use super::*;

    fn row(n: i64) -> AuditRow {
        AuditRow {
            at: Timestamp::EPOCH,
            actor: UserId::parse("anna").unwrap(),
            role: "ops".to_owned(),
            address: None,
            action: "TRIED".to_owned(),
            target: n.to_string(),
            detail: "{}".to_owned(),
        }
    }

    /// Rows 1 to `count`, chained.
    fn trail(count: i64) -> Vec<Chained> {
        let mut last = START;
        let link = |id: i64| {
            let hash = chain::hash(&last, id, &row(id));
            let links = Some((std::mem::replace(&mut last, hash), hash));
            Chained { id, row: row(id), links }
        };
        (1..=count).map(link).collect()
    }

    fn head(rows: &[Chained], day: &str, last_id: i64, count: u64) -> Head {
        let hash = rows.iter().find(|row| row.id == last_id).map_or(START, |row| row.links.unwrap().1);
        Head { day: day.parse().unwrap(), last_id, rows: count, hash: hex(&hash), at: Timestamp::EPOCH }
    }

    fn breaches(rows: &[Chained], heads: Vec<Head>) -> Vec<String> {
        let mut trail = Trail::new(heads);
        rows.iter().for_each(|row| trail.follow(row));
        trail.finish().into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_trail_that_nobody_touched_has_no_breach() {
        let rows = trail(6);
        let heads = vec![
            head(&rows, "2026-01-01", 0, 0),
            head(&rows, "2026-01-02", 3, 3),
            head(&rows, "2026-01-03", 3, 0),
            head(&rows, "2026-01-04", 5, 2),
        ];
        assert_eq!(breaches(&rows, heads), Vec::<String>::new());
        let mut older: Vec<Chained> = vec![Chained { id: 0, row: row(0), links: None }];
        older.extend(trail(2));
        assert_eq!(breaches(&older, vec![]), Vec::<String>::new(), "rows from before the chain");
    }

    #[test]
    fn whatever_is_done_to_a_row_is_named() {
        let rows = trail(6);
        let told = |change: fn(&mut Vec<Chained>), words: &str| {
            let mut changed = rows.clone();
            change(&mut changed);
            let heads = vec![head(&rows, "2026-01-02", 6, 6)];
            let breaches = breaches(&changed, heads);
            assert!(breaches.first().is_some_and(|first| first.contains(words)), "{words}: {breaches:?}");
        };
        told(
            |rows| rows[2].row.actor = UserId::parse("eve").unwrap(),
            "row 3 (TRIED by eve on 3) is not what was written",
        );
        told(|rows| drop(rows.remove(2)), "row 4 (TRIED by anna on 4) does not follow row 2");
        told(|rows| drop(rows.pop()), "the head of 2026-01-02 names row 6, which is not there");
        told(|rows| rows.swap(2, 3), "row 4 (TRIED by anna on 4) does not follow row 2");
        told(|rows| rows.insert(3, Chained { links: None, ..rows[3].clone() }), "row 4 has no link");
        told(
            |rows| {
                let links = rows[5].links.map(|(prev, _)| (prev, chain::hash(&prev, 6, &row(9))));
                rows[5] = Chained { id: 6, row: row(9), links };
            },
            "the head of 2026-01-02 was another",
        );
        told(|rows| rows.iter_mut().for_each(|row| row.links = None), "the head of 2026-01-02 names row 6");
    }
}
