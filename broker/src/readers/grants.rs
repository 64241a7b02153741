//! What an integration may read: stations and kinds of topics. Data only; what follows from it is in [`crate::acl`].

use std::collections::HashSet;

use domain::{StationId, wire::UpTopic};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `None`: every station, those to come too.
    stations: Option<HashSet<StationId>>,
    /// A bit for each topic, by its code.
    topics: u8,
}

impl Grants {
    /// May read these topics of the piles of these stations; `None`: of all stations.
    #[must_use]
    pub fn new(
        stations: Option<impl IntoIterator<Item = StationId>>,
        topics: impl IntoIterator<Item = UpTopic>,
    ) -> Self {
        Self {
            stations: stations.map(|stations| stations.into_iter().collect()),
            topics: topics.into_iter().fold(0, |bits, topic| bits | bit(topic)),
        }
    }

    /// Whether every station is granted.
    pub(crate) const fn has_every_station(&self) -> bool {
        self.stations.is_none()
    }

    pub(crate) fn has_station(&self, station: &str) -> bool {
        self.stations.as_ref().is_none_or(|stations| stations.contains(station))
    }

    pub(crate) const fn has_topic(&self, topic: UpTopic) -> bool {
        self.topics & bit(topic) != 0
    }
}

const fn bit(topic: UpTopic) -> u8 {
    1 << (topic.code() - 1)
}
