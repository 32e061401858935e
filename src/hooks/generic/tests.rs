//! The contract of the generic dialect, as stories about its fixtures.

use serde_json::{Value, json};

use super::{parse, render, render_error};
use crate::domain::ids::HookName;
use crate::domain::token_request::{SubjectKind, TokenRequest};
use crate::door::ParseError;
use crate::door::for_tests::{every_answer, narrowed, on_the_wire, verified};

const FULL: &str = include_str!("../../../tests/data/hooks/generic/full.call.json");
const FULL_READ: &str = include_str!("../../../tests/data/hooks/generic/full.token-request.json");
const LEAST: &str = include_str!("../../../tests/data/hooks/generic/least.call.json");
const LEAST_READ: &str = include_str!("../../../tests/data/hooks/generic/least.token-request.json");
const ANSWERS: &str = include_str!("../../../tests/data/hooks/generic/answers.json");

fn read(body: impl Into<bytes::Bytes>) -> Result<TokenRequest, ParseError> {
    parse(&verified(body), &HookName::parse("shop").unwrap())
}

fn read_json(body: &Value) -> Result<TokenRequest, ParseError> {
    read(body.to_string())
}

fn full() -> Value {
    serde_json::from_str(FULL).unwrap()
}

/// The full call with other members.
fn with(changes: Value) -> Value {
    let mut body = full();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The members that a call is refused for, in the order in which they are named.
fn blamed(body: impl Into<bytes::Bytes>) -> Vec<String> {
    match read(body) {
        Err(ParseError::Malformed(problems)) => problems.into_iter().map(|p| p.member).collect(),
        other => panic!("not malformed: {other:?}"),
    }
}

#[test]
fn calls_are_read_as_the_fixtures_say() {
    for (call, expected) in [(FULL, FULL_READ), (LEAST, LEAST_READ)] {
        let expected: TokenRequest = serde_json::from_str(expected).unwrap();
        assert_eq!(read(call).unwrap(), expected);
    }
}

#[test]
fn every_optional_member_can_be_left_out_or_null() {
    let required = ["grant_type", "client_id", "scope"];
    let complete = serde_json::to_value(read(FULL).unwrap()).unwrap();
    for name in full().as_object().unwrap().keys().filter(|name| !required.contains(&name.as_str())) {
        let mut left_out = full();
        left_out.as_object_mut().unwrap().remove(name);
        let read_without = read_json(&left_out).unwrap();
        assert_eq!(read_without, read_json(&with(json!({ name: null }))).unwrap(), "{name}");
        assert_ne!(serde_json::to_value(read_without).unwrap(), complete, "{name} is read");
    }
}

#[test]
fn unknown_members_are_ignored_however_deep_they_are() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = LEAST.trim_end().trim_end_matches('}').to_owned() + &format!(r#","color":"red","deep":{deep}}}"#);
    assert_eq!(read(body).unwrap(), read(LEAST).unwrap());
}

#[test]
fn without_a_subject_the_client_asks_for_itself_which_is_nobody_of_that_name() {
    let alone = read(LEAST).unwrap().subject;
    assert_eq!((alone.kind, alone.id.as_str()), (SubjectKind::Client, "nightly-build"));
    let mut named: Value = serde_json::from_str(LEAST).unwrap();
    named["subject"] = json!("nightly-build");
    assert_eq!(read_json(&named).unwrap().subject.kind, SubjectKind::User);
}

#[test]
fn every_missing_member_is_named_at_once() {
    assert_eq!(blamed("{}"), ["grant_type", "client_id", "scope"]);
    assert_eq!(
        blamed(r#"{"grant_type":null,"client_id":7,"expires_in":-1}"#),
        ["grant_type", "client_id", "scope", "expires_in"]
    );
}

#[test]
fn each_malformed_member_is_named() {
    let long = "x".repeat(1_001);
    let rows = [
        ("grant_type", json!({"grant_type": 1})),
        ("grant_type", json!({"grant_type": ""})),
        ("client_id", json!({"client_id": ["a"]})),
        ("client_id", json!({"client_id": "a\u{0}b"})),
        ("client_id", json!({"client_id": long})),
        ("scope", json!({"scope": ["stock:read"]})),
        ("scope", json!({"scope": "stock:read \u{202e}"})),
        ("scope", json!({"scope": "say\"so"})),
        ("scope", json!({"scope": "a\tb"})),
        ("subject", json!({"subject": ""})),
        ("subject", json!({"subject": {"id": "mina"}})),
        ("audience", json!({"audience": 5})),
        ("audience[1]", json!({"audience": ["https://a.example", 5]})),
        ("audience[0]", json!({"audience": [""]})),
        ("audience", json!({"audience": vec!["a"; 51]})),
        ("actor", json!({"actor": "packing-agent"})),
        ("actor[0].sub", json!({"actor": [{"iss": "https://id.shop.example"}]})),
        ("actor[1]", json!({"actor": ["a", true]})),
        ("actor[0].act.sub", json!({"actor": [{"sub": "a", "act": {"sub": 1}}]})),
        ("actor[0].act", json!({"actor": [{"sub": "a", "act": "b"}]})),
        ("authorization_details", json!({"authorization_details": {"type": "stock_move"}})),
        ("authorization_details[0]", json!({"authorization_details": ["stock_move"]})),
        ("authorization_details[1].type", json!({"authorization_details": [{"type": "a"}, {"actions": []}]})),
        ("authorization_details[0].type", json!({"authorization_details": [{"type": 9}]})),
        ("cnf", json!({"cnf": "jkt"})),
        ("cnf", json!({"cnf": {}})),
        ("binding_message", json!({"binding_message": 73})),
        ("binding_message", json!({"binding_message": "7".repeat(65)})),
        ("binding_message", json!({"binding_message": "7\r3"})),
        ("expires_in", json!({"expires_in": "3600"})),
        ("expires_in", json!({"expires_in": -1})),
        ("expires_in", json!({"expires_in": 0})),
        ("expires_in", json!({"expires_in": 1.5})),
        ("expires_in", json!({"expires_in": 315_360_001_u64})),
        ("reason", json!({"reason": {"text": "because"}})),
        ("reason", json!({"reason": "r".repeat(10_001)})),
        ("context", json!({"context": ["ip"]})),
    ];
    for (member, change) in rows {
        assert_eq!(blamed(with(change.clone()).to_string()), [member], "{change}");
    }
}

#[test]
fn what_is_just_within_the_bounds_is_read() {
    let change =
        json!({"expires_in": 315_360_000_u64, "reason": "r".repeat(10_000), "binding_message": "ü".repeat(64)});
    let asked = read_json(&with(change)).unwrap();
    assert_eq!(asked.requested_lifetime, Some(315_360_000));
    assert_eq!(asked.reason.unwrap().len(), 10_000);
}

#[test]
fn what_is_not_json_is_malformed_as_a_whole() {
    let deep = "[".repeat(100_000);
    for body in ["", "nonsense", "[]", "null", "\"text\"", "{\"scope\":", "{} {}", "\u{feff}{}", deep.as_str()] {
        assert_eq!(blamed(body.to_owned()), ["body"], "{:?}", body.get(..20));
    }
    assert_eq!(blamed(&b"{\"scope\":\"\xff\"}"[..]), ["body"]);
}

#[test]
fn a_hundred_thousand_brackets_are_refused_by_the_name_of_their_member() {
    let body = LEAST.replace("\"\"", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(blamed(body), ["scope"]);
    let body = LEAST.replace("\"\"", &format!("\"\",\"context\":{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000)));
    assert_eq!(blamed(body), ["context"]);
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let body = LEAST.replace("\"scope\"", "\"client_id\": \"other\", \"scope\"");
    assert_eq!(blamed(body), ["client_id"]);
}

#[test]
fn the_parsers_words_quote_nothing_that_was_sent() {
    let error = read(r#"{"scope": "s3cr3t" "x"}"#).unwrap_err();
    assert!(!error.to_string().contains("s3cr3t"), "{error}");
}

#[test]
fn fifty_one_scopes_are_a_refusal_that_says_so_and_not_a_malformed_call() {
    let many: Vec<String> = (0..51).map(|n| format!("s{n}")).collect();
    for scope in [many.join(" "), "x".repeat(2_501), "x".repeat(100_000)] {
        let error = read_json(&with(json!({ "scope": scope }))).unwrap_err();
        let answer = on_the_wire(&render_error(&error));
        assert_eq!(answer["status"], 403);
        assert_eq!(answer["body"]["decision"], "denied");
        assert_eq!(answer["body"]["error"], "invalid_scope");
        assert!(answer["body"]["error_description"].as_str().unwrap().contains("ask for less"), "{answer}");
    }
    let both = with(json!({ "scope": many.join(" "), "expires_in": -1 }));
    assert_eq!(blamed(both.to_string()), ["expires_in"], "a malformed call is told so first");
}

#[test]
fn a_malformed_call_is_answered_with_a_problem_that_lists_its_members() {
    let answer = on_the_wire(&render_error(&read(r#"{"scope":"","client_id":"a","expires_in":-1}"#).unwrap_err()));
    assert_eq!(
        answer,
        json!({
            "status": 400,
            "headers": {"cache-control": "no-store", "content-type": "application/problem+json"},
            "body": {
                "type": "urn:countersign:problem:malformed", "title": "Bad Request", "status": 400,
                "detail": "`grant_type` is missing; `expires_in` must be a whole number of seconds, not negative",
                "invalid_members": [
                    {"member": "grant_type", "says": "is missing"},
                    {"member": "expires_in", "says": "must be a whole number of seconds, not negative"}
                ]
            }
        })
    );
}

#[test]
fn every_answer_looks_as_the_contract_says() {
    let expected: Value = serde_json::from_str(ANSWERS).unwrap();
    for (name, answer) in every_answer("stock:write stock:read") {
        assert_eq!(on_the_wire(&render(&answer)), expected[name], "{name}");
    }
    let fewer = on_the_wire(&render(&narrowed("stock:read", "stock:write", "Never from a browser.")));
    assert_eq!(fewer["body"]["scope"], "stock:read");
}
