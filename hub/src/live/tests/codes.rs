//! Every close code of CONTRACT 4.

use std::time::Duration;

use domain::{OrderNo, UserId};

use super::{Got, Hub};
use crate::live::SeatLimits;

#[tokio::test]
async fn a_ticket_that_was_used_closes_4401() {
    let hub = Hub::start();
    let ticket = hub.live.issue_ticket(&hub.order.order_no, &hub.order.user_id).unwrap();
    let path = format!("/ws/v1/track?ticket={ticket}");
    let mut first = hub.open(&path).await;
    first.expect("snap").await;
    assert_eq!(hub.open(&path).await.next().await, Got::Closed(4401));
    hub.progress(1, 1);
    first.expect("delta").await;
}

#[tokio::test]
async fn an_unknown_or_missing_ticket_closes_4401() {
    let hub = Hub::start();
    for path in [
        "/ws/v1/track?ticket=00000000000000000000000000000000",
        "/ws/v1/track?ticket=1001.0.00000000000000000000000000000000",
        "/ws/v1/track?ticket=",
        "/ws/v1/track",
        "/ws/v1/ops?ticket=x",
        "/ws/v1/ops",
    ] {
        assert_eq!(hub.open(path).await.next().await, Got::Closed(4401), "{path}");
    }
}

#[tokio::test]
async fn an_expired_ticket_closes_4401() {
    let hub = Hub::with(|settings| settings.ticket_ttl = Duration::ZERO);
    assert_eq!(hub.phone().await.next().await, Got::Closed(4401));
    assert_eq!(hub.viewer().await.next().await, Got::Closed(4401));
}

#[tokio::test]
async fn a_ticket_for_something_else_closes_4403() {
    let hub = Hub::start();
    let otto = UserId::parse("otto").unwrap();
    let ops = hub.live.issue_ops_ticket(&otto).unwrap();
    assert_eq!(hub.open(&format!("/ws/v1/track?ticket={ops}")).await.next().await, Got::Closed(4403));
    let track = hub.live.issue_ticket(&hub.order.order_no, &otto).unwrap();
    assert_eq!(hub.open(&format!("/ws/v1/ops?ticket={track}")).await.next().await, Got::Closed(4403));
    let gone = hub.live.issue_ticket(&OrderNo::parse("9999").unwrap(), &otto).unwrap();
    assert_eq!(hub.open(&format!("/ws/v1/track?ticket={gone}")).await.next().await, Got::Closed(4403));
}

#[tokio::test]
async fn a_store_that_is_away_closes_with_a_code_to_come_back_on() {
    let hub = Hub::start();
    *hub.world.store_is_away.lock() = true;
    assert_eq!(hub.phone().await.next().await, Got::Closed(1013));
}

#[tokio::test]
async fn too_many_sockets_on_an_order_of_an_owner_or_in_total_close_4429() {
    for seats in [
        SeatLimits { per_order_max: 2, ..SeatLimits::default() },
        SeatLimits { per_owner_max: 2, ..SeatLimits::default() },
        SeatLimits { total_max: 2, ..SeatLimits::default() },
    ] {
        let hub = Hub::with(|settings| settings.seats = seats);
        let (mut first, mut second) = (hub.phone().await, hub.phone().await);
        first.expect("snap").await;
        second.expect("snap").await;
        assert_eq!(hub.phone().await.next().await, Got::Closed(4429), "{seats:?}");
        first.0.close(None).await.unwrap();
        while first.next().await != Got::Lost {}
        while hub.live.sockets() > 1 {
            tokio::task::yield_now().await;
        }
        hub.phone().await.expect("snap").await;
    }
}

#[tokio::test]
async fn pings_are_numbered_and_a_phone_that_answers_stays() {
    let hub = Hub::with(|settings| settings.ping_every = Duration::from_millis(20));
    let mut phone = hub.phone().await;
    assert_eq!(phone.expect("snap").await["hb"], 20);
    for n in 1..=20 {
        assert_eq!(phone.expect("ping").await["n"], n);
        phone.say(&format!(r#"{{"t":"pong","n":{n}}}"#)).await;
    }
}

#[tokio::test]
async fn a_phone_that_leaves_three_pings_unanswered_closes_4408() {
    let hub = Hub::with(|settings| settings.ping_every = Duration::from_millis(20));
    for (mut line, first) in [(hub.phone().await, "snap"), (hub.viewer().await, "fleet")] {
        line.expect(first).await;
        let mut pings = 0;
        while let Got::Text(message) = line.next().await {
            pings += i32::from(message["t"] == "ping");
            // An answer to a ping that was not sent does not count.
            line.say(r#"{"t":"pong","n":1000000}"#).await;
        }
        assert_eq!(pings, 3);
    }
    let mut phone = hub.phone().await;
    let mut last = phone.next().await;
    while let Got::Text(_) = last {
        last = phone.next().await;
    }
    assert_eq!(last, Got::Closed(4408));
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_1009() {
    let hub = Hub::start();
    let mut phone = hub.phone().await;
    phone.expect("snap").await;
    phone.say(&"x".repeat(2000)).await;
    assert_eq!(phone.next().await, Got::Closed(1009));
}

#[tokio::test]
async fn a_flood_of_messages_closes_1008() {
    let hub = Hub::start();
    let mut phone = hub.phone().await;
    phone.expect("snap").await;
    for _ in 0..=100 {
        phone.say("{}").await;
    }
    assert_eq!(phone.next().await, Got::Closed(1008));
}

#[tokio::test]
async fn a_hub_that_goes_down_closes_1012_and_lets_nobody_in() {
    let hub = Hub::start();
    let (mut phone, mut viewer) = (hub.phone().await, hub.viewer().await);
    phone.expect("snap").await;
    viewer.expect("fleet").await;
    let (down, phone_got, viewer_got) = tokio::join!(hub.live.shutdown(), phone.next(), viewer.next());
    assert_eq!((down, phone_got, viewer_got), ((), Got::Closed(1012), Got::Closed(1012)));
    assert_eq!(hub.live.sockets(), 0);
    assert_eq!(hub.phone().await.next().await, Got::Closed(1012));
    assert_eq!(hub.viewer().await.next().await, Got::Closed(1012));
}
