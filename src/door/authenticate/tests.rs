//! Who gets in, and who does not.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::*;
use crate::clock::{Clock, SystemClock};

const BODY: &[u8] = br#"{"grant_type":"client_credentials","client_id":"packer","scope":"stock:read"}"#;

/// A key of 24 bytes, as the standard writes it.
fn secret(seed: u8) -> SecretString {
    format!("whsec_{}", STANDARD.encode([seed; 24])).into()
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in all {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn seconds_from_now(seconds: i64) -> i64 {
    SystemClock.now().timestamp() + seconds
}

/// A call, freshly signed with `secret`.
fn signed(secret: &SecretString, id: &str, timestamp: i64, body: &[u8]) -> HeaderMap {
    let signature = Webhook::new(secret.expose_secret()).unwrap().sign(id, timestamp, body).unwrap();
    let timestamp = timestamp.to_string();
    headers(&[("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", &signature)])
}

fn lets_in(auth: &HookAuth, headers: &HeaderMap, body: &[u8]) -> bool {
    authenticate(auth, headers, &Bytes::copy_from_slice(body)).is_some()
}

#[test]
fn a_signed_call_is_let_in_with_its_id_and_its_bytes() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    let headers = signed(&secret(1), "msg_1", seconds_from_now(0), BODY);
    let call = authenticate(&auth, &headers, &Bytes::from_static(BODY)).unwrap();
    assert_eq!((call.webhook_id(), call.body().as_ref()), (Some("msg_1"), BODY));
    assert_eq!(call.body_hash(), crate::domain::hashing::sha256_hex(BODY));
    assert!(!format!("{call:?}").contains("packer"), "a body is not printed");
}

#[test]
fn the_signature_is_the_one_that_the_standard_defines() {
    // HMAC-SHA256 over "id.timestamp.body", computed apart from the crate with Python's hmac module.
    let expected = "v1,7cCMrIhnbBsXYUPmKL3h2EY4XkCdFdCcFidCb3Zmejs=";
    let made = signed(&secret(7), "msg_9", 1_800_000_000, b"{\"a\":1}");
    assert_eq!(made["webhook-signature"], expected);
}

#[test]
fn while_one_secret_replaces_another_both_are_good_and_no_third() {
    let auth = HookAuth::Webhook(vec![secret(1), secret(2)]);
    for (seed, known) in [(1, true), (2, true), (3, false)] {
        let headers = signed(&secret(seed), "msg_1", seconds_from_now(0), BODY);
        assert_eq!(lets_in(&auth, &headers, BODY), known, "secret {seed}");
    }
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    let mut call = signed(&secret(1), "msg_1", seconds_from_now(0), BODY);
    let good = call["webhook-signature"].to_str().unwrap();
    let list = format!("v1,{} v1a,AAAA {good}", STANDARD.encode([0; 32]));
    call.insert("webhook-signature", list.parse().unwrap());
    assert!(lets_in(&auth, &call, BODY));
}

#[test]
fn a_signature_is_good_for_five_minutes_either_way() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    for (age, known) in [(-290, true), (290, true), (-310, false), (310, false)] {
        let headers = signed(&secret(1), "msg_1", seconds_from_now(age), BODY);
        assert_eq!(lets_in(&auth, &headers, BODY), known, "{age} s");
    }
}

#[test]
fn anything_changed_after_signing_keeps_a_call_out() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    let good = signed(&secret(1), "msg_1", seconds_from_now(0), BODY);
    let mut flipped = BODY.to_vec();
    flipped[20] ^= 1;
    assert!(!lets_in(&auth, &good, &flipped));
    let other_time = seconds_from_now(1).to_string();
    for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", &other_time), ("webhook-signature", "v1,AAAA")]
    {
        let mut changed = good.clone();
        changed.insert(name, value.parse().unwrap());
        assert!(!lets_in(&auth, &changed, BODY), "{name}");
    }
}

#[test]
fn a_header_that_is_missing_or_there_twice_keeps_a_call_out() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    let good = signed(&secret(1), "msg_1", seconds_from_now(0), BODY);
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut without = good.clone();
        let value = without.remove(name).unwrap();
        assert!(!lets_in(&auth, &without, BODY), "without {name}");
        let mut twice = good.clone();
        twice.append(name, value);
        assert!(!lets_in(&auth, &twice, BODY), "{name} twice");
    }
}

#[test]
fn odd_timestamps_keep_a_call_out_and_crash_nothing() {
    let auth = HookAuth::Webhook(vec![secret(1)]);
    let good = signed(&secret(1), "msg_1", seconds_from_now(0), BODY);
    for odd in ["-9223372036854775808", "9223372036854775807", "+1", "", "soon", "1e9"] {
        let mut changed = good.clone();
        changed.insert("webhook-timestamp", odd.parse().unwrap());
        assert!(!lets_in(&auth, &changed, BODY), "{odd}");
    }
}

#[test]
fn a_webhook_id_is_at_most_128_visible_characters_whatever_authenticates_the_call() {
    let bearer = HookAuth::Bearer(vec!["k1".into()]);
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for (id, known) in [(longest.as_str(), true), (&too_long, false), ("a b", false), ("", false)] {
        let webhook = HookAuth::Webhook(vec![secret(1)]);
        assert_eq!(lets_in(&webhook, &signed(&secret(1), id, seconds_from_now(0), BODY), BODY), known, "{id:?}");
        let call = headers(&[("authorization", "Bearer k1"), ("webhook-id", id)]);
        assert_eq!(lets_in(&bearer, &call, BODY), known, "{id:?}");
    }
    let twice = headers(&[("authorization", "Bearer k1"), ("webhook-id", "a"), ("webhook-id", "a")]);
    assert!(!lets_in(&bearer, &twice, BODY));
}

#[test]
fn a_bearer_token_is_compared_whole_and_its_call_may_carry_an_id() {
    let auth = HookAuth::Bearer(vec!["k1".into(), "k2".into()]);
    for (value, known) in [
        ("Bearer k1", true),
        ("bearer k2", true),
        ("Bearer k", false),
        ("Bearer k11", false),
        ("Bearer ", false),
        ("Bearer", false),
        ("Basic k1", false),
        ("k1", false),
        ("Bearer k1, Bearer k2", false),
    ] {
        assert_eq!(lets_in(&auth, &headers(&[("authorization", value)]), BODY), known, "{value}");
    }
    assert!(!lets_in(&auth, &headers(&[]), BODY));
    assert!(!lets_in(&auth, &headers(&[("authorization", "Bearer k1"), ("authorization", "Bearer k1")]), BODY));
    let named = headers(&[("authorization", "Bearer k1"), ("webhook-id", "call-7")]);
    assert_eq!(authenticate(&auth, &named, &Bytes::new()).unwrap().webhook_id(), Some("call-7"));
}

#[test]
fn an_api_key_is_read_from_its_header_and_from_no_other() {
    let auth = HookAuth::ApiKey { header: HeaderName::from_static("x-warehouse-key"), values: vec!["k1".into()] };
    assert!(lets_in(&auth, &headers(&[("x-warehouse-key", "k1")]), BODY));
    for call in [
        headers(&[("x-warehouse-key", "k2")]),
        headers(&[("x-warehouse-key", "")]),
        headers(&[("authorization", "Bearer k1")]),
        headers(&[("x-warehouse-key", "k1"), ("x-warehouse-key", "k1")]),
    ] {
        assert!(!lets_in(&auth, &call, BODY), "{call:?}");
    }
}

#[test]
fn secrets_that_protect_nothing_are_found_at_start_up_and_let_nobody_in() {
    let key = |values| HookAuth::ApiKey { header: HeaderName::from_static("x-key"), values };
    let rows = [
        (HookAuth::Webhook(Vec::new()), UnusableAuth::None),
        (HookAuth::Bearer(vec!["good".into(), "".into()]), UnusableAuth::Empty),
        (key(vec!["".into()]), UnusableAuth::Empty),
        (HookAuth::Webhook(vec!["whsec_not base64".into()]), UnusableAuth::NotBase64),
        (HookAuth::Webhook(vec!["whsec_".into()]), UnusableAuth::TooShort),
        (HookAuth::Webhook(vec!["whsec_c2hvcnQ=".into()]), UnusableAuth::TooShort),
    ];
    for (auth, expected) in rows {
        assert_eq!(auth.check(), Err(expected), "{auth:?}");
    }
    assert_eq!(HookAuth::Webhook(vec![secret(1), secret(2)]).check(), Ok(()));

    let empty: SecretString = "whsec_".into();
    let call = signed(&empty, "msg_1", seconds_from_now(0), BODY);
    assert!(!lets_in(&HookAuth::Webhook(vec![empty]), &call, BODY), "anybody could sign with an empty key");
    assert!(!lets_in(&key(vec!["".into()]), &headers(&[("x-key", "")]), BODY));
}

#[test]
fn no_secret_is_printed() {
    let auth = HookAuth::Bearer(vec!["k-very-secret".into()]);
    assert!(!format!("{auth:?}").contains("very-secret"));
}
