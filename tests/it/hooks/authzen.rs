//! AuthZEN's doors: questions in, decisions out, and a grant behind every yes.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{Answer, but};
use crate::support::world::{AUDIENCE, DESK, LEDGER, PEP_TOKEN, SHOP_TOKEN};

/// The gate and one question for each scope, about Alice.
fn token(scopes: &[&str]) -> Value {
    let mut evaluations = vec![json!({ "action": { "name": "issue:access_token:authorization_code" } })];
    evaluations.extend(scopes.iter().map(|scope| json!({ "action": { "name": scope } })));
    json!({
        "subject": { "type": "user", "id": "alice@example.com" },
        "resource": { "type": "audience", "id": AUDIENCE },
        "context": { "client_id": "ledger-ui", "reason": "month end, PAY-7", "requested_lifetime": 900 },
        "evaluations": evaluations,
    })
}

fn call(app: &TestApp, door: &str, body: &Value) -> RequestBuilder {
    let call = app.http.post(app.url(&format!("/access/v1/{door}"))).bearer_auth(PEP_TOKEN);
    call.header("x-request-id", "pep-1").json(body)
}

async fn evaluations(app: &TestApp, body: &Value) -> Vec<Value> {
    let answer = Answer::of(call(app, "evaluations", body)).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (200, "pep-1"), "{}", answer.text);
    answer.body["evaluations"].as_array().expect("a list").clone()
}

fn yes(decisions: &[Value]) -> Vec<bool> {
    decisions.iter().map(|decision| decision["decision"].as_bool().expect("a decision")).collect()
}

#[tokio::test]
async fn what_is_allowed_is_a_yes_with_its_ceilings_and_what_is_not_is_left_out() {
    let app = TestApp::start().await;
    let decisions = evaluations(&app, &token(&["ledger:read", "stock:read"])).await;
    assert_eq!(yes(&decisions), [true; 3]);
    let issuance = &decisions[0]["context"]["issuance"];
    assert_eq!(issuance, &json!({ "granted_scope": "ledger:read stock:read", "token_lifetime": 600 }));
    assert!(decisions[0]["context"]["approval"]["id"].as_str().is_some_and(|id| id.starts_with("grn_")));
    // This server can issue less: what no rule names drops out and says so.
    let narrowed = evaluations(&app, &token(&["ledger:read", "unheard:of"])).await;
    assert_eq!(yes(&narrowed), [true, true, false]);
    assert_eq!(narrowed[0]["context"]["issuance"]["granted_scope"], "ledger:read");
    let nothing = evaluations(&app, &token(&["unheard:of"])).await;
    assert_eq!(yes(&nothing), [false; 2]);
    assert_eq!(yes(&evaluations(&app, &token(&[])).await), [false], "no scope is no yes");
}

#[tokio::test]
async fn a_held_evaluation_is_answered_when_bob_clicks() {
    let app = TestApp::start().await;
    let held = TestApp::held(call(&app, "evaluations", &token(&["ledger:write"])));
    let card = app.card_comes(LEDGER).await;
    assert!(card.says.contains("PAY-7"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    let answer = held.answer().await;
    let decisions = answer.body["evaluations"].as_array().expect("a list");
    assert_eq!(yes(decisions), [true; 2], "{}", answer.text);
    assert_eq!(decisions[0]["context"]["issuance"]["token_lifetime"], 600);
    assert_eq!(app.cards(LEDGER).await.len(), 1);

    let held = TestApp::held(call(&app, "evaluations", &token(&["plain:x"])));
    let card = app.card_comes(DESK).await;
    app.deny_with("U0BOB", &card, "Not today.").await;
    let answer = held.answer().await;
    assert_eq!(answer.body["evaluations"][0]["context"]["reason"], "approver_denied", "{}", answer.text);

    // Nobody decides before the service stops: no, with what to wait for.
    let held = TestApp::held(call(&app, "evaluations", &token(&["plain:y"])));
    app.until("its card", async || (app.cards(DESK).await.len() == 2).then_some(())).await;
    app.service().drain();
    let answer = held.answer().await;
    let gate = &answer.body["evaluations"][0];
    assert_eq!((&gate["decision"], &gate["context"]["reason"]), (&json!(false), &json!("approval_required")));
    assert!(gate["context"]["access_request"]["expires_at"].is_string(), "{gate}");
}

#[tokio::test]
async fn one_question_gets_one_decision() {
    let app = TestApp::start().await;
    let mut body = token(&[]);
    body.as_object_mut().expect("an object").remove("evaluations");
    let ask = |action: &str, scope: Value| {
        let mut one = but(body.clone(), json!({ "action": { "name": action } }));
        one["context"]["scope"] = scope;
        Answer::of(call(&app, "evaluation", &one))
    };
    let gate = ask("issue:access_token:client_credentials", json!("ledger:read")).await;
    assert_eq!((gate.status, &gate.body["decision"]), (200, &json!(true)), "{}", gate.text);
    assert_eq!(gate.body["context"]["issuance"]["granted_scope"], "ledger:read");
    let scope = ask("ledger:read", json!(null)).await;
    assert_eq!(scope.body["decision"], true, "{}", scope.text);
    let unknown = ask("unheard:of", json!(null)).await;
    assert_eq!((unknown.status, &unknown.body["decision"]), (200, &json!(false)));
}

#[tokio::test]
async fn callers_that_are_unknown_or_unclear_get_a_message_and_their_identifier_back() {
    let app = TestApp::start().await;
    for door in ["evaluation", "evaluations"] {
        for token_shown in ["wrong", SHOP_TOKEN] {
            let knock =
                call(&app, door, &token(&["ledger:read"])).header("authorization", format!("Bearer {token_shown}"));
            let answer = Answer::of(knock).await;
            assert_eq!((answer.status, answer.header("x-request-id")), (401, "pep-1"), "{door}");
        }
        for bad in
            ["", "{", "null", "[]", "{}", &"[".repeat(100_000), &format!("{{\"evaluations\":{}}}", "[".repeat(100_000))]
        {
            let knock = app.http.post(app.url(&format!("/access/v1/{door}"))).bearer_auth(PEP_TOKEN);
            let answer = Answer::of(knock.header("x-request-id", "pep-1").body(bad.to_owned())).await;
            assert_eq!((answer.status, answer.header("x-request-id")), (400, "pep-1"), "{door}: {}", answer.text);
            assert!(answer.body.is_string(), "{door}: a message, not {}", answer.text);
        }
        let long = call(&app, door, &but(token(&[]), json!({ "pad": "x".repeat(300_000) })));
        let answer = Answer::of(long).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (413, "pep-1"), "{door}");
    }
    let mut other = token(&["ledger:read"]);
    other["evaluations"][1]["subject"] = json!({ "type": "user", "id": "carol@example.com" });
    let answer = Answer::of(call(&app, "evaluations", &other)).await;
    assert!(answer.status == 400 && answer.text.contains("subject"), "{}", answer.text);
    let named = call(&app, "evaluations", &token(&["plain:x"])).header("webhook-id", "one");
    let held = TestApp::held(named);
    app.card_comes(DESK).await;
    held.give_up();
    let conflict = call(&app, "evaluations", &token(&["plain:y"])).header("webhook-id", "one");
    assert_eq!(Answer::of(conflict).await.status, 409);
}

#[tokio::test]
async fn the_metadata_says_where_to_ask() {
    let app = TestApp::start().await;
    let metadata = Answer::of(app.http.get(app.url("/.well-known/authzen-configuration"))).await;
    assert_eq!(metadata.status, 200);
    for (name, path) in [("access_evaluation_endpoint", "evaluation"), ("access_evaluations_endpoint", "evaluations")] {
        assert_eq!(metadata.text(name), app.url(&format!("/access/v1/{path}")));
    }
    assert_eq!(metadata.text("policy_decision_point"), app.url(""));
}
