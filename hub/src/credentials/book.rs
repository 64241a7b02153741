//! The changes of secrets that are under way, in memory. Pure: it knows no clock, no store and no secret.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{CommandId, PileCode, PileNo, Timestamp};
use store::registry::{Rotation, RotationEnd};

/// A change under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) rotation: Rotation,
    pub(super) code: PileCode,
    /// It is over and that is not stored yet.
    pub(super) end: Option<RotationEnd>,
}

/// See the module. At most one change per pile.
#[derive(Debug, Default)]
pub(super) struct Book {
    running: HashMap<PileNo, Running>,
    ends: BTreeSet<(Timestamp, PileNo)>,
    over: HashSet<PileNo>,
    /// Whose next secret is to be pushed.
    pub(super) to_send: HashSet<PileNo>,
    /// Who came in with a token and has no secret yet; with the change once it was tried to store it.
    pub(super) to_enrol: HashMap<PileNo, Option<Rotation>>,
}

impl Book {
    /// Nothing is under way and nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.to_enrol.is_empty()
    }

    /// A change is stored; it takes the place of an earlier one.
    pub(super) fn enter(&mut self, code: PileCode, rotation: Rotation) {
        let pile_no = rotation.pile_no;
        self.forget(pile_no);
        self.ends.insert((rotation.until, pile_no));
        self.to_send.insert(pile_no);
        self.running.insert(pile_no, Running { rotation, code, end: None });
    }

    /// The end of a change is stored.
    pub(super) fn forget(&mut self, pile_no: PileNo) {
        if let Some(running) = self.running.remove(&pile_no) {
            self.ends.remove(&(running.rotation.until, pile_no));
        }
        self.over.remove(&pile_no);
        self.to_send.remove(&pile_no);
    }

    /// Whether a change of this pile's secret is under way, or its end is not stored yet.
    pub(super) fn has(&self, pile_no: PileNo) -> bool {
        self.running.contains_key(&pile_no)
    }

    /// Whether it is this one.
    pub(super) fn is_named(&self, pile_no: PileNo, id: &CommandId) -> bool {
        self.running.get(&pile_no).is_some_and(|running| running.rotation.rotation_id == *id)
    }

    /// Until when a change may take, if one is under way.
    pub(super) fn until(&self, pile_no: PileNo) -> Option<Timestamp> {
        self.running.get(&pile_no).map(|running| running.rotation.until)
    }

    /// A change that is not over.
    pub(super) fn running_mut(&mut self, pile_no: PileNo) -> Option<&mut Running> {
        self.running.get_mut(&pile_no).filter(|running| running.end.is_none())
    }

    /// What is to be pushed to a pile.
    pub(super) fn pushed_to(&self, pile_no: PileNo) -> Option<(PileCode, Rotation)> {
        let running = self.running.get(&pile_no).filter(|running| running.end.is_none())?;
        Some((running.code.clone(), running.rotation.clone()))
    }

    /// Whose time is over, and not decided yet.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<PileNo> {
        let later = self.ends.split_off(&(now.plus(domain::Millis(1)), PileNo(0)));
        std::mem::replace(&mut self.ends, later).into_iter().map(|(_, pile_no)| pile_no).collect()
    }

    /// A change is over; [`Self::forget`] it when that is stored.
    pub(super) fn end(&mut self, pile_no: PileNo, end: RotationEnd) {
        if let Some(running) = self.running_mut(pile_no) {
            running.end = Some(end);
            self.over.insert(pile_no);
        }
    }

    /// Changes that are over and not stored as such.
    pub(super) fn ending(&self) -> Vec<(Running, RotationEnd)> {
        let one = |no| self.running.get(no).and_then(|running| Some((running.clone(), running.end?)));
        self.over.iter().filter_map(one).collect()
    }

    /// Forgets the changes that the store does not have any more, and answers them.
    pub(super) fn without(&mut self, stored: &[Rotation]) -> Vec<Running> {
        let kept: HashSet<&CommandId> = stored.iter().map(|rotation| &rotation.rotation_id).collect();
        let gone = self.running.values().filter(|running| !kept.contains(&running.rotation.rotation_id));
        let gone: Vec<_> = gone.cloned().collect();
        gone.iter().for_each(|running| self.forget(running.rotation.pile_no));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    fn rotation(no: u32, id: &str, until: i64) -> Rotation {
        let rotation_id = CommandId::parse(id).unwrap();
        Rotation { pile_no: PileNo(no), rotation_id, verifier: [0; 32], until: at(until), accepted: false }
    }

    fn book(rotations: &[(u32, &str, i64)]) -> Book {
        let mut book = Book::default();
        for (no, id, until) in rotations {
            book.enter(PileCode::parse(&format!("P{no}")).unwrap(), rotation(*no, id, *until));
        }
        book
    }

    #[test]
    fn a_change_is_due_once_when_its_time_is_over() {
        let mut book = book(&[(1, "A", 100), (2, "B", 200), (7, "C", 100)]);
        assert_eq!(book.due(at(99)), []);
        assert_eq!(book.due(at(100)), [PileNo(1), PileNo(7)]);
        assert_eq!(book.due(at(150)), []);
        assert_eq!(book.due(at(999)), [PileNo(2)]);
    }

    #[test]
    fn the_first_end_stands_until_it_is_stored() {
        let mut book = book(&[(1, "A", 100)]);
        book.end(PileNo(1), RotationEnd::Taken);
        book.end(PileNo(1), RotationEnd::Lapsed);
        assert_eq!(book.ending().into_iter().map(|(_, end)| end).collect::<Vec<_>>(), [RotationEnd::Taken]);
        assert_eq!((book.pushed_to(PileNo(1)), book.has(PileNo(1))), (None, true));
        book.forget(PileNo(1));
        assert!(book.is_empty() && book.ending().is_empty() && book.due(at(999)).is_empty());
    }

    #[test]
    fn a_later_change_takes_the_place_of_the_earlier_one() {
        let mut book = book(&[(1, "A", 100), (1, "B", 200)]);
        assert!(book.is_named(PileNo(1), &CommandId::parse("B").unwrap()));
        assert_eq!(book.due(at(150)), []);
        assert_eq!(book.until(PileNo(1)), Some(at(200)));
    }

    #[test]
    fn what_the_store_does_not_have_is_forgotten() {
        let mut book = book(&[(1, "A", 100), (2, "B", 200)]);
        let gone = book.without(&[rotation(1, "A", 100), rotation(2, "C", 300)]);
        assert_eq!(gone.into_iter().map(|one| one.rotation.pile_no).collect::<Vec<_>>(), [PileNo(2)]);
        assert!(book.has(PileNo(1)) && !book.has(PileNo(2)));
    }
}
