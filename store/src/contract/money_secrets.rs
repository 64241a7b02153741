//! Changes of piles' secrets: begun once, ended once, and a pile always has a secret that is good.

use domain::PileNo;

use super::{
    Engine, Store,
    facts::{commit, pile, rotation},
};
use crate::{
    money::{CommitOutcome, Conflict, Money, Write},
    registry::{Rotation, RotationEnd},
};

async fn with_two_piles(engine: &dyn Engine) -> Store {
    let store = Store::open(engine).await;
    let piles = commit([Write::Piles(vec![pile(1, "P1"), pile(2, "P2")])]);
    assert_eq!(store.money.commit(piles).await, CommitOutcome::Applied);
    store
}

async fn begin(money: &dyn Money, rotation: &Rotation, replaces: Option<&Rotation>) -> CommitOutcome {
    let replaces = replaces.map(|rotation| rotation.rotation_id.clone());
    money.commit(commit([Write::Rotation(Box::new(rotation.clone()), replaces)])).await
}

async fn end(money: &dyn Money, rotation: &Rotation, end: RotationEnd) {
    let write = Write::RotationOver(rotation.pile_no, rotation.rotation_id.clone(), end);
    assert_eq!(money.commit(commit([write])).await, CommitOutcome::Applied);
}

/// What connects, by pile: the verifiers of both piles.
async fn verifiers(money: &dyn Money) -> Vec<[u8; 32]> {
    money.piles().await.unwrap().into_iter().map(|(pile, _)| pile.verifier).collect()
}

/// The next verifier becomes the pile's own with `Taken`, and goes without a trace with `Lapsed`.
pub async fn a_change_of_a_secret_is_there_after_reopening_until_it_is_over(engine: &dyn Engine) {
    let store = with_two_piles(engine).await;
    let (one, two) = (rotation(1, "R1"), rotation(2, "R2"));
    for rotation in [&one, &two] {
        assert_eq!(begin(store.money.as_ref(), rotation, None).await, CommitOutcome::Applied);
    }
    let accepted = commit([Write::RotationAccepted(PileNo(2), two.rotation_id.clone())]);
    assert_eq!(store.money.commit(accepted).await, CommitOutcome::Applied);
    let store = store.reopen(engine).await;
    let told = Rotation { accepted: true, ..two.clone() };
    assert_eq!(store.money.rotations().await.unwrap(), [one.clone(), told]);
    let before = [pile(1, "P1").verifier, pile(2, "P2").verifier];
    assert_eq!(verifiers(store.money.as_ref()).await, before, "the present secrets are still good");
    end(store.money.as_ref(), &one, RotationEnd::Lapsed).await;
    end(store.money.as_ref(), &two, RotationEnd::Taken).await;
    let store = store.reopen(engine).await;
    assert_eq!(store.money.rotations().await.unwrap(), []);
    assert_eq!(verifiers(store.money.as_ref()).await, [before[0], two.verifier]);
}

/// A repeat of the same change is the same change.
pub async fn a_second_change_needs_the_name_of_the_first(engine: &dyn Engine) {
    let Store { money, .. } = &with_two_piles(engine).await;
    let (first, second) = (rotation(1, "R1"), rotation(1, "R2"));
    let runs = CommitOutcome::Conflict(Conflict::RotationRuns(PileNo(1)));
    assert_eq!(begin(money.as_ref(), &second, Some(&first)).await, runs, "the one to replace is not under way");
    for _ in 0..2 {
        assert_eq!(begin(money.as_ref(), &first, None).await, CommitOutcome::Applied);
    }
    assert_eq!(begin(money.as_ref(), &second, None).await, runs);
    assert_eq!(money.rotations().await.unwrap(), std::slice::from_ref(&first));
    for _ in 0..2 {
        assert_eq!(begin(money.as_ref(), &second, Some(&first)).await, CommitOutcome::Applied);
    }
    assert_eq!(money.rotations().await.unwrap(), [second]);
    let stranger = begin(money.as_ref(), &rotation(9, "R9"), None).await;
    assert!(matches!(stranger, CommitOutcome::Conflict(Conflict::Malformed(_))), "{stranger:?}");
}

/// Late words about an earlier change do not touch the present one.
pub async fn what_is_said_of_a_change_that_is_over_changes_nothing(engine: &dyn Engine) {
    let Store { money, .. } = &with_two_piles(engine).await;
    let (first, second) = (rotation(1, "R1"), Rotation { verifier: [77; 32], ..rotation(1, "R2") });
    assert_eq!(begin(money.as_ref(), &first, None).await, CommitOutcome::Applied);
    end(money.as_ref(), &first, RotationEnd::Taken).await;
    assert_eq!(begin(money.as_ref(), &second, None).await, CommitOutcome::Applied);
    for what in [RotationEnd::Taken, RotationEnd::Lapsed] {
        end(money.as_ref(), &first, what).await;
    }
    let late = commit([Write::RotationAccepted(PileNo(1), first.rotation_id.clone())]);
    assert_eq!(money.commit(late).await, CommitOutcome::Applied);
    assert_eq!(money.rotations().await.unwrap(), [second]);
    assert_eq!(verifiers(money.as_ref()).await, [first.verifier, pile(2, "P2").verifier]);
}
