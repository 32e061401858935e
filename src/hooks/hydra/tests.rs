//! The contract of Hydra's hooks, as stories about their fixtures.

use serde_json::{Value, json};

use super::{Parsed, parse, render, render_error};
use crate::domain::ids::HookName;
use crate::domain::token_request::{SubjectKind, TokenRequest};
use crate::door::for_tests::{every_answer, granted, narrowed, on_the_wire, verified};
use crate::door::{Answer, ParseError};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/data/hooks/hydra/", $name, ".json"))
    };
}

const CODE: &str = fixture!("authorization_code.call");
const MACHINE: &str = fixture!("client_credentials.call");
const ASSERTION: &str = fixture!("jwt_bearer.call");
const REFRESH: &str = fixture!("refresh.call");
const ANSWERS: &str = fixture!("answers");

fn read(body: impl Into<bytes::Bytes>) -> Result<Parsed, ParseError> {
    parse(&verified(body), &HookName::parse("shop").unwrap())
}

/// A fixture with another value at a JSON pointer; `null` removes nothing, it is put there.
fn changed(call: &str, pointer: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(call).unwrap();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

#[test]
fn calls_are_read_as_the_fixtures_say() {
    for (call, expected) in [
        (CODE, fixture!("authorization_code.token-request")),
        (MACHINE, fixture!("client_credentials.token-request")),
        (ASSERTION, fixture!("jwt_bearer.token-request")),
        (REFRESH, fixture!("refresh.token-request")),
    ] {
        let expected: TokenRequest = serde_json::from_str(expected).unwrap();
        assert_eq!(read(call).unwrap().request, expected);
    }
}

#[test]
fn a_yes_sends_every_claim_back_in_the_very_words_in_which_it_came() {
    let parsed = read(CODE).unwrap();
    let answer = render(&Answer::Granted(granted("openid stock:read")), &parsed.echo);
    let body = std::str::from_utf8(&answer.body).unwrap();
    for member in [
        r#""hall":"7""#,
        r#""limit":12.50"#,
        r#""nested":{"b": 1, "a": [1.0, null]}"#,
        r#""sid":"3f6c""#,
        r#""badge":12345678901234567890123"#,
        r#""email":"mina@shop.example""#,
    ] {
        assert!(body.contains(member), "{member} in {body}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let approval = &body["session"]["access_token"]["approval"];
    assert_eq!(approval["id"], "grn_0123456789abcdef0123456789abcdef", "the older one is replaced");
}

#[test]
fn every_answer_is_a_yes_or_a_bare_403() {
    let expected: Value = serde_json::from_str(ANSWERS).unwrap();
    let echo = read(REFRESH).unwrap().echo;
    for (name, answer) in every_answer("openid stock:read") {
        let wanted = if matches!(answer, Answer::Granted(_)) { "granted" } else { "refused" };
        assert_eq!(on_the_wire(&render(&answer, &echo)), expected[wanted], "{name}");
    }
}

#[test]
fn a_grant_of_less_is_refused_because_hydra_would_issue_all() {
    let echo = read(CODE).unwrap().echo;
    assert_eq!(render(&narrowed("openid", "stock:read", "Never."), &echo).status, 403);
    assert_eq!(render(&Answer::Granted(granted("")), &echo).status, 403);
}

#[test]
fn what_cannot_be_read_is_a_bare_403_too() {
    let expected: Value = serde_json::from_str(ANSWERS).unwrap();
    let many: Vec<String> = (0..51).map(|n| format!("s{n}")).collect();
    let rows = [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        "[".repeat(100_000),
        changed(CODE, "/request", Value::Null),
        changed(CODE, "/request", json!([])),
        changed(CODE, "/request/client_id", json!("")),
        changed(CODE, "/request/client_id", json!(5)),
        changed(CODE, "/request/granted_scopes", json!("stock:read")),
        changed(CODE, "/request/granted_scopes", json!(["stock read"])),
        changed(CODE, "/request/granted_scopes", json!(many)),
        changed(CODE, "/request/granted_audience", json!(["a\u{0}"])),
        changed(CODE, "/session/extra", json!("claims")),
        changed(CODE, "/session/id_token", json!({})),
    ];
    for body in rows {
        let error = read(body.clone()).map(|parsed| parsed.request).unwrap_err();
        assert_eq!(on_the_wire(&render_error(&error)), expected["refused"], "{body:.60}");
    }
}

#[test]
fn what_is_not_needed_may_be_absent_or_null() {
    let optional = [
        "/session/extra",
        "/session/consent_challenge",
        "/session/id_token/id_token_claims",
        "/session/id_token/headers",
        "/request/requested_scopes",
        "/request/granted_audience",
        "/request/payload",
    ];
    for pointer in optional {
        assert!(read(changed(CODE, pointer, Value::Null)).is_ok(), "{pointer} as null");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut body: Value = serde_json::from_str(CODE).unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
        assert!(read(body.to_string()).is_ok(), "without {pointer}");
    }
    for pointer in ["/session", "/request", "/request/payload", "/session/id_token"] {
        let mut body: Value = serde_json::from_str(CODE).unwrap();
        body.pointer_mut(pointer).unwrap()["new_in_hydra_27"] = json!({"deep": [[[1]]]});
        assert_eq!(read(body.to_string()).unwrap().request, read(CODE).unwrap().request, "more in {pointer}");
    }
}

#[test]
fn the_client_speaks_for_itself_only_with_client_credentials() {
    let kind = |call: String| read(call).map(|parsed| parsed.request.subject.kind);
    assert_eq!(kind(MACHINE.to_owned()), Ok(SubjectKind::Client));
    assert_eq!(kind(changed(MACHINE, "/session/id_token/subject", json!(""))), Ok(SubjectKind::Client));
    assert_eq!(kind(changed(MACHINE, "/session/id_token/subject", json!("mina"))), Ok(SubjectKind::User));
    let code = changed(CODE, "/session/id_token/subject", json!("warehouse-ui"));
    assert_eq!(kind(code), Ok(SubjectKind::User), "a person may be called like the client");
}

#[test]
fn an_address_counts_only_when_the_claims_say_that_it_was_confirmed() {
    let email = |value: Value| {
        let call = changed(CODE, "/session/id_token/id_token_claims/ext/email_verified", value);
        read(call).unwrap().request.subject.email
    };
    assert_eq!(email(json!(true)).as_deref(), Some("mina@shop.example"));
    assert_eq!(email(json!(false)), None);
    assert_eq!(email(json!("true")), None);
}

#[test]
fn judged_is_what_hydra_would_issue() {
    let scopes = |granted: Value| {
        let call = changed(CODE, "/request/granted_scopes", granted);
        read(call).unwrap().request.scopes.to_string()
    };
    assert_eq!(scopes(json!(["stock:read"])), "stock:read", "fewer than requested");
    assert_eq!(scopes(json!(["stock:read", "admin"])), "admin stock:read", "a consent app granted more");
    assert_eq!(scopes(json!([])), "openid stock:read stock:write", "none granted: all requested");
    assert_eq!(scopes(Value::Null), "openid stock:read stock:write");
    let none = changed(&changed(CODE, "/request/granted_scopes", json!([""])), "/request/requested_scopes", json!([]));
    assert!(read(none).unwrap().request.scopes.is_empty());
}

#[test]
fn the_refresh_hook_is_called_at_a_refresh_whether_it_says_so_or_not() {
    for types in [Value::Null, json!([])] {
        let request = read(changed(REFRESH, "/requester/grant_types", types)).unwrap().request;
        assert_eq!(request.grant_type, "refresh_token");
        assert!(!request.may_open_a_request());
    }
    assert!(read(changed(CODE, "/request/grant_types", json!([]))).is_ok(), "the form names it");
    let nowhere = changed(&changed(CODE, "/request/grant_types", json!([])), "/request/payload", json!({}));
    assert!(read(nowhere).is_err());
}

#[test]
fn nothing_of_an_assertion_is_kept_or_printed() {
    let parsed = read(ASSERTION).unwrap();
    let kept = format!("{parsed:?} {:?} {}", verified(ASSERTION), serde_json::to_string(&parsed.request).unwrap());
    let broken = read(ASSERTION.replace("\"grant_types\": [", "\"grant_types\": \"eyJ.AssertionSignature\", \"x\": ["));
    let told = format!("{kept} {:?}", broken.unwrap_err());
    for part in ["eyJ", "AssertionSignature", "assertion"] {
        assert!(!told.contains(part), "{part} in {told}");
    }
}

#[test]
fn claims_are_not_printed() {
    let printed = format!("{:?}", read(CODE).unwrap().echo);
    assert!(printed.contains("hall") && !printed.contains("older one"), "{printed}");
}
