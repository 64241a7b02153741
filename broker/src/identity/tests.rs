//! Who is let in with what, and what dies when.

use super::*;

fn code(text: &str) -> PileCode {
    PileCode::parse(text).unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

const NOW: Timestamp = Timestamp::EPOCH;
const TOKEN: &str = "01ABCDEFGHJK";

fn identity(identities: &Identities, text: &str, no: u32, secret: &str) -> Identity {
    Identity::new(PileNo(no), code(text), identities.verifier_of(&code(text), secret))
}

fn with(piles: &[(&str, u32, &str)]) -> Identities {
    let identities = Identities::new(&[7; MASTER_KEY_LEN]);
    for (text, no, secret) in piles {
        identities.insert(identity(&identities, text, *no, secret));
    }
    identities
}

/// With what a pile is let in by a password.
fn by(identities: &Identities, who: &str, password: &str, now: Timestamp) -> Result<Credential, Rejected> {
    identities.verify(who, Proof::Password(password.as_bytes()), now).map(|verified| verified.by)
}

fn next(identities: &Identities, secret: &str, until: i64) -> NextSecret {
    NextSecret { verifier: identities.verifier_of(&code("P1"), secret), until: at(until) }
}

#[test]
fn only_the_right_secret_of_the_right_pile_is_accepted() {
    let identities = with(&[("P1", 1, "one"), ("P2", 2, "two")]);
    for (who, no, secret) in [("P1", 1, "one"), ("P2", 2, "two")] {
        let verified = identities.verify(who, Proof::Password(secret.as_bytes()), NOW);
        assert_eq!(verified, Ok(Verified { pile_no: PileNo(no), code: code(who), by: Credential::Secret }));
    }
    for (who, secret) in [("P1", "two"), ("P2", "one"), ("P1", ""), ("P3", "one"), ("", ""), ("P1\0one", "")] {
        assert_eq!(by(&identities, who, secret, NOW), Err(Rejected::Wrong), "{who:?} {secret:?}");
    }
}

#[test]
fn a_verifier_copied_to_another_pile_opens_nothing() {
    let identities = with(&[("P1", 1, "one")]);
    let verifier = identities.verifier_of(&code("P1"), "one");
    identities.insert(Identity::new(PileNo(2), code("P2"), verifier));
    assert_eq!(by(&identities, "P2", "one", NOW), Err(Rejected::Wrong));
}

#[test]
fn a_replaced_secret_and_a_removed_pile_no_longer_open() {
    let identities = with(&[("P1", 1, "old")]);
    identities.insert(identity(&identities, "P1", 1, "new"));
    assert_eq!(by(&identities, "P1", "old", NOW), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", "new", NOW), Ok(Credential::Secret));
    identities.enrol(&code("P1"), TOKEN, at(9), NOW);
    identities.remove(&code("P1"));
    assert_eq!(by(&identities, "P1", "new", NOW), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", TOKEN, NOW), Err(Rejected::Wrong));
    assert!(identities.is_empty());
}

#[test]
fn the_old_secret_dies_at_the_first_login_with_the_next_one() {
    let identities = with(&[("P1", 1, "old")]);
    identities.set_next(&code("P1"), next(&identities, "new", 100));
    for _ in 0..2 {
        assert_eq!(by(&identities, "P1", "old", at(99)), Ok(Credential::Secret), "both are good until then");
    }
    assert!(identities.has_next(&code("P1")));
    assert_eq!(by(&identities, "P1", "new", at(99)), Ok(Credential::NextSecret));
    assert_eq!(by(&identities, "P1", "old", at(99)), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", "new", at(101)), Ok(Credential::Secret), "it is the only one");
    assert!(!identities.has_next(&code("P1")));
}

#[test]
fn the_next_secret_is_good_until_its_time_is_over() {
    let identities = with(&[("P1", 1, "old")]);
    identities.set_next(&code("P1"), next(&identities, "new", 100));
    assert_eq!(by(&identities, "P1", "new", at(100)), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", "old", at(100)), Ok(Credential::Secret));
    assert!(identities.drop_next(&code("P1")));
    assert_eq!(by(&identities, "P1", "new", at(1)), Err(Rejected::Wrong));
    assert!(!identities.drop_next(&code("P1")) && !identities.take_next(&code("P1")), "there is none any more");
}

#[test]
fn a_next_secret_can_be_made_the_only_one_without_a_login() {
    let identities = with(&[("P1", 1, "old")]);
    identities.set_next(&code("P1"), next(&identities, "new", 100));
    assert!(identities.take_next(&code("P1")));
    assert_eq!(by(&identities, "P1", "old", NOW), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", "new", NOW), Ok(Credential::Secret));
}

#[test]
fn a_token_lets_its_pile_in_once_within_its_time() {
    let identities = with(&[("P1", 1, "one"), ("P2", 2, "two")]);
    identities.enrol(&code("P1"), TOKEN, at(100), NOW);
    assert_eq!(by(&identities, "P2", TOKEN, NOW), Err(Rejected::Wrong), "of another pile");
    assert_eq!(by(&identities, "P1", "01ABCDEFGHJM", NOW), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P1", TOKEN, at(100)), Err(Rejected::Wrong), "too late");
    assert_eq!(by(&identities, "P1", "oi-abcd-efgh-jk", at(99)), Ok(Credential::Enrolment), "as people type it");
    assert_eq!(by(&identities, "P1", TOKEN, at(99)), Err(Rejected::Wrong), "used up");
    assert_eq!(by(&identities, "P1", "one", at(99)), Err(Rejected::Wrong), "whoever has its secret is out");
}

#[test]
fn a_token_kills_the_earlier_one_and_only_that_of_its_pile() {
    let identities = with(&[("P1", 1, "one"), ("P2", 2, "two")]);
    for pile in ["P1", "P2"] {
        identities.enrol(&code(pile), TOKEN, at(100), NOW);
    }
    identities.enrol(&code("P1"), "ZZZZZZZZZZZZ", at(100), NOW);
    assert_eq!(by(&identities, "P1", TOKEN, NOW), Err(Rejected::Wrong));
    assert_eq!(by(&identities, "P2", TOKEN, NOW), Ok(Credential::Enrolment));
    assert_eq!(by(&identities, "P1", "ZZZZZZZZZZZZ", NOW), Ok(Credential::Enrolment));
}

#[test]
fn one_of_many_racing_logins_gets_a_token() {
    let identities = with(&[("P1", 1, "one")]);
    identities.enrol(&code("P1"), TOKEN, at(100), NOW);
    let got_in = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8).map(|_| scope.spawn(|| by(&identities, "P1", TOKEN, NOW).is_ok())).collect();
        tries.into_iter().map(|one| one.join().unwrap()).filter(|ok| *ok).count()
    });
    assert_eq!(got_in, 1);
}

#[test]
fn a_station_of_certificates_refuses_every_password_and_takes_certificates() {
    let identities = with(&[("P1", 1, "one"), ("P2", 2, "two")]);
    identities.enrol(&code("P1"), TOKEN, at(100), NOW);
    identities.set_certificate_only([&code("P1"), &code("P9")], true);
    for password in ["one", "wrong", TOKEN] {
        assert_eq!(by(&identities, "P1", password, NOW), Err(Rejected::CertificateOnly), "{password}");
    }
    assert_eq!(by(&identities, "P2", "two", NOW), Ok(Credential::Secret));
    let verified = identities.verify("P1", Proof::Certificate, NOW);
    assert_eq!(verified, Ok(Verified { pile_no: PileNo(1), code: code("P1"), by: Credential::Certificate }));
    assert_eq!(identities.verify("P9", Proof::Certificate, NOW), Err(Rejected::Wrong), "no pile of that name");
    identities.set_certificate_only([&code("P1")], false);
    assert_eq!(by(&identities, "P1", "one", NOW), Ok(Credential::Secret));
}

#[test]
fn another_master_key_gives_other_verifiers() {
    let other = Identities::new(&[8; MASTER_KEY_LEN]);
    assert_ne!(with(&[]).verifier_of(&code("P1"), "s"), other.verifier_of(&code("P1"), "s"));
}

#[test]
fn secrets_are_long_and_never_the_same() {
    let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
    assert_ne!(one, two);
    assert_eq!(one.len(), 64);
    assert!(one.bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn fifty_thousand_piles_are_admitted_and_each_costs_little() {
    let identities = Identities::new(&[1; MASTER_KEY_LEN]);
    identities.extend((0..50_000).map(|no| identity(&identities, &format!("P{no}"), no, &format!("secret of {no}"))));
    assert_eq!(identities.len(), 50_000);
    assert_eq!(by(&identities, "P49999", "secret of 49999", NOW), Ok(Credential::Secret));
    assert_eq!(by(&identities, "P49999", "secret of 49998", NOW), Err(Rejected::Wrong));
    assert!(size_of::<Known>() <= 48, "{} bytes", size_of::<Known>());
}

#[test]
fn nothing_secret_is_printed() {
    let identities = with(&[("P1", 1, "one")]);
    let one = identity(&identities, "P1", 1, "one");
    let shown = format!("{identities:?} {one:?} {:?} {:?}", next(&identities, "n", 7), Proof::Password(b"one"));
    let expected = "Identities { piles: 1, .. } Identity { pile_no: PileNo(1), code: \"P1\", .. } \
        NextSecret { until: 1970-01-01T00:00:00.007Z, .. } Password(..)";
    assert_eq!(shown, expected);
}
