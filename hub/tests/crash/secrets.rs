//! The hub dies while a pile's secret is changed: whatever is left behind, the pile gets in, and in the end with the new
//! secret only.

use std::sync::Arc;

use serde_json::Value;

use crate::support::{Hub, charger::Charger, crash::Watched, token, world::Pile};

const REFUSED: u8 = 4;

fn world(point: &str) -> (Watched, Pile) {
    let hub = Hub::start();
    hub.make_station("S1");
    let pile = hub.make_pile("S1", "P1");
    (hub.armed(Some(point)), pile)
}

fn rotate(watched: &Watched) {
    watched.post_until(&token("admin", "root"), "/piles/P1/secret", "change", &Value::Null, 202);
}

fn pushed(hub: &Hub, pile: &Pile) -> Pile {
    let command = Charger::connect(hub, pile).command("setSecret");
    Pile { secret: command["secret"].as_str().unwrap().to_owned(), ..pile.clone() }
}

fn answers(hub: &Arc<Hub>, piles: [&Pile; 3]) -> [u8; 3] {
    piles.map(|pile| Charger::dial(hub, &pile.code, Some(&pile.secret)).1)
}

#[test]
fn a_change_that_was_stored_and_not_pushed_is_pushed_after_the_crash() {
    let (watched, old) = world("secret.begun");
    rotate(&watched);
    watched.wait_past(0);
    let hub = watched.hub();
    let new = pushed(&hub, &old);
    assert_eq!(answers(&hub, [&old, &new, &old]), [0, 0, REFUSED]);
}

#[test]
fn a_first_login_that_was_not_stored_leaves_both_secrets_good_until_the_next_one() {
    let (watched, old) = world("secret.used");
    rotate(&watched);
    let new = pushed(&watched.hub(), &old);
    assert_eq!(Charger::dial(&watched.hub(), &new.code, Some(&new.secret)).1, 0);
    watched.wait_past(0);
    assert_eq!(answers(&watched.hub(), [&old, &new, &old]), [0, 0, REFUSED]);
}
