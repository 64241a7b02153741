//! What goes wrong in the demo: guns that break and are mended, a station whose network is gone for a while.

use std::time::Duration;

use domain::{ConnectorId, Millis};

use super::World;
use crate::{pile::Event, rng::Rng};

/// Codes that operators know: insulation, over-temperature, gun lock, over-voltage.
const FAULTS: [&str; 4] = ["E106", "E113", "E205", "E301"];

/// Breaks a gun now and then, mends it later. Spares the first station, where the well-known driver charges.
pub(super) async fn faults(world: World) {
    let mut rng = Rng::for_part(world.seed, "faults");
    loop {
        if !world.sleep(seconds(&mut rng, 20, 50)).await {
            return;
        }
        let Some(pile) = world.piles.get(rng.index(world.piles.len())).filter(|pile| pile.installed.station > 0) else {
            continue;
        };
        let connector = ConnectorId(1);
        let code = FAULTS.get(rng.index(FAULTS.len())).copied().unwrap_or("E106").to_owned();
        pile.handle.tell(Event::Fault { connector, code }).await;
        let away = world.sleep(seconds(&mut rng, 15, 45)).await;
        pile.handle.tell(Event::ClearFault { connector }).await;
        if !away {
            return;
        }
    }
}

/// Cuts a whole station off for twenty minutes of the world's time; it fills in afterwards what it metered.
pub(super) async fn dark_station(world: World) {
    let mut rng = Rng::for_part(world.seed, "dark station");
    let stations = world.piles.iter().map(|pile| pile.installed.station).max().unwrap_or(0);
    let mut wait = seconds(&mut rng, 40, 60);
    while world.sleep(wait).await {
        wait = seconds(&mut rng, 180, 300);
        let dark = rng.range(1, i64::try_from(stations).unwrap_or(1).max(1));
        let until = world.pace.now().plus(Millis::from_secs(20 * 60));
        for pile in world.piles.iter().filter(|pile| i64::try_from(pile.installed.station) == Ok(dark)) {
            pile.handle.tell(Event::GoDark { until }).await;
        }
    }
}

fn seconds(rng: &mut Rng, low: i64, high: i64) -> Duration {
    Duration::from_secs(u64::try_from(rng.range(low, high)).unwrap_or(0))
}
