//! What a dashboard sees of the fleet.

use actors::api::{Audience, FleetEvent, LinkState};
use domain::PileCode;

use super::Hub;
use crate::live::samples::{pile, station};

#[tokio::test]
async fn a_viewer_gets_the_fleet_and_again_when_something_changed() {
    let hub = Hub::with(|settings| settings.demo_speed = Some(20));
    hub.world.stations.lock().push(station("S1"));
    hub.world.piles.lock().push(pile("A1", "S1", "AVAILABLE"));
    let mut viewer = hub.viewer().await;
    let first = viewer.expect("fleet").await;
    assert_eq!((&first["demoSpeed"], &first["hb"]), (&20.into(), &15_000.into()));
    assert_eq!(first["d"]["numbers"]["pilesOnline"], 1);
    assert_eq!(first["d"]["stations"][0]["state"], "AVAILABLE");

    hub.world.piles.lock()[0].link = LinkState::Offline;
    hub.world.piles.lock()[0].state = "OFFLINE";
    hub.live.event(&FleetEvent {
        at: *hub.world.now.lock(),
        code: "PILE_OFFLINE",
        pile_code: PileCode::parse("A1").unwrap(),
        order_no: None,
        detail: String::new(),
    });
    let second = viewer.expect("fleet").await;
    assert_eq!(second["d"]["numbers"]["pilesOnline"], 0);
    assert_eq!(
        (&second["d"]["stations"][0]["state"], &second["d"]["stations"][0]["offline"]),
        (&"OFFLINE".into(), &1.into())
    );
    assert_eq!(second["d"]["events"][0]["code"], "PILE_OFFLINE");
}

#[tokio::test]
async fn a_later_viewer_sees_the_same_picture_at_once() {
    let hub = Hub::start();
    let mut first = hub.viewer().await;
    let picture = first.expect("fleet").await;
    assert_eq!(hub.viewer().await.expect("fleet").await, picture);
    first.say(r#"{"t":"resync"}"#).await;
    assert_eq!(first.expect("fleet").await, picture);
}
