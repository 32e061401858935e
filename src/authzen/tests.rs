//! The AuthZEN doors, as stories about their fixtures.

use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::domain::ids::HookName;
use crate::domain::token_request::TokenRequest;
use crate::door::Answer;
use crate::door::for_tests::{every_answer, granted, narrowed, on_the_wire, verified};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../tests/data/hooks/authzen/", $name, ".json"))
    };
}

const MACHINE: &str = fixture!("machine.call");
const PERSON: &str = fixture!("person.call");
const GATE: &str = fixture!("gate.call");
const SCOPE: &str = fixture!("scope.call");
const ANSWERS: &str = fixture!("answers");

fn read(body: impl Into<bytes::Bytes>) -> Result<Parsed, Error> {
    parse_evaluations(&verified(body), &HookName::parse("shop").unwrap())
}

fn read_one(body: impl Into<bytes::Bytes>) -> Result<Parsed, Error> {
    parse_evaluation(&verified(body), &HookName::parse("shop").unwrap())
}

fn json_of(call: &str) -> Value {
    serde_json::from_str(call).unwrap()
}

/// A fixture with another value at a JSON pointer, which is made if it is not there.
fn changed(call: &str, pointer: &str, value: Value) -> String {
    let mut body = json_of(call);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    body.to_string()
}

/// The members that a call is refused for.
fn blamed(body: impl Into<bytes::Bytes>) -> Vec<String> {
    match read(body) {
        Err(Error::Malformed(problems)) => problems.into_iter().map(|p| p.member).collect(),
        other => panic!("not malformed: {other:?}"),
    }
}

/// The decisions of an answer to several questions.
fn decisions(answer: &Rendered) -> Vec<bool> {
    let body = on_the_wire(answer)["body"].clone();
    body["evaluations"].as_array().unwrap().iter().map(|one| one["decision"].as_bool().unwrap()).collect()
}

#[test]
fn calls_are_read_as_the_fixtures_say() {
    for (call, expected) in [
        (MACHINE, fixture!("machine.token-request")),
        (PERSON, fixture!("person.token-request")),
        (GATE, fixture!("gate.token-request")),
        (SCOPE, fixture!("scope.token-request")),
    ] {
        let expected: TokenRequest = serde_json::from_str(expected).unwrap();
        assert_eq!(read(call).unwrap().request, expected);
    }
    for single in [GATE, SCOPE] {
        assert_eq!(read_one(single).unwrap().request, read(single).unwrap().request);
    }
}

#[test]
fn every_answer_to_a_batch_looks_as_the_contract_says() {
    let (expected, echo) = (json_of(ANSWERS), read(MACHINE).unwrap().echo);
    for (name, answer) in every_answer("stock:write stock:read") {
        assert_eq!(on_the_wire(&render(&answer, &echo)), expected[name], "{name}");
    }
    let fewer = narrowed("stock:read", "stock:write", "Never by night.");
    assert_eq!(on_the_wire(&render(&fewer, &echo)), expected["narrowed"]);
}

#[test]
fn one_question_gets_one_decision_with_the_context_that_a_gate_would_have() {
    let expected = json_of(ANSWERS);
    for call in [GATE, MACHINE] {
        let echo =
            read_one(changed(call, "/action", json!({"name": "issue:access_token:client_credentials"}))).unwrap().echo;
        let scopes = echo.scopes.to_string();
        for (name, answer) in every_answer(&scopes) {
            let wire = on_the_wire(&render(&answer, &echo));
            if wire["status"] != 200 {
                assert_eq!(wire, expected[name], "{name}");
                continue;
            }
            let mut first = expected[name]["body"]["evaluations"][0].clone();
            if let Some(shape) = first.pointer_mut("/context/issuance/granted_scope") {
                *shape = json!(scopes);
            }
            assert_eq!(wire["body"], first, "{name}");
        }
    }
}

#[test]
fn a_single_scope_is_granted_or_not() {
    let echo = read_one(SCOPE).unwrap().echo;
    let yes = on_the_wire(&render(&Answer::Granted(granted("stock:read")), &echo));
    assert_eq!(yes["body"]["decision"], true);
    assert_eq!(yes["body"]["context"]["issuance"], json!({"granted_scope": "stock:read", "token_lifetime": 900}));
    let no = on_the_wire(&render(&Answer::Granted(granted("stock:write")), &echo));
    assert_eq!(no["body"]["decision"], false, "another scope than the one that was asked for");
    assert_eq!(no["body"]["context"].get("issuance"), None);
}

#[test]
fn a_gate_is_open_only_when_a_scope_is_granted_and_the_token_lives() {
    let echo = read(MACHINE).unwrap().echo;
    assert_eq!(decisions(&render(&Answer::Granted(granted("")), &echo)), [false, false, false]);
    let dead = crate::door::Granted { lifetime: 0, ..granted("stock:read") };
    assert_eq!(decisions(&render(&Answer::Granted(dead), &echo)), [false, false, false]);
    let wider = on_the_wire(&render(&Answer::Granted(granted("admin stock:read")), &echo));
    let shape = wider.pointer("/body/evaluations/0/context/issuance/granted_scope").unwrap();
    assert_eq!(shape, "stock:read", "what was not asked for is not granted");
    let unnamed = read_one(changed(GATE, "/context/scope", json!(""))).unwrap();
    assert!(unnamed.request.scopes.is_empty());
    let open = on_the_wire(&render(&Answer::Granted(granted("")), &unnamed.echo));
    assert_eq!(open["body"]["decision"], true, "no scope was asked for and a rule allowed that");
}

#[test]
fn the_semantic_cuts_the_list_and_the_ceilings_stay_in_it() {
    let cut = |semantic: &str, scopes: &str| {
        let call = changed(MACHINE, "/options/evaluations_semantic", json!(semantic));
        render(&Answer::Granted(granted(scopes)), &read(call).unwrap().echo)
    };
    assert_eq!(decisions(&cut("execute_all", "stock:write")), [true, false, true]);
    assert_eq!(decisions(&cut("deny_on_first_deny", "stock:write")), [true, false]);
    assert_eq!(decisions(&cut("deny_on_first_deny", "stock:read stock:write")), [true, true, true]);
    let permitted = cut("permit_on_first_permit", "stock:write");
    assert_eq!(decisions(&permitted), [true]);
    assert_eq!(on_the_wire(&permitted)["body"]["evaluations"][0]["context"]["issuance"]["token_lifetime"], 900);
    assert_eq!(
        blamed(changed(MACHINE, "/options/evaluations_semantic", json!("any"))),
        ["options.evaluations_semantic"]
    );
    for default in [json!({}), json!({"evaluations_semantic": null, "later": 1}), Value::Null] {
        let call = changed(MACHINE, "/options", default);
        assert_eq!(read(call).unwrap().echo, read(MACHINE).unwrap().echo);
    }
}

#[test]
fn what_is_shared_may_stand_at_the_top_or_in_each_question() {
    let mut body = json_of(MACHINE);
    let (subject, resource, context) = (body["subject"].take(), body["resource"].take(), body["context"].take());
    for one in body["evaluations"].as_array_mut().unwrap() {
        one["subject"] = subject.clone();
        one["resource"] = resource.clone();
        one["context"] = context.clone();
    }
    let spread = read(body.to_string()).unwrap();
    assert_eq!((spread.request, spread.echo), {
        let shared = read(MACHINE).unwrap();
        (shared.request, shared.echo)
    });
    // A question's own part goes before the shared one.
    let own = json!({"action": {"name": "stock:read"}, "resource": {"type": "stock_move", "id": "elsewhere"}});
    let details = read(changed(MACHINE, "/evaluations/1", own)).unwrap().request.authorization_details;
    assert_eq!(details[1], json!({"type": "stock_move", "locations": ["elsewhere"], "actions": ["stock:read"]}));
}

#[test]
fn without_evaluations_the_body_is_one_question() {
    for evaluations in [json!([]), Value::Null] {
        let parsed = read(changed(GATE, "/evaluations", evaluations)).unwrap();
        assert_eq!(parsed.echo, read_one(GATE).unwrap().echo);
    }
    assert_eq!(blamed(r#"{"evaluations":[]}"#), ["subject", "action", "resource"]);
    let ignored = read_one(changed(GATE, "/evaluations", json!("not looked at here")));
    assert_eq!(ignored.unwrap().request, read_one(GATE).unwrap().request);
}

#[test]
fn unknown_members_are_ignored_everywhere() {
    let mut body = json_of(MACHINE);
    for pointer in ["", "/subject", "/resource", "/evaluations/0", "/evaluations/1/action", "/options"] {
        body.pointer_mut(pointer).unwrap()["later"] = json!({"deep": [[1]]});
    }
    assert_eq!(read(body.to_string()).unwrap().request, read(MACHINE).unwrap().request);
}

#[test]
fn each_malformed_member_is_named() {
    let rows = [
        ("subject.type", "/subject/type", json!("robot")),
        ("subject.type", "/subject/type", Value::Null),
        ("subject.id", "/subject/id", json!("")),
        ("subject.id", "/subject/id", json!(7)),
        ("subject", "/subject", json!("stock-sync")),
        ("subject.properties", "/subject/properties", json!([])),
        ("resource.id", "/resource/id", json!({})),
        ("evaluations", "/evaluations", json!({"0": {}})),
        ("evaluations", "/evaluations", json!(vec![json!({}); 1_001])),
        ("evaluations[1]", "/evaluations/1", json!("stock:read")),
        ("evaluations[1].action", "/evaluations/1/action", json!("stock:read")),
        ("evaluations[1].action", "/evaluations/1/action", Value::Null),
        ("evaluations[1].action.name", "/evaluations/1/action/name", json!(["stock:read"])),
        ("evaluations[1].action.name", "/evaluations/1/action/name", json!("stock read")),
        ("evaluations[0].action.name", "/evaluations/0/action/name", json!("issue:access_token")),
        ("evaluations[0].action.name", "/evaluations/0/action/name", json!("issue::")),
        ("context", "/context", json!("text")),
        ("context.client_id", "/context/client_id", json!(1)),
        ("context.client_id", "/context/client_id", json!("another-client")),
        ("context.authorization_details[0].type", "/context/authorization_details", json!([{"actions": []}])),
        ("context.expires_in", "/context/expires_in", json!(-1)),
        ("context.requested_lifetime", "/context/requested_lifetime", json!("1h")),
        ("context.reason", "/context/reason", json!("r".repeat(10_001))),
        ("context.business_justification", "/context/business_justification", json!(["why"])),
        ("context.binding_message", "/context/binding_message", json!("7".repeat(65))),
        ("context.cnf", "/context/cnf", json!({})),
        ("context.actor[0]", "/context/actor", json!([1])),
        ("options", "/options", json!("execute_all")),
        ("options.evaluations_semantic", "/options/evaluations_semantic", json!(1)),
    ];
    for (member, pointer, value) in rows {
        assert_eq!(blamed(changed(MACHINE, pointer, value.clone())), [member], "{pointer} = {value:.40}");
    }
    assert_eq!(blamed(changed(GATE, "/context/scope", json!("a \"b\""))), ["context.scope"]);
    assert_eq!(blamed("{\"subject\":"), ["body"]);
    assert_eq!(blamed("[".repeat(100_000)), ["body"]);
    let deep = MACHINE.replace("\"198.51.100.23\"", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    assert_eq!(blamed(deep), ["context"]);
}

#[test]
fn a_malformed_call_is_a_400_with_a_message() {
    let error = read(changed(MACHINE, "/subject/id", json!(""))).unwrap_err();
    assert_eq!(
        on_the_wire(&render_error(&error)),
        json!({
            "status": 400,
            "headers": {"cache-control": "no-store", "content-type": "application/json"},
            "body": "`subject.id` is empty"
        })
    );
    let stranger = on_the_wire(&unauthenticated());
    assert_eq!((&stranger["status"], stranger["body"].is_string()), (&json!(401), true));
}

#[test]
fn one_call_is_about_one_token() {
    let other = |pointer: &str, value: Value| blamed(changed(MACHINE, pointer, value));
    assert_eq!(other("/evaluations/2/subject", json!({"type": "client", "id": "x"})), ["evaluations[2].subject"]);
    assert_eq!(other("/evaluations/2/context", json!({"client_id": "stock-sync"})), ["evaluations[2].context"]);
    let elsewhere = json!({"type": "audience", "id": "https://else.example"});
    assert_eq!(other("/evaluations/2/resource", elsewhere.clone()), ["evaluations"], "other scopes at each audience");
    let again = json!({"action": {"name": "stock:read"}, "resource": elsewhere});
    assert_eq!(other("/evaluations/2", again), ["evaluations"], "an audience without a gate");
    let mut body = json_of(MACHINE);
    let second = json!({"action": {"name": "issue:access_token:refresh_token"}});
    body["evaluations"].as_array_mut().unwrap().insert(1, second);
    assert_eq!(blamed(body.to_string()), ["evaluations"], "two grants");
}

#[test]
fn short_names_of_grants_are_the_grants_that_the_policy_knows() {
    let kind = |name: &str| {
        let call = changed(GATE, "/action/name", json!(format!("issue:access_token:{name}")));
        read(call).unwrap().request
    };
    let exchange = kind("token_exchange");
    assert_eq!(exchange.grant_type, "urn:ietf:params:oauth:grant-type:token-exchange");
    assert!(!exchange.may_open_a_request() && !kind("refresh_token").may_open_a_request());
    assert_eq!(kind("device_code").grant_type, "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!(kind("urn:example:own").grant_type, "urn:example:own");
    assert_eq!(kind("authorization_code").grant_type, "authorization_code");
}

#[test]
fn what_can_be_read_and_not_be_granted_is_a_decision_and_no_error() {
    let many: Vec<Value> = (0..51).map(|n| json!({"action": {"name": format!("s{n}")}})).collect();
    let mut too_many = json_of(MACHINE);
    too_many["evaluations"].as_array_mut().unwrap().extend(many);
    let rows = [
        (too_many.to_string(), "ask for less"),
        (changed(MACHINE, "/evaluations/0/action/name", json!("issue:txn_token:client_credentials")), "txn_token"),
        (changed(MACHINE, "/subject/type", json!("workload")), "workload"),
        (changed(PERSON, "/context/client_id", Value::Null), "client_id"),
    ];
    for (call, says) in rows {
        let asked = json_of(&call)["evaluations"].as_array().unwrap().len();
        let error = read(call).unwrap_err();
        let answer = render_error(&error);
        assert_eq!(answer.status, 200, "{error}");
        assert_eq!(decisions(&answer), vec![false; asked]);
        let why = on_the_wire(&answer)["body"]["evaluations"][0]["context"]["reason_user"].clone();
        assert!(why.as_str().unwrap().contains(says), "{why}");
    }
}

#[test]
fn details_in_the_context_are_not_asked_again_as_evaluations() {
    let with = |entry: Value, action: &str, location: &str| {
        let mut body = json_of(MACHINE);
        body["context"]["authorization_details"] = json!([entry]);
        let cell = json!({"action": {"name": action}, "resource": {"type": "stock_move", "id": location}});
        body["evaluations"].as_array_mut().unwrap().push(cell);
        read(body.to_string()).unwrap().request.authorization_details.len()
    };
    let entry = json!({"type": "stock_move", "actions": ["move"], "locations": ["hall-7"], "datatypes": ["box"]});
    assert_eq!(with(entry.clone(), "move", "hall-7"), 1);
    assert_eq!(with(entry.clone(), "move:box", "hall-7"), 1);
    assert_eq!(with(entry.clone(), "move:pallet", "hall-7"), 2);
    assert_eq!(with(entry.clone(), "remove", "hall-7"), 2);
    assert_eq!(with(entry, "move", "hall-8"), 2);
    assert_eq!(with(json!({"type": "stock_move"}), "authorization_detail", "https://stock.shop.example"), 1);
    assert_eq!(with(json!({"type": "stock_move"}), "authorization_detail", "https://else.example"), 2);
    assert_eq!(with(json!({"type": "other"}), "authorization_detail", "https://stock.shop.example"), 2);
}

#[test]
fn a_detail_is_granted_with_its_gate() {
    let echo = read(PERSON).unwrap().echo;
    assert_eq!(decisions(&render(&Answer::Granted(granted("stock:read")), &echo)), [true; 7]);
    assert_eq!(decisions(&render(&Answer::Granted(granted("")), &echo)), [false; 7]);
}

#[test]
fn a_question_about_something_else_than_an_audience_is_a_detail_without_a_scope() {
    let call = json!({
        "subject": {"type": "user", "id": "mina"}, "action": {"name": "can_read"},
        "resource": {"type": "record", "id": "101"}, "context": {"client_id": "warehouse-ui"}
    });
    let asked = read_one(call.to_string()).unwrap().request;
    assert!(asked.scopes.is_empty() && asked.audience.is_empty());
    let entry = json!({"type": "record", "locations": ["101"], "actions": ["can_read"]});
    assert_eq!(asked.authorization_details, [entry]);
}

#[test]
fn the_callers_request_id_comes_back_on_every_answer() {
    let sent = |value: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        let answer = echo_request_id(message(400, "no"), &headers);
        answer.headers.into_iter().find(|(name, _)| *name == REQUEST_ID).map(|(_, value)| value)
    };
    assert_eq!(sent(b"bfe9eb29 ab87").as_deref(), Some("bfe9eb29 ab87"));
    assert_eq!(sent(b""), None);
    assert_eq!(sent(b"caf\xe9"), None);
    assert_eq!(sent("x".repeat(1_001).as_bytes()), None);
    assert_eq!(echo_request_id(message(400, "no"), &HeaderMap::new()), message(400, "no"));
}

#[test]
fn the_metadata_name_the_doors() {
    assert_eq!(
        on_the_wire(&metadata("https://countersign.example"))["body"],
        json!({
            "policy_decision_point": "https://countersign.example",
            "access_evaluation_endpoint": "https://countersign.example/access/v1/evaluation",
            "access_evaluations_endpoint": "https://countersign.example/access/v1/evaluations",
            "capabilities": ["urn:openid:authzen:capability:token-issuance"]
        })
    );
}
