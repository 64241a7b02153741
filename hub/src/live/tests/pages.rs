//! The built-in pages, and what the ticket in a driver's link opens.

use settlement::order::OrderStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Got, Hub, PATIENCE};

#[tokio::test]
async fn the_link_of_a_page_opens_its_sockets_any_number_of_times_and_after_a_restart() {
    let mut hub = Hub::start();
    let now = *hub.world.now.lock();
    let link = hub.live.page_link(&hub.order.order_no, &hub.order.user_id, now);
    let path = format!("/ws/v1/track?ticket={}", link.strip_prefix("/t/").unwrap());
    for _ in 0..3 {
        hub.open(&path).await.expect("snap").await;
    }
    let restarted = Hub::start();
    restarted.open(&path).await.expect("snap").await;
    let other_key = Hub::with(|settings| settings.jwt_key = b"another key of 32 bytes, at least".to_vec());
    assert_eq!(other_key.open(&path).await.next().await, Got::Closed(4401));
    hub.change(|o| {
        o.status = OrderStatus::Closed;
        o.ended_at = Some(now);
    });
    hub.open(&path).await.expect("snap").await;
    *hub.world.now.lock() = now.plus(domain::Millis::from_secs(24 * 3600));
    assert_eq!(hub.open(&path).await.next().await, Got::Closed(4401));
}

/// Status line and everything after it.
async fn http(hub: &Hub, method: &str, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(hub.address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn the_pages_allow_nothing_but_their_own_script_and_style() {
    let hub = Hub::start();
    let link = hub.live.page_link(&hub.order.order_no, &hub.order.user_id, *hub.world.now.lock());
    for (path, status) in [("/", 200), (&*link, 200), ("/t/nothing", 404)] {
        let (got, page) = http(&hub, "GET", path).await;
        assert_eq!(got, status, "{path}");
        let nonce = page.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert_eq!(nonce.len(), 32);
        assert!(page.contains("content-security-policy: default-src 'none'"));
        assert!(page.contains("referrer-policy: no-referrer"));
        let body = page.split("\r\n\r\n").nth(1).unwrap();
        assert!(
            body.contains(&format!("<script nonce=\"{nonce}\">"))
                && body.contains(&format!("<style nonce=\"{nonce}\">"))
        );
        assert!(!body.contains("{{") && !body.contains(" style=") && !body.contains(" onclick="), "{path}");
        assert!(!body.contains("src=\"http") && !body.contains("url("), "nothing comes from outside");
    }
    let (first, second) = (http(&hub, "GET", "/").await.1, http(&hub, "GET", "/").await.1);
    assert_ne!(first, second, "a nonce is used once");
}

#[tokio::test]
async fn the_page_stops_the_charge_of_its_own_ticket_and_of_no_other() {
    let hub = Hub::start();
    let link = hub.live.page_link(&hub.order.order_no, &hub.order.user_id, *hub.world.now.lock());
    assert_eq!(http(&hub, "POST", &format!("{link}/stop")).await.0, 202);
    assert_eq!(http(&hub, "POST", &format!("{link}/stop")).await.0, 202);
    assert_eq!(http(&hub, "POST", &format!("{link}0/stop")).await.0, 404);
    let one_use = hub.live.issue_ticket(&hub.order.order_no, &hub.order.user_id).unwrap();
    assert_eq!(http(&hub, "POST", &format!("/t/{one_use}/stop")).await.0, 404);
    assert_eq!(*hub.world.stopped.lock(), vec![hub.order.order_no.clone(); 2]);
}
