//! What happens at each limit of a pile, of an address and of all strangers: nobody beside it is disturbed.
#![allow(clippy::unwrap_used, reason = "test code: what is not expected fails the test")]

mod common;

use std::time::Duration;

use broker::{Attempt, GateConfig, GateLimits};
use common::{Charger, Hub, Told, admit, encode, heartbeat, publish_packet, secret};
use rumqttc::Packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn with(change: impl FnOnce(&mut GateLimits)) -> Hub {
    let mut config = GateConfig::default();
    change(&mut config.limits);
    Hub::with(config).await
}

async fn guess(hub: &Hub, code: &str) -> u8 {
    hub.dial().await.login(code, "a guess").await
}

#[tokio::test]
async fn guesses_at_one_pile_are_not_listened_to_for_a_while_and_never_touch_its_connection() {
    let hub = with(|limits| limits.failures_per_pile_max = 5).await;
    let mut attempts = hub.gate.attempts().unwrap();
    let mut live = hub.connect("P1").await;
    for n in 1..=5 {
        assert_eq!(guess(&hub, "P1").await, 4, "guess {n}");
    }
    for n in 6..=1_000 {
        let code = guess(&hub, "P1").await;
        assert!(code == 5 || code == 4, "guess {n}: once per ban one is looked at");
    }
    live.ping().await;
    assert_eq!(hub.store.told(), [Told::Up { pile_no: 1, epoch: 1 }]);
    let ban = attempts.recv().await.unwrap();
    assert!(matches!(ban, Attempt::Banned { whole_address: false, guesses: 5, .. }), "{ban:?}");
    assert_eq!(guess(&hub, "P2").await, 4, "another pile is listened to");
    hub.connect("P2").await;
}

#[tokio::test]
async fn guesses_at_many_piles_ban_their_address_but_not_the_piles_that_live_there() {
    let hub = with(|limits| limits.failures_per_address_max = 30).await;
    let mut live = hub.connect("P1").await;
    for n in 0..30 {
        assert_eq!(guess(&hub, &format!("X{n}")).await, 4);
    }
    assert_eq!(guess(&hub, "X9").await, 5, "guessed at before");
    assert_eq!(hub.dial().await.login("P2", &secret("P2")).await, 0, "nobody guessed at it");
    live.ping().await;
    let mut back = hub.connect("P1").await;
    back.ping().await;
}

#[tokio::test]
async fn a_pile_that_comes_again_and_again_is_held_down_and_its_session_kept() {
    let hub = with(|limits| limits.connects_per_pile_per_min_max = 1).await;
    let mut attempts = hub.gate.attempts().unwrap();
    let mut last = None;
    for _ in 0..10 {
        last = Some(hub.subscribed("P1").await);
    }
    assert_eq!(hub.dial().await.login("P1", &secret("P1")).await, 3);
    last.unwrap().ping().await;
    hub.connect("P2").await;
    assert!(attempts.try_recv().is_err(), "ten times is not yet worth an alarm");
}

#[tokio::test]
async fn a_pile_that_flaps_is_flagged_once() {
    let hub = with(|_| ()).await;
    let mut attempts = hub.gate.attempts().unwrap();
    for _ in 0..100 {
        hub.connect("P1").await;
    }
    let flag = attempts.recv().await.unwrap();
    assert!(matches!(flag, Attempt::Flapping { .. }), "{flag:?}");
    assert!(attempts.try_recv().is_err());
}

#[tokio::test]
async fn beyond_what_can_be_served_at_once_piles_are_sent_away_and_come_again() {
    let hub = with(|limits| limits.admissions_per_s_max = 20).await;
    let mut attempts = hub.gate.attempts().unwrap();
    (10..=300).for_each(|no| admit(&hub.identities, no));
    let (mut in_at_once, mut later) = (0, Vec::new());
    for no in 10..=300 {
        let code = format!("P{no}");
        match hub.dial().await.login(&code, &secret(&code)).await {
            0 => in_at_once += 1,
            3 => later.push(code),
            other => panic!("{code} got {other}"),
        }
    }
    assert!(in_at_once >= 60 && later.len() > 100, "{in_at_once} at once");
    // Whoever comes again is let in when its turn has come.
    let code = later.pop().unwrap();
    while hub.dial().await.login(&code, &secret(&code)).await == 3 {}
    let told = attempts.recv().await.unwrap();
    assert!(matches!(told, Attempt::Storm { .. }), "{told:?}");
    assert!(attempts.try_recv().is_err(), "one storm is one row");
}

#[tokio::test]
async fn wrong_guesses_take_no_place_among_those_who_are_let_in() {
    let hub = with(|limits| {
        limits.admissions_per_s_max = 1;
        limits.failures_per_pile_max = 0;
        limits.failures_per_address_max = 0;
    })
    .await;
    for _ in 0..100 {
        assert_eq!(guess(&hub, "P1").await, 4);
    }
    hub.connect("P1").await;
}

#[tokio::test]
async fn sockets_of_one_address_are_bounded() {
    let hub = with(|limits| limits.sockets_per_address_max = 5).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(hub.dial().await);
    }
    held.first_mut().unwrap().login("P1", &secret("P1")).await;
    for _ in 0..100 {
        hub.dial().await.closed().await;
    }
    held.pop();
    // The gate hears of the free place a moment later.
    while hub.dial().await.stream.write_all(&encode(&Packet::PingReq)).await.is_err() {}
    let mut first = held.remove(0);
    first.ping().await;
}

#[tokio::test]
async fn strangers_of_one_address_are_bounded_and_leave_room_for_those_who_say_who_they_are() {
    let mut config = GateConfig { strangers_max: 40, ..GateConfig::default() };
    config.limits.frames_surplus_per_s_max = 0;
    let hub = Hub::with(config).await;
    let mut known = Vec::new();
    for no in 1..=9 {
        known.push(hub.connect(&format!("P{no}")).await);
    }
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(hub.dial().await);
    }
    for _ in 0..100 {
        hub.dial().await.closed().await;
    }
    let mut elsewhere = hub.plug_from([10, 0, 0, 2]);
    assert_eq!(elsewhere.login("P1", &secret("P1")).await, 0, "another address has a share of its own");
    drop(silent);
    while hub.gate.connections() > 9 {
        tokio::task::yield_now().await;
    }
    hub.connect("P2").await;
}

#[tokio::test]
async fn whatever_a_pile_sends_counts_against_its_share() {
    let hub = with(|limits| {
        limits.frames_per_pile_per_s_max = 10;
        limits.frames_surplus_per_s_max = 0;
    })
    .await;
    let mut pinging = hub.connect("P1").await;
    let began = tokio::time::Instant::now();
    // A hundred at once are its own; each one more takes a tenth of a second.
    for _ in 0..110 {
        pinging.ping().await;
    }
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_pile_that_sends_too_much_waits_and_loses_nothing_and_others_do_not_wait() {
    let hub = with(|limits| {
        limits.frames_per_pile_per_s_max = 20;
        limits.frames_surplus_per_s_max = 0;
    })
    .await;
    let mut flood = hub.connect("P1").await;
    let frames: Vec<u8> = (1..=250_u16)
        .flat_map(|n| encode(&publish_packet("pile/P1/heartbeat", 1, n, heartbeat(n.into()))).to_vec())
        .collect();
    flood.send_bytes(&frames).await;
    let mut honest = hub.connect("P2").await;
    for n in 1..=50 {
        honest.publish("pile/P2/heartbeat", 1, n, heartbeat(n.into())).await;
        assert_eq!(honest.puback().await, n);
    }
    // What one read had brought is taken; the next one waits for its turn.
    flood.publish("pile/P1/heartbeat", 1, 251, heartbeat(251)).await;
    for n in 1..=251 {
        assert_eq!(flood.puback().await, n);
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_pile_is_kept_over_time() {
    let hub = Hub::simulated();
    let mut flood = hub.plug(4 * 1024);
    assert_eq!(flood.login("P1", &secret("P1")).await, 0);
    let since = tokio::time::Instant::now();
    let (mut reader, mut writer) = tokio::io::split(flood.stream);
    let reading = tokio::spawn(async move { reader.read_to_end(&mut Vec::new()).await });
    let total = 100_000_u64;
    for n in 1..=total {
        let frame = encode(&publish_packet("pile/P1/heartbeat", 0, 0, heartbeat(n)));
        writer.write_all(&frame).await.unwrap();
    }
    let took = since.elapsed();
    // 1,000 of its own and 50,000 shared ones at once, then 5,100 a second.
    let expected = Duration::from_millis((total - 51_000) * 1_000 / 5_100);
    assert!(took > expected.mul_f64(0.8) && took < expected.mul_f64(1.3), "{took:?}, expected {expected:?}");
    drop(writer);
    reading.abort();
    let all = |told: &[Told]| told.iter().filter(|told| matches!(told, Told::Frame { .. })).count() == 100_000;
    hub.store.until(all).await;
}

#[tokio::test]
async fn packets_that_never_end_take_no_more_memory_than_is_allowed() {
    let hub = with(|limits| limits.inbound_bytes_max = 100 * 1024).await;
    (10..=60).for_each(|no| admit(&hub.identities, no));
    let mut held: Vec<Charger<_>> = Vec::new();
    let half = |code: &str| {
        let whole = encode(&publish_packet(&format!("pile/{code}/event"), 1, 1, vec![b' '; 16_000]));
        whole[..whole.len() - 1].to_vec()
    };
    for no in 10..=60 {
        let code = format!("P{no}");
        let mut charger = hub.connect(&code).await;
        charger.send_bytes(&half(&code)).await;
        held.push(charger);
    }
    let memory = |told: &Told| matches!(told, Told::Down { cause: "memory", .. });
    let told = hub.store.until(|told| told.iter().filter(|told| memory(told)).count() >= 44).await;
    assert!(told.iter().filter(|told| memory(told)).count() < 51, "some are borne");
    let mut honest = hub.connect("P1").await;
    honest.publish("pile/P1/heartbeat", 1, 1, heartbeat(1)).await;
    assert_eq!(honest.puback().await, 1);
}

#[tokio::test]
async fn a_retained_frame_is_quarantined_with_its_reason_and_acknowledged() {
    let hub = Hub::start().await;
    let mut charger = hub.connect("P1").await;
    let Packet::Publish(mut publish) = publish_packet("pile/P1/heartbeat", 1, 9, heartbeat(1)) else {
        panic!("a publish is one")
    };
    publish.retain = true;
    charger.send(&Packet::Publish(publish)).await;
    assert_eq!(charger.puback().await, 9);
    let bad = |told: &Told| matches!(told, Told::Bad { reason: domain::wire::Reason::Retained, .. });
    hub.store.until(|told| told.iter().any(bad)).await;
}

#[tokio::test]
async fn two_devices_with_one_identity_are_told_as_clones() {
    let hub = Hub::start().await;
    let mut attempts = hub.gate.attempts().unwrap();
    let mut alive = Vec::new();
    for from in [1, 2, 1] {
        let mut charger = hub.plug_from([10, 0, 0, from]);
        assert_eq!(charger.login("P1", &secret("P1")).await, 0);
        alive.push(charger);
    }
    let told = attempts.recv().await.unwrap();
    let Attempt::Clone { pile, first, second } = told else { panic!("{told:?}") };
    let ips = [first, second].map(|address| address.ip().to_string());
    assert_eq!((pile.as_str(), ips), ("P1", ["10.0.0.2".to_owned(), "10.0.0.1".to_owned()]));
}
