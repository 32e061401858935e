//! Ory Hydra's token hook: a grant is a 200 with the claims that came, everything else a bare 403.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{Answer, but};
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER};

const ASSERTION: &str = "eyJhbGciOiJSUzI1NiJ9.CANARY-assertion.c2lnbmF0dXJl";

/// What Hydra sends when Alice signed in with the ledger's front end.
fn login(scopes: &[&str]) -> Value {
    json!({
        "session": {
            "id_token": {
                "id_token_claims": {
                    "iss": "https://login.ledger.test/", "sub": "alice@example.com", "aud": ["ledger-ui"],
                    "auth_time": "2027-02-03T09:59:30Z", "acr": "2", "amr": ["pwd", "hwk"],
                    "ext": { "sid": "3f6c", "big": 9_007_199_254_740_993_i64 }
                },
                "headers": { "extra": {} }, "subject": "alice@example.com"
            },
            "extra": { "hall": "7", "rate": 1.10, "nested": { "a": [1, null] } },
            "client_id": "ledger-ui", "consent_challenge": "c0ffee"
        },
        "request": {
            "client_id": "ledger-ui", "requested_scopes": scopes, "granted_scopes": scopes,
            "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"],
            "payload": { "grant_type": ["authorization_code"], "assertion": [ASSERTION] }
        }
    })
}

fn call(app: &TestApp, body: &str) -> RequestBuilder {
    let call = app.http.post(app.url("/hooks/hydra")).header("x-countersign-key", HYDRA_KEY);
    call.header("content-type", "application/json").body(body.to_owned())
}

/// Asserts the one answer that is no grant.
#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (403, ""), "{}", answer.text);
}

#[tokio::test]
async fn hydra_gets_its_own_claims_back_with_the_approval_beside_them() {
    let app = TestApp::start().await;
    let allowed = Answer::of(call(&app, &login(&["ledger:read"]).to_string())).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text);
    let session = &allowed.body["session"];
    assert_eq!(session["id_token"], json!({ "sid": "3f6c", "big": 9_007_199_254_740_993_i64 }));
    let mut claims = session["access_token"].clone();
    let approval = claims.as_object_mut().expect("claims").remove("approval").expect("the approval");
    assert_eq!(claims, login(&[])["session"]["extra"]);
    assert_eq!(approval["scope"], "ledger:read");
    assert!(approval["id"].as_str().is_some_and(|id| id.starts_with("grn_")), "{approval}");
    assert_eq!(app.operator_sees("/v1/grants").await["grants"][0]["hook"], "hydra");
}

#[tokio::test]
async fn hydra_is_held_until_somebody_clicks_and_is_told_no_in_every_other_case() {
    let app = TestApp::start().await;
    let hold = |scopes: &[&str]| TestApp::held(call(&app, &login(scopes).to_string()));
    let held = hold(&["ledger:write"]);
    let card = app.card_comes(LEDGER).await;
    app.approve("U0BOB", &card).await;
    let granted = held.answer().await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("is approved"));
    // Hydra sets the life of its tokens itself, and the card says so.
    app.click("U0BOB", &app.card(LEDGER).await, "revoke").await;
    let revoked = app.card(LEDGER).await;
    assert!(revoked.says.contains("sets the life of its tokens itself"), "{}", revoked.says);
    refused(&Answer::of(call(&app, &login(&["ledger:write"]).to_string())).await);

    let held = hold(&["plain:x"]);
    let card = app.card_comes(DESK).await;
    app.deny_with("U0BOB", &card, "Not for this.").await;
    refused(&held.answer().await);

    let held = hold(&["plain:y"]);
    app.until("its card", async || (app.cards(DESK).await.len() == 2).then_some(())).await;
    app.service().drain();
    refused(&held.answer().await);
}

#[tokio::test]
async fn hydra_cannot_issue_less_so_one_scope_that_is_refused_refuses_all() {
    let app = TestApp::start().await;
    refused(&Answer::of(call(&app, &login(&["ledger:read", "unheard:of"]).to_string())).await);
    let many: Vec<String> = (0..51).map(|n| format!("a{n}:read")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(&Answer::of(call(&app, &login(&many).to_string())).await);
    refused(&Answer::of(call(&app, &login(&[]).to_string())).await);
    assert!(app.operator_sees("/v1/grants").await["grants"].as_array().expect("a list").is_empty());
    assert_eq!(app.happened().await, ["token.refused"; 3]);
}

#[tokio::test]
async fn once_hydra_is_known_nothing_but_a_grant_is_not_a_403() {
    let app = TestApp::start().await;
    let body = login(&["ledger:read"]);
    let mut no_client = body.clone();
    no_client["request"]["client_id"] = json!("");
    let mut no_request = body.clone();
    no_request["request"] = json!(null);
    let mut odd_scope = body.clone();
    odd_scope["request"]["granted_scopes"] = json!(["a b", "ü"]);
    for bad in [
        "",
        "{",
        "null",
        "[]",
        "7",
        &"[".repeat(100_000),
        &no_client.to_string(),
        &no_request.to_string(),
        &odd_scope.to_string(),
        &but(body.clone(), json!({ "session": 7 })).to_string(),
    ] {
        refused(&Answer::of(call(&app, bad)).await);
    }
    for (name, key) in [("x-countersign-key", "wrong"), ("x-countersign-key", ""), ("authorization", HYDRA_KEY)] {
        let knock = app.http.post(app.url("/hooks/hydra")).header(name, key).body(body.to_string());
        assert_eq!(Answer::of(knock).await.status, 401, "{name}");
    }
    let written = json!(app.audit().await).to_string();
    assert!(!written.contains("CANARY"), "an assertion or a key is in the audit");
}

#[tokio::test]
async fn a_refresh_finds_the_grant_of_its_login_and_never_asks_anybody() {
    let app = TestApp::start().await;
    let refresh = json!({
        "subject": "alice@example.com", "session": login(&[])["session"], "client_id": "ledger-ui",
        "requester": {
            "client_id": "ledger-ui", "granted_scopes": ["plain:x"], "granted_audience": [AUDIENCE],
            "grant_types": ["refresh_token"]
        },
    });
    refused(&Answer::of(call(&app, &refresh.to_string())).await);
    app.settle().await;
    assert!(app.cards(DESK).await.is_empty());
    let held = TestApp::held(call(&app, &login(&["plain:x"]).to_string()));
    let card = app.card_comes(DESK).await;
    app.approve("U0BOB", &card).await;
    assert_eq!(held.answer().await.status, 200);
    assert_eq!(Answer::of(call(&app, &refresh.to_string())).await.status, 200);
    let mut wider = refresh.clone();
    wider["requester"]["granted_scopes"] = json!(["plain:x", "plain:y"]);
    refused(&Answer::of(call(&app, &wider.to_string())).await);
    // What the client sent along as a credential is kept nowhere.
    let mut kept = Vec::new();
    for name in ["countersign.db", "countersign.db-wal"] {
        kept.extend(std::fs::read(app.file(name)).expect("a file"));
    }
    assert!(!String::from_utf8_lossy(&kept).contains("CANARY"));
    assert!(!app.slack_log().await.contains("CANARY-assertion"));
}

#[tokio::test]
async fn a_machine_asks_for_itself_through_hydra() {
    let app = TestApp::start().await;
    let mut body = login(&["ledger:export"]);
    body["request"]["grant_types"] = json!(["client_credentials"]);
    body["request"]["client_id"] = json!("build-job");
    body["session"]["id_token"]["subject"] = json!("build-job");
    body["session"]["id_token"]["id_token_claims"]["sub"] = json!("");
    // A rule denies machines this scope: it takes it for one.
    refused(&Answer::of(call(&app, &body.to_string())).await);
    body["request"]["granted_scopes"] = json!(["ledger:read"]);
    assert_eq!(Answer::of(call(&app, &body.to_string())).await.status, 200);
    assert_eq!(
        app.operator_sees("/v1/grants").await["grants"][0]["subject"],
        json!({ "kind": "client", "id": "build-job" })
    );
}
