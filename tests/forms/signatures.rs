//! Request signatures against Slack's own package for Python: what it signs we verify, what we sign it verifies.
//!
//! `signatures.py` writes the first and reads the second; `run.sh` calls it before and after.

use std::fs;

use axum::http::{HeaderMap, HeaderValue};
use chrono::DateTime;
use countersign::slack::signature::{sign, verify};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{folder, lines};

/// A call as Python signed it, and whether it should count: some are changed on the way, or come too late.
#[derive(Deserialize)]
struct Signed {
    name: String,
    secret: String,
    timestamp: String,
    body: String,
    signature: String,
    now: i64,
    counts: bool,
}

fn headers(timestamp: &str, signature: &str) -> HeaderMap {
    let mut all = HeaderMap::new();
    for (name, value) in [("x-slack-request-timestamp", timestamp), ("x-slack-signature", signature)] {
        all.insert(name, HeaderValue::from_str(value).expect("a header"));
    }
    all
}

#[test]
#[ignore = "tests/forms/run.sh runs it: Slack's package for Python signs first"]
fn what_slacks_package_signs_we_verify_and_what_it_would_refuse_we_refuse() {
    let text = fs::read_to_string(folder().join("signed_by_slack_sdk.ndjson")).expect("signatures.py has run");
    let all: Vec<Signed> = text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert!(all.iter().filter(|call| call.counts).count() >= 5 && all.iter().filter(|call| !call.counts).count() >= 5);
    for call in all {
        let now = DateTime::from_timestamp(call.now, 0).expect("a moment");
        let headers = headers(&call.timestamp, &call.signature);
        let answer = verify(&[SecretString::from(call.secret)], &headers, call.body.as_bytes(), now);
        assert_eq!(answer.is_ok(), call.counts, "{}: {answer:?}", call.name);
    }
}

#[test]
#[ignore = "tests/forms/run.sh runs it: Slack's package for Python verifies afterwards"]
fn what_we_and_the_stand_in_sign_is_left_for_slacks_package() {
    let secret = SecretString::from("a signing secret, ö");
    let now = 1_795_460_000;
    let mut all = Vec::new();
    for body in
        ["", "payload=%7B%22type%22%3A%22block_actions%22%7D", "{\"type\":\"event_callback\"}", "text=\u{202e}é👍\n"]
    {
        let service = sign(&secret, now, body.as_bytes());
        let bytes = secret.expose_secret().as_bytes();
        let stand_in = countersign::playground::signature(bytes, &now.to_string(), body.as_bytes());
        assert_eq!(service, stand_in);
        all.push(json!({
            "secret": secret.expose_secret(), "timestamp": now.to_string(), "body": body, "signature": stand_in, "now": now,
        }));
    }
    lines("signed_by_us.ndjson", &all);
}
