//! Retries, repetitions, restarts: one request, one card.

use serde_json::{Value, json};

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes};

#[tokio::test]
async fn calls_of_the_same_instant_share_one_request_and_one_card() {
    let app = TestApp::working().await;
    // Half of them wait; some have identifiers, some have none.
    let calls: Vec<_> = (0..24)
        .map(|n| {
            let call = app.hook("shop", &alice("ledger:write")).header("prefer", "wait=20");
            TestApp::held(if n % 2 == 0 { call } else { call.header("webhook-id", format!("call-{n}")) })
        })
        .collect();
    let card = app.card_comes(LEDGER).await;
    app.click("U0BOB", &card, "approve").await;
    let mut grants = std::collections::BTreeSet::new();
    for call in calls {
        let answer = call.answer().await;
        grants.insert(answer.granted()["grant_id"].to_string());
    }
    assert_eq!(grants.len(), 1);
    assert_eq!(app.cards(LEDGER).await.len(), 1);
    let posts = async || app.slack_calls("chat.postMessage").await.len();
    app.until("every message", async || (posts().await >= 5).then_some(())).await;
    assert_eq!(posts().await, 5, "the card, two replies in its thread, two messages to Alice");
    let opened = app.happened().await;
    assert_eq!(opened.iter().filter(|kind| *kind == "request.opened").count(), 1, "{opened:?}");
}

#[tokio::test]
async fn clients_that_give_up_and_come_back_find_their_request() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        let held = app.ask_held(&alice("ledger:write"), 20);
        app.card_comes(LEDGER).await;
        held.give_up();
    }
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.held_is(0).await;
}

#[tokio::test]
async fn a_restart_in_mid_request_loses_nothing() {
    let mut app = TestApp::start().await;
    let held = app.ask_held(&alice("ledger:write"), 25);
    let card = app.card_comes(LEDGER).await;
    // Before the stop the waiting call is answered, and another request has not reached Slack yet.
    let unsent = app.hook("shop", &alice("plain:x")).send().await.expect("an answer");
    assert_eq!(unsent.status(), 202);
    app.stop().await;
    let request = held.answer().await.pending();

    app.run().await.expect("it starts again");
    app.settle().await;
    assert_eq!(app.cards(DESK).await.len(), 1, "what waited in the outbox is sent");
    assert_eq!(app.ask(&alice("ledger:write")).await.pending(), request);
    assert_eq!(app.card(LEDGER).await, card);
    app.approve("U0BOB", &card).await;
    app.restart().await;
    assert_eq!(app.ask(&alice("ledger:write")).await.granted()["request_id"], json!(request));
    assert_eq!(app.cards(LEDGER).await.len(), 1);
}

#[tokio::test]
async fn a_retry_with_other_claims_joins_is_noted_and_gets_no_more_than_was_shown() {
    let app = TestApp::start().await;
    let first = but(alice("ledger:write"), json!({ "expires_in": 900, "context": { "ip": "203.0.113.7" } }));
    let request = app.ask(&first).await.pending();
    let card = app.card(LEDGER).await;
    let other = but(
        first.clone(),
        json!({ "expires_in": 7200, "reason": "<!channel> urgent", "context": { "ip": "198.51.100.1" } }),
    );
    assert_eq!(app.ask(&other).await.pending(), request);
    assert_eq!(app.ask(&other).await.pending(), request);
    assert_eq!(app.card(LEDGER).await, card, "what people were shown does not change");
    let mut notes = app.thread(&card).await;
    notes.retain(|note| note.contains("Asked again"));
    assert_eq!(notes.len(), 1, "noted once: {notes:?}");
    for said in ["another reason", "urgent", "7200", "198.51.100.1"] {
        assert!(notes[0].contains(said), "{notes:?}");
    }
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.joined"]);
    app.approve("U0BOB", &card).await;
    let granted = app.ask(&other).await.granted().clone();
    assert_eq!(granted["expires_in"], 600);
    app.advance(minutes(14)).await;
    assert_eq!(app.ask(&other).await.granted()["expires_in"], 60, "fifteen minutes were shown");
}

#[tokio::test]
async fn anything_that_is_another_request_gets_another_card_and_another_grant() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    let changes: [Value; 8] = [
        json!({ "scope": "plain:x plain:y" }),
        json!({ "client_id": "other-cli" }),
        json!({ "subject": "carol@example.com" }),
        json!({ "subject": null }),
        json!({ "audience": ["https://other.test"] }),
        json!({ "audience": ["https://ledger.test", "https://other.test"] }),
        json!({ "actor": ["agent-7"] }),
        json!({ "authorization_details": [{ "type": "payment", "amount": 1 }] }),
    ];
    for change in &changes {
        app.ask(&but(alice("plain:x"), change.clone())).await.pending();
    }
    app.ask(&but(alice("plain:x"), json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } })))
        .await
        .pending();
    assert_eq!(app.cards(DESK).await.len(), 10);
    // While pending, another number is another request; order and repetition of scopes are not.
    let numbered = |n: &str| but(alice("plain:n"), json!({ "binding_message": n }));
    let one = app.ask(&numbered("11")).await.pending();
    assert_ne!(app.ask(&numbered("22")).await.pending(), one);
    let ab = app.ask(&alice("plain:a plain:b")).await.pending();
    assert_eq!(app.ask(&alice("plain:b  plain:a plain:b")).await.pending(), ab);
}

#[tokio::test]
async fn the_same_call_identifier_is_the_same_call_and_another_body_under_it_is_a_conflict() {
    let app = TestApp::start().await;
    let request = app.ask_as("call-1", &alice("vault:open")).await.pending();
    assert_eq!(app.ask_as("call-1", &alice("vault:open")).await.pending(), request);
    app.ask_as("call-1", &alice("vault:open plain:x")).await.problem(409);
    assert_eq!(app.happened().await, ["request.opened", "token.refused"], "a conflict is on record");
    app.approve("U0BOB", &app.card(DESK).await).await;

    // Pending became granted; asking once more under the same identifier is not a second use.
    let granted = app.ask_as("call-1", &alice("vault:open")).await.granted().clone();
    app.advance(minutes(2)).await;
    let repeated = app.ask_as("call-1", &alice("vault:open")).await.granted().clone();
    assert_eq!(repeated["grant_id"], granted["grant_id"]);
    app.ask_as("call-1", &alice("plain:x")).await.problem(409);
    // Another call would be a second use: it needs people again.
    assert_ne!(app.ask_as("call-2", &alice("vault:open")).await.pending(), request);
    assert_eq!(app.operator_sees("/v1/grants").await["grants"][0]["used"], 1);

    // Granted became refused: repeating the call after the revocation gives nothing.
    let grant = granted["grant_id"].as_str().expect("a grant");
    let revoked = app.operator_revokes(grant, "lost laptop").await;
    assert!([200, 409].contains(&revoked.status), "{}", revoked.text);
    app.advance(minutes(30)).await;
    assert_ne!(app.ask_as("call-1", &alice("vault:open")).await.status, 200);
}

#[tokio::test]
async fn a_single_use_without_identifiers_counts_an_identical_call_within_a_minute_as_the_same() {
    let app = TestApp::start().await;
    app.ask(&alice("vault:open")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let granted = app.ask(&alice("vault:open")).await.granted().clone();
    app.advance(minutes(0)).await;
    app.clock.advance(std::time::Duration::from_secs(59));
    assert_eq!(app.ask(&alice("vault:open")).await.granted()["grant_id"], granted["grant_id"]);
    app.clock.advance(std::time::Duration::from_secs(1));
    app.ask(&alice("vault:open")).await.pending();
    assert_eq!(app.cards(DESK).await.len(), 2);
}
