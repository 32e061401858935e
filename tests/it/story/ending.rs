//! How requests and grants end.

use serde_json::json;

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER};
use crate::support::{TestApp, minutes, seconds};

#[tokio::test]
async fn nobody_decides_in_time() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    // The deadline counts by itself: here nobody has written down yet that it has passed.
    app.clock.advance(minutes(30));
    let before = app.decided().await;
    let report = app
        .page(
            "/page/click",
            json!({ "as": "U0BOB", "channel": LEDGER, "ts": card.ts,
        "block_id": card.button("approve").0, "action_id": "approve", "value": card.button("approve").1 }),
        )
        .await;
    assert_eq!(report["status"], 200);
    assert_eq!(app.decided().await, before);
    app.settle().await;
    let expired = app.card(LEDGER).await;
    assert!(expired.head().starts_with("Expired") && expired.buttons().is_empty(), "{}", expired.says);
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("Expired"));
    assert_eq!(app.happened_to(&request).await, ["request.opened", "click.refused", "request.expired"]);
    // Expiry is no denial: asking again asks people again.
    assert_ne!(app.ask(&alice("ledger:write")).await.pending(), request);
}

#[tokio::test]
async fn a_held_call_learns_that_its_request_expired() {
    let app = TestApp::start().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    app.card_comes(LEDGER).await;
    app.advance(minutes(30)).await;
    let answer = held.answer().await;
    assert!(answer.denied().contains("Nobody decided"), "{}", answer.text);
}

#[tokio::test]
async fn bob_revokes_on_the_card() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let granted = app.ask(&alice("ledger:write")).await.granted().clone();
    let card = app.card(LEDGER).await;
    // Nora may not; Carol, who may decide now, may; so could Bob, who decided, and Alice, whose it is.
    app.click("U0NORA", &card, "revoke").await;
    assert!(app.whisper_comes("U0NORA", LEDGER).await.contains("can't revoke"));
    app.click("U0CAROL", &card, "revoke").await;
    let revoked = app.card(LEDGER).await;
    assert!(revoked.head().starts_with("Revoked") && revoked.says.contains("<@U0CAROL>"), "{}", revoked.says);
    assert!(revoked.says.contains("runs out"), "it says what still works: {}", revoked.says);
    assert!(revoked.buttons().is_empty());
    assert!(app.direct("U0ALICE").await.last().expect("a message").contains("Revoked"));
    // What it covered is refused without a card for the cool-down.
    assert!(app.ask(&alice("ledger:write")).await.denied().contains("revoked"));
    assert_eq!(app.cards(LEDGER).await.len(), 1);
    app.click("U0BOB", &card, "revoke").await;
    assert!(app.whisper_comes("U0BOB", LEDGER).await.contains("over already"));
    app.advance(minutes(10)).await;
    app.ask(&alice("ledger:write")).await.pending();
    let grant = granted["grant_id"].as_str().expect("a grant");
    let shown = app.operator_sees(&format!("/v1/grants/{grant}")).await;
    assert_eq!(shown["status"], "revoked");
}

#[tokio::test]
async fn alice_hands_back_what_is_hers_and_may_not_approve_it() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    app.click("U0ALICE", &card, "approve").await;
    assert!(app.whisper_comes("U0ALICE", LEDGER).await.contains("your own request"));
    app.approve("U0BOB", &card).await;
    app.click("U0ALICE", &app.card(LEDGER).await, "revoke").await;
    assert!(app.card(LEDGER).await.head().starts_with("Revoked"));
    assert_ne!(app.ask(&alice("ledger:write")).await.status, 200);
}

#[tokio::test]
async fn an_operator_revokes_before_anything_was_issued() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    let grants = app.operator_sees("/v1/grants").await;
    let grant = grants["grants"][0]["id"].as_str().expect("a grant").to_owned();
    assert_eq!(grants["grants"][0]["status"], "reserved");
    assert_eq!(app.operator_revokes(&grant, "wrong ledger").await.body["status"], "revoked");
    assert_eq!(app.operator_revokes(&grant, "wrong ledger").await.status, 409);
    let card = app.card(LEDGER).await;
    assert!(card.head().starts_with("Revoked") && card.says.contains("wrong ledger"), "{}", card.says);
    assert!(card.says.contains("No token was issued"), "{}", card.says);
    app.ask(&alice("ledger:write")).await.denied();
    let entry = app.audit().await.into_iter().find(|entry| entry["kind"] == "grant.revoked").expect("an entry");
    assert_eq!((&entry["actor"], &entry["detail"]["reason"]), (&json!("operator ops"), &json!("wrong ledger")));
}

#[tokio::test]
async fn the_hook_revokes_on_its_clients_behalf_and_only_its_own() {
    let app = TestApp::start().await;
    let granted = app.ask(&alice("ledger:read")).await.granted().clone();
    let grant = granted["grant_id"].as_str().expect("a grant");
    let path = |hook: &str| app.url(&format!("/hooks/{hook}/grants/{grant}/revoke"));
    let revoke = |hook: &str| {
        let token = crate::support::world::SHOP_TOKEN;
        app.http.post(path(hook)).bearer_auth(token).json(&json!({ "reason": "signed out" })).send()
    };
    assert_eq!(revoke("brief").await.expect("an answer").status(), 404);
    assert_eq!(
        app.http.post(path("shop")).json(&json!({ "reason": "x" })).send().await.expect("an answer").status(),
        401
    );
    app.ask(&alice("ledger:read")).await.granted();
    assert_eq!(revoke("shop").await.expect("an answer").status(), 200);
    app.ask(&alice("ledger:read")).await.denied();
}

#[tokio::test]
async fn an_approval_that_nobody_collects_is_void() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.clock.advance(minutes(15));
    // Void by itself, before anybody wrote it down.
    let again = app.hook("shop", &alice("ledger:write")).send().await.expect("an answer");
    assert_eq!(again.status(), 202);
    app.settle().await;
    let cards = app.cards(LEDGER).await;
    assert!(cards[0].head().starts_with("Ended") && cards[0].says.contains("did not collect"), "{}", cards[0].says);
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.approved", "grant.ended"]);
    // One second earlier it would have been collected, and then lasted to its end.
    app.approve("U0BOB", &cards[1]).await;
    app.advance(minutes(15) - seconds(1)).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.advance(minutes(90)).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn a_clock_that_is_set_back_revives_nothing() {
    for restarts in [false, true] {
        let mut app = TestApp::start().await;
        let start = countersign::clock::Clock::now(&app.clock);
        app.ask(&but(alice("plain:x"), json!({ "expires_in": 600 }))).await.pending();
        app.ask(&alice("ledger:write")).await.pending();
        let (desk, ledger) = (app.card(DESK).await, app.card(LEDGER).await);
        app.approve("U0BOB", &desk).await;
        app.ask(&alice("plain:x")).await.granted();
        // Forty minutes later both are over, but nobody has written that down: the worker did not run. All that
        // tells the time is one refusal on record.
        app.clock.advance(minutes(40));
        app.ask_unsettled(&alice("unheard:of")).await.denied();
        app.clock.set(start);
        if restarts {
            app.restart().await;
        }
        let again = app.ask_unsettled(&alice("plain:x")).await;
        assert_eq!(again.status, 202, "after a restart: {restarts}, {}", again.text);
        app.click("U0BOB", &ledger, "approve").await;
        assert!(app.card(LEDGER).await.head().starts_with("Expired"), "after a restart: {restarts}");
        let grants = app.operator_sees("/v1/grants").await;
        assert_eq!(
            (&grants["grants"][0]["status"], grants["grants"].as_array().map(Vec::len)),
            (&json!("expired"), Some(1))
        );
    }
}
