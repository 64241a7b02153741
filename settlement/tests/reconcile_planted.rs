//! Must hold: every planted difference is found, and nothing else. Prints its seed; `SETTLEMENT_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod planted;

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use planted::{
    Plant, World, day,
    random::{Random, seed},
};
use settlement::reconcile::{
    BillLine, ChannelFile, FundsFound, FundsInput, Item, ItemKind, Run, match_energy, match_funds, merge,
};

const PLANT: Plant = Plant { payments: 100_000, piles: 5_000, orders_per_pile: 20, of_each_kind: 1_000 };

fn files<'a>(lines: &'a [(&'static str, Vec<BillLine>)]) -> Vec<ChannelFile<'a>> {
    lines.iter().map(|(channel, lines)| ChannelFile { channel, lines }).collect()
}

fn funds(world: &World) -> FundsFound {
    let [today, before, after] = [files(&world.files[0]), files(&world.files[1]), files(&world.files[2])];
    // A file that was given once more, in part: it says nothing new.
    let part = ChannelFile { channel: today[0].channel, lines: &today[0].lines[..today[0].lines.len() / 2] };
    let today: Vec<ChannelFile<'_>> = std::iter::once(part).chain(today).collect();
    match_funds(&FundsInput {
        files: &today,
        files_before: &before,
        files_after: &after,
        movements: &world.movements,
        carried: &[],
    })
}

#[test]
fn a_thousand_differences_of_every_kind_in_a_hundred_thousand_are_found_and_no_other() {
    let mut random = Random::new(seed("planted differences"));
    let world = World::new(&PLANT, &mut random);
    assert_eq!((world.orders.len(), world.expected.len()), (100_000, 11_000));
    let (funds, energy) = (funds(&world), match_energy(&world.orders, &world.registers));
    let findings: Vec<_> = funds.findings.iter().chain(&energy.findings).cloned().collect();
    let found: BTreeSet<String> = findings.iter().map(|finding| finding.id(day())).collect();
    assert_eq!(found.len(), findings.len(), "every finding has a name of its own");
    let missed: Vec<_> = world.expected.difference(&found).take(5).collect();
    let invented: Vec<_> = found.difference(&world.expected).take(5).collect();
    assert!(missed.is_empty() && invented.is_empty(), "missed {missed:?}, invented {invented:?}");
    for kind in ItemKind::ALL {
        assert_eq!(findings.iter().filter(|finding| finding.kind == *kind).count(), 1_000, "{kind:?}");
    }
    every_line_is_matched_or_told_of(&world, &funds);
    a_second_run_changes_nothing(&findings);
}

/// No line of a bill is lost: it is matched, or an item tells of it.
fn every_line_is_matched_or_told_of(world: &World, funds: &FundsFound) {
    let lines: usize = world.files[0].iter().map(|(_, lines)| lines.len()).sum();
    let counted: u64 = funds.channels.values().map(|sums| sums.lines_paid.count + sums.lines_refunded.count).sum();
    let matched: u64 = funds.channels.values().map(|sums| sums.matched_paid.count + sums.matched_refunded.count).sum();
    let told: BTreeSet<String> = funds
        .findings
        .iter()
        .filter(|finding| finding.kind != ItemKind::Short && finding.kind != ItemKind::LedgerDiff)
        .map(|finding| finding.id(day()))
        .collect();
    let in_a_file: BTreeSet<&str> =
        world.files[0].iter().flat_map(|(_, lines)| lines.iter().map(BillLine::name)).collect();
    let books: usize = funds
        .findings
        .iter()
        .filter(|finding| finding.kind == ItemKind::LedgerDiff)
        .filter(|finding| in_a_file.contains(finding.key.split_once(':').unwrap().1))
        .count();
    assert_eq!(counted, u64::try_from(lines).unwrap());
    assert_eq!(counted, matched + u64::try_from(told.len() + books).unwrap());
}

fn a_second_run_changes_nothing(findings: &[settlement::reconcile::Finding]) {
    let (now, matched) = (Timestamp::EPOCH, BTreeSet::new());
    let run =
        Run { of_day: day(), books: day(), findings, matched: &matched, funds_complete: true, energy_complete: true };
    let items = merge(&BTreeMap::new(), &run, now);
    assert_eq!(items.len(), findings.len());
    let known: BTreeMap<String, Item> = items.into_iter().map(|item| (item.item_id.clone(), item)).collect();
    assert_eq!(merge(&known, &run, now), []);
}
