//! Payments end to end: the real binary against channels that sign, forge, repeat, lose and refuse.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests fail loudly")]

mod support;

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use loadtest::{
    pay::{Callback, Channel, RefundMode, Signer, Telling, hostile},
    rng::Rng,
};
use serde_json::{Value, json};
use support::{
    pay::{World, refund_no},
    token,
    wait::until,
};

const BOTH: [Channel; 2] = [Channel::Wechat, Channel::Alipay];
/// Callbacks that must not be taken.
const HOSTILE: usize = 10_000;

#[test]
fn both_channels_credit_what_was_paid_once_and_answer_in_their_own_form() {
    let world = World::new();
    for (channel, answer) in BOTH.into_iter().zip([r#"{"code":"SUCCESS"}"#, "success"]) {
        let before = world.available("anna");
        let no = world.ask("anna", channel, 5_001);
        assert_eq!(world.payment(&no)["state"], "PENDING");
        let telling = world.telling(&no);
        for _ in 0..3 {
            assert_eq!(world.tell(&telling), (200, answer.to_owned()));
        }
        assert_eq!(world.available("anna"), before + 5_001);
        let payment = world.hub.get(&token("driver", "anna"), &format!("/payments/{no}")).expect(200);
        assert_eq!((&payment["state"], &payment["transactionId"]), (&json!("SUCCESS"), &json!(telling.transaction_id)));
        world.hub.get(&token("driver", "bert"), &format!("/payments/{no}")).refused(404, "PAYMENT_NOT_FOUND");
        let listed = world.hub.get(&token("service", "sam"), "/payments?user=anna").expect(200);
        assert!(listed["items"].as_array().unwrap().iter().any(|item| item["paymentNo"] == no.as_str()));
    }
    let rotated = world.ask("anna", Channel::Wechat, 100);
    let telling = Telling { signer: Signer::Next, ..world.telling(&rotated) };
    assert_eq!(world.tell(&telling).0, 200, "a key that is pinned beside the other one signs too");
    assert_eq!(
        world.hub.get(&token("finance", "fiona"), "/payments").expect(200)["items"].as_array().unwrap().len(),
        3
    );
    world.is_sound();
}

#[test]
fn ten_true_copies_at_once_credit_once() {
    let world = World::new();
    for (n, channel) in BOTH.into_iter().enumerate() {
        let no = world.ask("anna", channel, 700);
        let telling = world.telling(&no);
        let copies: Vec<Callback> = (0..10).map(|_| world.sim.callback(&telling).unwrap()).collect();
        let sent = stream::iter(copies).map(|copy| {
            let sim = world.sim.clone();
            async move { sim.send(&copy).await.unwrap().0 }
        });
        let statuses: Vec<u16> = world.runtime.block_on(sent.buffer_unordered(10).collect());
        assert_eq!(statuses, [200; 10]);
        assert_eq!(world.available("anna"), 700 * i64::try_from(n + 1).unwrap());
    }
    world.is_sound();
}

#[test]
fn of_ten_thousand_hostile_callbacks_none_is_taken() {
    let seed = std::env::var("PILEHUB_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121);
    let world = World::with(&[("limits.http_requests_per_address_per_s_max", "0"), ("payment.expires_s", "86400")]);
    let mut rng = Rng::new(seed);
    let mut taken = Vec::new();
    for channel in BOTH {
        let callback = world.sim.callback(&world.telling(&world.ask("old", channel, 900))).unwrap();
        assert_eq!(world.send(&callback).0, 200);
        taken.push(callback);
    }
    taken.truncate(1);
    // Nobody has paid these; what the hub hears of them must not change that.
    world.sim.behave(|behaviour| behaviour.queries_lost = true);
    let waiting: Vec<Telling> = (0..20).map(|n| world.telling(&world.ask("mallory", BOTH[n % 2], 10_000))).collect();
    let spoilt = (0..HOSTILE).map(|_| {
        let telling = &waiting[rng.index(waiting.len())];
        hostile::spoil(&world.sim, &mut rng, telling, &taken).unwrap()
    });
    let sent = stream::iter(spoilt.collect::<Vec<_>>()).map(|(kind, callback)| {
        let sim = world.sim.clone();
        async move { (kind, sim.send(&callback).await.unwrap()) }
    });
    let answers: Vec<_> = world.runtime.block_on(sent.buffer_unordered(16).collect());
    let mut kinds = BTreeMap::new();
    for (kind, (status, body)) in &answers {
        assert!((400..500).contains(status), "seed {seed}: {kind:?} was answered {status} {body}");
        *kinds.entry(*kind).or_insert(0_usize) += 1;
    }
    assert_eq!((answers.len(), kinds.len()), (HOSTILE, hostile::ALL.len()), "seed {seed}: {kinds:?}");
    assert_eq!(world.available("mallory"), 0, "seed {seed}");
    assert_eq!(world.available("old"), 1_800, "seed {seed}");
    assert_eq!(world.suspense(), Vec::<Value>::new(), "seed {seed}");
    for telling in &waiting {
        assert_eq!(world.payment(&telling.out_trade_no)["state"], "PENDING", "seed {seed}");
        assert_eq!(world.tell(telling).0, 200, "seed {seed}: the true one is still taken");
    }
    assert_eq!(world.available("mallory"), 200_000);
    let metrics = world.hub.call("GET", "/metrics", &[], b"").text();
    for reason in ["bad_signature", "stale", "replayed", "unknown_key", "unsigned", "wrong_amount", "wrong_merchant"] {
        assert!(metrics.contains(&format!("outcome=\"{reason}\"")), "{reason} is counted");
    }
    world.is_sound();
}

#[test]
fn a_payment_whose_callback_is_lost_is_found_by_asking_even_after_a_crash() {
    let mut world = World::new();
    let numbers = BOTH.map(|channel| world.ask("anna", channel, 1_200));
    for no in &numbers {
        world.sim.pay(no).unwrap();
    }
    world.hub = world.hub.kill_and_restart();
    until("both payments are credited", || (world.available("anna") == 2_400).then_some(()));
    for no in &numbers {
        assert_eq!(world.payment(no)["state"], "SUCCESS");
    }
    world.is_sound();
}

#[test]
fn what_is_not_paid_in_time_is_closed_and_money_that_comes_later_still_counts() {
    let world = World::with(&[("payment.expires_s", "10")]);
    let no = world.ask("anna", Channel::Wechat, 300);
    until("the payment is closed", || (world.payment(&no)["state"] == "CLOSED").then_some(()));
    let telling = world.telling(&no);
    assert_eq!(world.tell(&telling).0, 200);
    assert_eq!((world.available("anna"), &world.payment(&no)["state"]), (300, &json!("SUCCESS")));
    let late = Telling { state: "CLOSED".to_owned(), ..telling };
    assert_eq!(world.tell(&late).0, 200, "words that come in another order than they were said");
    assert_eq!((world.available("anna"), &world.payment(&no)["state"]), (300, &json!("SUCCESS")));
    let failed = world.ask("anna", Channel::Wechat, 400);
    let telling = world.telling(&failed);
    assert_eq!(world.tell(&Telling { state: "PAYERROR".to_owned(), ..telling.clone() }).0, 200);
    assert_eq!(world.payment(&failed)["state"], "FAILED");
    assert_eq!(world.tell(&telling).0, 200);
    assert_eq!((world.available("anna"), &world.payment(&failed)["state"]), (700, &json!("SUCCESS")));
    world.is_sound();
}

#[test]
fn a_large_sum_is_credited_only_when_the_channel_says_so_again() {
    let world = World::with(&[("payment.confirm_over_fen", "1000")]);
    for channel in BOTH {
        let before = world.available("anna");
        let no = world.ask("anna", channel, 1_001);
        let telling = world.telling(&no);
        world.sim.behave(|behaviour| behaviour.misprice = 1);
        assert_eq!(world.tell(&telling).0, 422);
        assert_eq!(world.available("anna"), before);
        world.sim.behave(|behaviour| behaviour.misprice = 0);
        assert_eq!(world.tell(&telling).0, 200);
        assert_eq!(world.available("anna"), before + 1_001);
    }
    let audit = world.hub.get(&token("auditor", "ada"), "/audit").expect(200);
    assert!(audit["items"].as_array().unwrap().iter().any(|row| row["action"] == "PAYMENT_WORD_REFUSED"), "{audit}");
    world.is_sound();
}

#[test]
fn money_that_comes_twice_for_one_payment_goes_back_by_itself() {
    let world = World::new();
    for channel in BOTH {
        let before = world.available("anna");
        let no = world.paid("anna", channel, 800);
        let second = world.sim.pay_again(&no).unwrap();
        let telling = world.sim.telling(&no, &second).unwrap();
        assert_eq!(world.tell(&telling).0, 200);
        assert_eq!(world.tell(&telling).0, 200, "told twice, it is one second payment");
        let item = until("the second payment is back", || {
            world
                .suspense()
                .into_iter()
                .find(|item| item["transactionId"] == second.as_str() && item["state"] == "RESOLVED")
        });
        assert_eq!((&item["cause"], &item["amountFen"]), (&json!("DUPLICATE_PAYMENT"), &json!(800)));
        let back: Vec<_> = world.sim.refunds().into_iter().filter(|row| row.transaction_id == second).collect();
        assert_eq!(back.iter().map(|row| row.fen).collect::<Vec<_>>(), [800]);
        assert_eq!(world.available("anna"), before + 800);
        assert_eq!(world.payment(&no)["refundedFen"], 0);
    }
    world.is_sound();
}

#[test]
fn money_nobody_asked_for_goes_where_two_persons_say() {
    let world = World::new();
    let (fiona, frank) = (token("finance", "fiona"), token("finance", "frank"));
    let stray = |no: &str| {
        let transaction = world.sim.stray(Channel::Wechat, no, 650);
        let telling = world.sim.telling(no, &transaction).unwrap();
        assert_eq!(world.tell(&telling).0, 200);
        assert_eq!(world.tell(&telling).0, 200);
        let item = world.suspense().into_iter().find(|item| item["paymentNo"] == no).unwrap();
        assert_eq!(
            (&item["state"], &item["cause"], &item["ageDays"]),
            (&json!("OPEN"), &json!("UNKNOWN_PAYMENT"), &json!(0))
        );
        (item["suspenseId"].as_str().unwrap().to_owned(), transaction)
    };
    let (to_anna, _) = stray("STRAY1");
    let (to_channel, transaction) = stray("STRAY2");
    assert_eq!(world.suspense().len(), 2);
    world.is_sound();
    let path = |item: &str, call: &str| format!("/suspense/{item}/{call}");
    let anna = json!({"to": "driver", "sub": "anna", "reason": "她的转账截图"});
    world.hub.post(&fiona, &path(&to_anna, "approve"), &Value::Null).refused(409, "ILLEGAL_STATE");
    world
        .hub
        .post(&fiona, &path(&to_anna, "resolve"), &json!({"to": "driver", "reason": "x"}))
        .refused(422, "VALIDATION");
    world.hub.post(&fiona, &path("none", "resolve"), &anna).refused(404, "SUSPENSE_NOT_FOUND");
    world.hub.post(&fiona, &path(&to_anna, "resolve"), &anna).expect(200);
    world.hub.post(&fiona, &path(&to_anna, "approve"), &Value::Null).refused(403, "FORBIDDEN");
    assert_eq!(world.available("anna"), 0);
    world.hub.post(&frank, &path(&to_anna, "approve"), &Value::Null).expect(200);
    until("anna has it", || (world.available("anna") == 650).then_some(()));
    world.hub.post(&fiona, &path(&to_channel, "resolve"), &json!({"to": "channel", "reason": "无主"})).expect(200);
    world.hub.post(&token("admin", "root"), &path(&to_channel, "approve"), &Value::Null).expect(200);
    until("all is resolved", || world.suspense().iter().all(|item| item["state"] == "RESOLVED").then_some(()));
    let back: Vec<_> = world.sim.refunds().into_iter().map(|row| (row.transaction_id, row.fen)).collect();
    assert_eq!(back, [(transaction, 650)]);
    world.is_sound();
}

#[test]
fn unused_money_goes_back_in_parts_and_never_more_than_was_paid_or_is_left() {
    let world = World::new();
    for channel in BOTH {
        let no = world.paid("anna", channel, 1_000);
        let path = format!("/payments/{no}/refunds");
        let ask = json!({"amountFen": 400, "reason": "unused", "to": "channel"});
        let first = world.hub.post_once(&token("driver", "anna"), &path, &format!("k-{no}"), &ask);
        let again = world.hub.post_once(&token("driver", "anna"), &path, &format!("k-{no}"), &ask);
        assert_eq!((first.status, &first.body), (201, &again.body), "{}", first.text());
        let done = world.until_refund(&refund_no(&first.json()), "SUCCESS");
        assert_eq!((&done["amountFen"], &done["userId"]), (&json!(400), &json!("anna")));
        assert_eq!((world.available("anna"), &world.payment(&no)["refundedFen"]), (600, &json!(400)));
        world.refund("anna", "driver", &no, 601).refused(422, "VALIDATION");
        world.refund("bert", "driver", &no, 1).refused(404, "PAYMENT_NOT_FOUND");
        world.refund("sam", "service", &no, 1).refused(403, "FORBIDDEN");
        let rest = world.refund("fiona", "finance", &no, 600).expect(201);
        world.until_refund(&refund_no(&rest), "SUCCESS");
        world.refund("anna", "driver", &no, 1).refused(422, "VALIDATION");
        assert_eq!(world.available("anna"), 0);
        let listed = world.hub.get(&token("service", "sam"), &format!("/refunds?payment={no}")).expect(200);
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    }
    let unpaid = world.ask("anna", Channel::Wechat, 100);
    world.refund("anna", "driver", &unpaid, 1).refused(409, "ILLEGAL_STATE");
    let sums: Vec<i64> = world.sim.refunds().iter().map(|row| row.fen).collect();
    assert_eq!(sums.iter().sum::<i64>(), 2_000);
    world.is_sound();
}

#[test]
fn a_refund_that_the_channel_refuses_waits_for_a_person_who_did_not_ask_for_it() {
    let world = World::with(&[("payment.refund_tries_max", "2"), ("payment.refund_retry_s", "1")]);
    let (fiona, frank) = (token("finance", "fiona"), token("finance", "frank"));
    for (channel, outcome, available) in [(Channel::Wechat, "back", 500), (Channel::Alipay, "paid", 500)] {
        let no = world.paid("anna", channel, 500);
        world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Refuse);
        let made = refund_no(&world.refund("fiona", "finance", &no, 500).expect(201));
        let manual = world.until_refund(&made, "MANUAL");
        assert_eq!(manual["tries"], 2, "{manual}");
        let path = format!("/refunds/{made}/resolve");
        let decision = json!({"outcome": outcome, "reason": "查过银行流水"});
        world.hub.post(&fiona, &path, &decision).refused(403, "FORBIDDEN");
        world.hub.post(&frank, &path, &decision).expect(200);
        world.hub.post(&frank, &path, &decision).refused(409, "ILLEGAL_STATE");
        assert_eq!(world.available("anna"), available, "{outcome}");
        let refunded = if outcome == "paid" { 500 } else { 0 };
        assert_eq!(world.payment(&no)["refundedFen"], refunded);
        world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Succeed);
    }
    world.is_sound();
}

#[test]
fn a_refund_whose_answer_is_lost_is_asked_about_and_never_paid_twice() {
    let mut world = World::new();
    for channel in BOTH {
        for mode in [RefundMode::LoseAnswer, RefundMode::LoseCall] {
            let no = world.paid("anna", channel, 250);
            world.sim.behave(|behaviour| behaviour.refunds = mode);
            let made = refund_no(&world.refund("anna", "driver", &no, 250).expect(201));
            world.until_refund(&made, "SENT");
            world.hub = world.hub.kill_and_restart();
            world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Succeed);
            world.until_refund(&made, "SUCCESS");
            let paid = world.sim.refunds().into_iter().filter(|row| row.out_trade_no == no).map(|row| row.fen);
            assert_eq!(paid.collect::<Vec<_>>(), [250], "{mode:?}");
        }
    }
    assert_eq!(world.available("anna"), 0);
    world.is_sound();
}

#[test]
fn a_refund_under_way_ends_with_the_channels_word() {
    let world = World::new();
    let no = world.paid("anna", Channel::Wechat, 330);
    world.sim.behave(|behaviour| behaviour.refunds = RefundMode::Process);
    let made = refund_no(&world.refund("anna", "driver", &no, 330).expect(201));
    world.until_refund(&made, "SENT");
    assert_eq!(world.available("anna"), 0, "the money is set aside");
    world.is_sound();
    world.sim.finish_refund(&made);
    let callback = world.sim.refund_callback(&made).unwrap();
    assert_eq!(world.send(&callback), (200, r#"{"code":"SUCCESS"}"#.to_owned()));
    let done = world.until_refund(&made, "SUCCESS");
    assert!(done["channelRefundId"].is_string(), "{done}");
    world.is_sound();
}
