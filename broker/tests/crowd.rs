//! More connections than a process has sockets: in memory, and in simulated time.
#![allow(clippy::unwrap_used, reason = "test code: what is not expected fails the test")]

mod common;

use std::time::Duration;

use broker::{GateConfig, GateLimits, RouterKind};
use common::{Hub, Told, admit, connect_packet, heartbeat, secret};
use domain::{PileNo, wire::DownTopic};
use tokio::time::{Instant, sleep};

const PILES: u32 = 100_000;

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_connections_are_served_and_those_that_fall_silent_are_closed_in_time() {
    let limits = GateLimits {
        sockets_per_address_max: 0,
        connects_per_address_per_min_max: 0,
        admissions_per_s_max: 0,
        ..GateLimits::default()
    };
    let all = usize::try_from(PILES).unwrap();
    let router = RouterKind::Loopback;
    let hub = Hub::without_listener(GateConfig { connections_max: all, limits, router, ..GateConfig::default() });
    (10..PILES).for_each(|no| admit(&hub.identities, no));
    let mut piles = Vec::with_capacity(all);
    for no in 1..PILES {
        let code = format!("P{no}");
        let mut connect = connect_packet(&code, &code, &secret(&code));
        connect.keep_alive = 60;
        let mut charger = hub.plug(256);
        assert_eq!(charger.login_with(connect).await, 0);
        assert_eq!(charger.subscribe(&[(format!("pile/{code}/command"), 1)]).await, [1]);
        piles.push((no, charger));
    }
    assert_eq!(hub.gate.connections(), all - 1);
    // Every thousandth goes on talking and is sent to; the others fall silent.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        for (no, charger) in piles.iter_mut().step_by(1_000) {
            let body = bytes::Bytes::from_static(b"{}");
            hub.gate.outbound().send(PileNo(*no), DownTopic::Command, body, false).unwrap();
            assert_eq!(charger.message().await.0, format!("pile/P{no}/command"));
            charger.publish(&format!("pile/P{no}/heartbeat"), 1, 1, heartbeat(1)).await;
            assert_eq!(charger.puback().await, 1);
        }
        sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(hub.gate.connections(), all / 1_000);
    let told = hub.store.told();
    let silent = told.iter().filter(|told| matches!(told, Told::Down { cause: "keep_alive", .. })).count();
    assert_eq!(silent, all - 1 - all / 1_000);
}
