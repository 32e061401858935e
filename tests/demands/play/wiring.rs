//! Between authorization servers and people.

use serde_json::{Value, json};

use super::app;
use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER, PEP_TOKEN};

fn hydra(app: &TestApp, scope: &str) -> reqwest::RequestBuilder {
    let login = json!({
        "session": {
            "client_id": "ledger-ui",
            "id_token": { "id_token_claims": { "sub": "alice@example.com" }, "subject": "alice@example.com" },
        },
        "request": {
            "client_id": "ledger-ui", "requested_scopes": [scope], "granted_scopes": [scope],
            "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"], "payload": {},
        },
    });
    app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).json(&login)
}

fn authzen(app: &TestApp, scope: &str) -> reqwest::RequestBuilder {
    let question = json!({
        "subject": { "type": "user", "id": "alice@example.com" },
        "resource": { "type": "audience", "id": AUDIENCE },
        "context": { "client_id": "ledger-ui", "reason": "month end, PAY-7" },
        "evaluations": [
            { "action": { "name": "issue:access_token:authorization_code" } }, { "action": { "name": scope } },
        ],
    });
    app.http.post(app.url("/access/v1/evaluations")).bearer_auth(PEP_TOKEN).json(&question)
}

/// Several kinds of servers call, each in its own dialect; all of it ends in a decision in Slack.
pub async fn several_dialects() {
    let app = app().await;
    for call in [hydra(&app, "ledger:write"), authzen(&app, "ledger:write")] {
        let before = app.cards(LEDGER).await.len();
        let held = TestApp::held(call);
        let card = app.until("its card", async || app.cards(LEDGER).await.into_iter().nth(before)).await;
        app.approve("U0BOB", &card).await;
        let answer = held.answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.contains("grn_"), "{}", answer.text);
    }
    app.ask(&alice("ledger:write")).await.pending();
}

/// Whatever is in doubt is refused in the server's own dialect, inside its time.
pub async fn refused_in_its_dialect() {
    let app = app().await;
    assert_eq!(Answer::of(hydra(&app, "unheard:of")).await.status, 403);
    let decisions = Answer::of(authzen(&app, "unheard:of")).await.body["evaluations"].clone();
    assert!(decisions.as_array().is_some_and(|all| all.iter().all(|one| one["decision"] == false)), "{decisions}");
    let refused = app.ask(&alice("unheard:of")).await;
    assert_eq!(refused.text("error"), "access_denied");
    let broken = app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).body("{");
    assert_eq!(Answer::of(broken).await.status, 403, "a 5xx would make it call again");
    let stranger = app.http.post(app.url("/hooks/shop")).bearer_auth("not the token").body("{");
    assert_eq!(Answer::of(stranger).await.status, 401);
}

/// A refresh and an exchange are judged again against the approval, and never ask anybody.
pub async fn refresh_is_judged_again() {
    let app = app().await;
    let refresh = but(alice("ledger:write"), json!({ "grant_type": "refresh_token" }));
    assert_eq!(app.ask(&refresh).await.text("error"), "invalid_grant");
    assert!(app.cards(LEDGER).await.is_empty());
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.ask(&refresh).await.granted();
    let exchange = json!({ "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange" });
    app.ask(&but(alice("ledger:write"), exchange)).await.granted();
    app.click("U0BOB", &app.card(LEDGER).await, "revoke").await;
    assert_ne!(app.ask(&refresh).await.status, 200, "what was revoked is refused");
}

/// The decision comes with a signed receipt that anybody can verify with the published key.
pub async fn a_signed_receipt() {
    use jsonwebtoken::jwk::JwkSet;
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let granted = app.ask(&alice("ledger:write")).await.granted().clone();
    let receipt = granted["receipt"].as_str().expect("a receipt");
    let keys = Answer::of(app.http.get(app.url("/.well-known/jwks.json"))).await.text;
    let keys: JwkSet = serde_json::from_str(&keys).expect("keys");
    let key = jsonwebtoken::DecodingKey::from_jwk(&keys.keys[0]).expect("a key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Value>(receipt, &key, &rules).expect("it verifies");
    assert_eq!(
        (&read.claims["scope"], &read.claims["grant_id"], &read.claims["request_id"]),
        (&json!("ledger:write"), &granted["grant_id"], &granted["request_id"])
    );
    // Looked for in what it says: in its letters, which are random, `bob` may be found by accident.
    let claims = read.claims.to_string();
    assert!(!claims.contains("bob@") && !claims.contains("U0BOB"), "who approved is not the client's business");
}

/// What the client is told names no approver.
pub async fn approvers_are_not_named_to_the_client() {
    let app = app().await;
    let pending = app.ask(&alice("ledger:write")).await;
    let denied = {
        app.deny_with("U0BOB", &app.card(LEDGER).await, "No.").await;
        app.ask(&alice("ledger:write")).await
    };
    for answer in [pending, denied] {
        for name in ["U0BOB", "bob@example.com", "S0LEADS", "leads"] {
            assert!(!answer.text.contains(name), "{name}: {}", answer.text);
        }
    }
}

/// A scope that is denied drops out where the server can issue less; a token without any is never issued.
pub async fn denied_scopes_drop_out() {
    let app = app().await;
    assert_eq!(app.ask(&alice("ledger:read unheard:of")).await.granted()["scope"], "ledger:read");
    assert_eq!(app.ask(&alice("unheard:of")).await.status, 403);
    assert_eq!(app.ask(&alice("")).await.status, 403, "no scope is judged as itself");
}

/// A waiting client is told the moment that its request ended; what is settled does not come back.
pub async fn one_way_out_of_pending() {
    let app = app().await;
    let held = app.ask_held(&alice("brief:x"), 20);
    let ended = held.answer().await;
    assert_eq!(ended.status, 403, "{}", ended.text);
    let request = ended.text("request_id").to_owned();
    assert_eq!(app.stands(&request).await["status"], "expired");
    let card = app
        .until("the edit", async || Some(app.card(DESK).await).filter(|card| card.head().starts_with("Expired")))
        .await;
    assert!(card.buttons().is_empty(), "no live button survives");
}
