//! Where each pile stands: inside the gate a frame has its pile's number only, and grants speak of stations.

use std::collections::HashMap;

use domain::{PileCode, PileNo, StationId};
use parking_lot::{RwLock, RwLockReadGuard};

use crate::limits::PILE_NO_MAX;

/// A pile's code and its station.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) code: PileCode,
    pub(crate) station: StationId,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    by_no: RwLock<Vec<Option<Place>>>,
    by_code: RwLock<HashMap<PileCode, StationId>>,
}

impl Fleet {
    /// Enters piles. One whose number is beyond the gate's table never connects and is left out.
    pub(crate) fn extend(&self, piles: impl IntoIterator<Item = (PileNo, PileCode, StationId)>) {
        let (mut by_no, mut by_code) = (self.by_no.write(), self.by_code.write());
        for (pile_no, code, station) in piles {
            if pile_no.0 > PILE_NO_MAX {
                continue;
            }
            if by_no.len() <= pile_no.index() {
                by_no.resize_with(pile_no.index() + 1, || None);
            }
            by_code.insert(code.clone(), station.clone());
            if let Some(place) = by_no.get_mut(pile_no.index()) {
                *place = Some(Place { code, station });
            }
        }
    }

    /// Where the pile of that code stands.
    pub(crate) fn station_of(&self, code: &str) -> Option<StationId> {
        self.by_code.read().get(code).cloned()
    }

    /// All places by number, to look many frames up under one lock.
    pub(crate) fn places(&self) -> RwLockReadGuard<'_, Vec<Option<Place>>> {
        self.by_no.read()
    }
}
