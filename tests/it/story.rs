//! The story of a token, as an operator could tell it.

mod asking;
mod asking_again;
mod asking_ahead;
mod breaking_glass;
mod cooling_down;
mod deciding;
mod digesting;
mod ending;
mod home;
mod hours;
mod keys;
mod leaving_nothing;
mod less;
mod living;
mod nobody;
mod notifying;
mod numbers;
mod observing;
mod parties;
mod reloading;
mod reminding;
mod standing;
mod step_up;
mod step_up_filled;
mod together;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::support::asking::{Answer, alice, but};
use crate::support::world::{AUDIENCE, DESK, LEDGER};
use crate::support::{TestApp, minutes, seconds};

#[tokio::test]
async fn alice_asks_bob_approves_and_her_client_gets_tokens_until_the_time_is_up() {
    let mut app = TestApp::start().await;

    // Her client asks. Nothing is issued; the card stands in the rule's channel, and Alice is told.
    let asked = app.ask(&alice("ledger:write")).await;
    let request = asked.pending();
    assert_eq!((asked.header("retry-after"), &asked.body["interval"]), ("5", &json!(5)));
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Approval needed"), "{}", card.head());
    for said in ["Book entries in the ledger", "ledger:write", "ledger-cli", "<!subteam^S0LEADS>", "PAY-7", &request] {
        assert!(card.says.contains(said), "`{said}` is missing: {}", card.says);
    }
    assert_eq!(card.buttons(), ["approve", "changes", "deny", "more"]);
    assert!(app.direct("U0ALICE").await[0].contains("is received"));

    // Bob approves. The card says so where it stands, and offers to revoke; Alice is told.
    app.approve("U0BOB", &card).await;
    let approved = app.card(LEDGER).await;
    assert_eq!(approved.ts, card.ts);
    assert!(approved.head().starts_with("Approved") && approved.says.contains("<@U0BOB>"), "{}", approved.says);
    assert_eq!(approved.buttons(), ["revoke"]);
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("is approved"));

    // A minute later the client asks again and is answered at once: the token's ten minutes of the grant's two hours.
    app.advance(minutes(1)).await;
    let granted = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!((&granted["scope"], &granted["expires_in"]), (&json!("ledger:write"), &json!(600)));
    assert_eq!(granted["request_id"], json!(request));
    receipt_is_true(&app, &granted).await;

    // Five minutes before the end a token lives five minutes, also after a restart.
    app.restart().await;
    app.advance(minutes(114)).await;
    let last = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!((&last["expires_in"], &last["grant_id"]), (&json!(300), &granted["grant_id"]));
    assert_eq!(last["grant_expires_at"], granted["grant_expires_at"]);
    receipt_is_true(&app, &last).await;

    // All that time there was one card. Now the time is up: the card says so, and asking again asks people.
    assert!(app.card(LEDGER).await.head().starts_with("Approved"));
    app.advance(minutes(5)).await;
    let ended = app.card(LEDGER).await;
    assert!(ended.head().starts_with("Ended") && ended.buttons().is_empty(), "{}", ended.says);
    assert_ne!(app.ask(&alice("ledger:write")).await.pending(), request);
    assert_eq!(app.cards(LEDGER).await.len(), 2);
    let happened =
        ["request.opened", "request.approved", "token.issued", "grant.ending", "token.issued", "grant.ended"];
    assert_eq!(app.happened_to(&request).await, happened);
}

#[tokio::test]
async fn a_held_call_is_answered_the_moment_bob_clicks() {
    let app = TestApp::working().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    let card = app.card_comes(LEDGER).await;
    assert!(!held.is_answered());
    app.click("U0BOB", &card, "approve").await;
    let granted = held.answer().await;
    assert_eq!(granted.granted()["expires_in"], 600);
    let card =
        app.until("the edit", async || app.cards(LEDGER).await.pop().filter(|c| c.buttons() == ["revoke"])).await;
    assert!(card.head().starts_with("Approved"));
}

#[tokio::test]
async fn what_a_rule_allows_is_answered_at_once_and_an_operator_can_still_stop_it() {
    let app = TestApp::start().await;
    let first = app.ask(&alice("ledger:read")).await.granted().clone();
    assert_eq!((&first["expires_in"], first.get("request_id")), (&json!(600), None));
    receipt_is_true(&app, &first).await;
    let second = app.ask(&alice("ledger:read")).await.granted().clone();
    assert_eq!(second["grant_id"], first["grant_id"], "one grant counts them all");
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.is_empty());

    let grant = first["grant_id"].as_str().expect("a grant");
    assert_eq!(app.operator_revokes(grant, "the ledger is being moved").await.status, 200);
    // Refused for what was left of it, which is longer than the cool-down; for her alone.
    app.advance(minutes(7 * 60)).await;
    assert!(app.ask(&alice("ledger:read")).await.denied().contains("revoked"));
    let carol = but(alice("ledger:read"), json!({ "subject": "carol@example.com" }));
    app.ask(&carol).await.granted();
    app.advance(minutes(61)).await;
    app.ask(&alice("ledger:read")).await.granted();
}

#[tokio::test]
async fn what_no_rule_names_is_refused_and_what_a_rule_denies_says_why() {
    let app = TestApp::start().await;
    assert_eq!(app.ask(&alice("unheard:of")).await.text("error"), "access_denied");
    let job = but(alice("ledger:export"), json!({ "subject": null }));
    assert_eq!(app.ask(&job).await.denied(), "Exports are made by people.");
    for reason in [json!(null), json!("because"), json!("")] {
        let asked = app.ask(&but(alice("ledger:pay"), json!({ "reason": reason }))).await;
        assert!(asked.denied().contains("Name the ticket, like PAY-1"), "{}", asked.text);
    }
    // One scope that no rule names takes the others with it or drops out; it is never issued.
    let mixed = app.ask(&alice("ledger:read unheard:of")).await;
    assert!(mixed.status == 403 || mixed.granted()["scope"] == "ledger:read", "{}", mixed.text);
    assert!(app.cards(DESK).await.is_empty());
    assert!(app.happened().await.iter().filter(|kind| *kind == "token.refused").count() >= 5);
}

/// The receipt verifies with the published key and says what the answer says.
async fn receipt_is_true(app: &TestApp, granted: &Value) {
    let keys = Answer::of(app.http.get(app.url("/.well-known/jwks.json"))).await;
    let keys: JwkSet = serde_json::from_str(&keys.text).expect("a key set");
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    let key = DecodingKey::from_jwk(&keys.keys[0]).expect("a key");
    let receipt = granted["receipt"].as_str().expect("a receipt");
    let claims = jsonwebtoken::decode::<Value>(receipt, &key, &rules).expect("a valid receipt").claims;
    assert_eq!(claims["scope"], granted["scope"]);
    assert_eq!(claims["grant_id"], granted["grant_id"]);
    assert_eq!(claims["sub"], "alice@example.com");
    let lives = claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat");
    let said = granted["expires_in"].as_i64().expect("a number");
    assert!((said..=said + 1).contains(&lives), "{lives} {said}");
}

#[tokio::test]
async fn nobody_is_told_a_secret() {
    let app = TestApp::start().await;
    let card = {
        app.ask(&alice("ledger:write")).await.pending();
        app.card(LEDGER).await
    };
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&alice("ledger:write")).await;
    app.advance(seconds(1)).await;
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    let audit = json!(app.audit().await).to_string();
    let mut files = Vec::new();
    for name in ["countersign.db", "countersign.db-wal"] {
        files.extend(std::fs::read(app.file(name)).expect("a file"));
    }
    let files = String::from_utf8_lossy(&files).into_owned();
    let (_, button) = card.button("approve");
    for (place, text) in [
        ("metrics", &metrics),
        ("audit", &audit),
        ("answer", &granted.text),
        ("Slack", &app.slack_log().await),
        ("files", &files),
    ] {
        assert!(!text.contains("CANARY"), "a secret is in the {place}");
        assert!(place == "Slack" || !text.contains(&button), "a button's value is in the {place}");
    }
}
