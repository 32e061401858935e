//! How access lives and ends.

use serde_json::{Value, json};

use super::{app, policy, usual};
use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but};
use crate::support::world::{DESK, LEDGER, SHOP_TOKEN};

/// Asks, has Bob approve, and collects. Answers what the client got.
async fn granted(app: &TestApp, body: &Value, channel: &str) -> Value {
    app.ask(body).await.pending();
    let card = app.cards(channel).await.pop().expect("a card");
    app.approve("U0BOB", &card).await;
    app.ask(body).await.granted().clone()
}

/// A warning before the end, Extend, and no gap; then the end is told on the card and to the requester.
pub async fn warned_extended_and_ended() {
    let app = app().await;
    let old = granted(&app, &alice("short:x"), DESK).await["grant_id"].clone();
    let warned = app
        .until("the warning", async || Some(app.last_direct("U0ALICE").await).filter(|m| m.says.contains("Ends soon")))
        .await;
    app.click("U0ALICE", &warned, "my_extend").await;
    app.sends("U0ALICE", json!({ "time": { "time": "300" }, "reason": { "reason": "not done, PAY-7" } })).await;
    let card = app.until("the second card", async || app.cards(DESK).await.into_iter().nth(1)).await;
    app.approve("U0BOB", &card).await;
    // From now until well past the old end there is no moment without.
    let mut grants = std::collections::BTreeSet::new();
    for _ in 0..8 {
        grants.insert(app.ask(&alice("short:x")).await.granted()["grant_id"].to_string());
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert!(grants.len() >= 2 || !grants.contains(&old.to_string()), "the new one stands beside the old one");
    app.until("the end on the card", async || app.card_of(DESK, 0).await.head().starts_with("Ended").then_some(()))
        .await;
}

/// When the time is up the card says so, and so does the requester's message; nothing is issued any more.
pub async fn the_end_is_told() {
    let app = app().await;
    granted(&app, &but(alice("short:x"), json!({ "expires_in": 6 })), DESK).await;
    app.until("the end on the card", async || app.card(DESK).await.head().starts_with("Ended").then_some(())).await;
    assert!(app.card(DESK).await.buttons().is_empty(), "no live button survives");
    app.until("the end told", async || {
        app.direct("U0ALICE").await.iter().any(|said| said.starts_with("Ended")).then_some(())
    })
    .await;
    assert_eq!(
        app.ask(&but(alice("short:x"), json!({ "grant_type": "refresh_token" }))).await.text("error"),
        "invalid_grant"
    );
}

/// Two grants that overlap do not disturb each other.
pub async fn overlapping_grants() {
    let app = app().await;
    granted(&app, &alice("plain:a"), DESK).await;
    granted(&app, &alice("plain:a plain:b"), DESK).await;
    let card = app.card_of(DESK, 0).await;
    app.click("U0BOB", &card, "revoke").await;
    // What the second one covers is still issued; revoking the first refuses only what nothing else covers.
    assert_eq!(app.ask(&alice("plain:a plain:b")).await.granted()["scope"], "plain:a plain:b");
}

/// Ending it is one press or one line, for those who approved and for whoever has it; and by the API.
pub async fn easy_to_end() {
    let app = app().await;
    granted(&app, &alice("plain:a"), DESK).await;
    app.click("U0BOB", &app.card_of(DESK, 0).await, "revoke").await;
    assert!(app.card_of(DESK, 0).await.head().starts_with("Revoked"));
    granted(&app, &alice("plain:b"), DESK).await;
    app.click("U0ALICE", &app.last_direct("U0ALICE").await, "my_done").await;
    assert!(app.card_of(DESK, 1).await.head().starts_with("Ended"));
    granted(&app, &alice("plain:c"), DESK).await;
    assert!(app.types("U0ALICE", "done").await.contains("Handed back"));
    let grant = granted(&app, &alice("plain:d"), DESK).await["grant_id"].as_str().expect("a grant").to_owned();
    assert_eq!(app.operator_revokes(&grant, "enough").await.status, 200);
    assert!(app.card_of(DESK, 3).await.head().starts_with("Revoked"));
    // The hook ends what its client is done with.
    let grant = granted(&app, &alice("plain:e"), DESK).await["grant_id"].as_str().expect("a grant").to_owned();
    let call = app.http.post(app.url(&format!("/hooks/shop/grants/{grant}/revoke"))).bearer_auth(SHOP_TOKEN);
    assert_eq!(Answer::of(call.json(&json!({ "reason": "done" }))).await.status, 200);
    app.settle().await;
    assert_ne!(app.ask(&alice("plain:e")).await.status, 200);
}

/// A token never outlives its grant, and a refresh afterwards is refused.
pub async fn tokens_end_with_the_grant() {
    let app = app().await;
    let body = but(alice("short:x"), json!({ "expires_in": 12 }));
    let first = granted(&app, &body, DESK).await;
    assert!(first["expires_in"].as_u64().is_some_and(|left| left <= 10), "{first}");
    let refresh = but(body, json!({ "grant_type": "refresh_token" }));
    app.wait(4).await;
    let later = app.ask(&refresh).await.granted().clone();
    assert!(later["expires_in"].as_u64().is_some_and(|left| left <= 8), "what is left of the grant: {later}");
    app.until("the end", async || (app.ask(&refresh).await.text("error") == "invalid_grant").then_some(())).await;
}

/// Revoking twice is one revocation, and the second is told that it is over; it is retried until Slack shows it.
pub async fn revoking_is_idempotent() {
    let app = app().await;
    let grant = granted(&app, &alice("plain:x"), DESK).await["grant_id"].as_str().expect("a grant").to_owned();
    app.fault(json!({ "method": "chat.update", "kind": "http_500", "times": 2 })).await;
    let (one, two) = tokio::join!(app.operator_revokes(&grant, "enough"), app.operator_revokes(&grant, "enough"));
    let statuses = [one.status, two.status];
    assert!(statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    assert_eq!(app.times("grant.revoked").await, 1);
    assert_ne!(app.ask(&alice("plain:x")).await.status, 200, "it is off at once, whatever Slack shows");
    app.until("the card", async || app.card(DESK).await.head().starts_with("Revoked").then_some(())).await;
}

/// Nobody decides: the request ends by itself, the card says so, and a restart finds it as well.
pub async fn pending_requests_expire() {
    let mut app = app().await;
    let request = app.ask(&alice("brief:x")).await.pending();
    app.kill();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    app.run().await;
    app.until("the end", async || app.card(DESK).await.head().starts_with("Expired").then_some(())).await;
    assert_eq!(app.stands(&request).await["status"], "expired");
    assert!(app.card(DESK).await.buttons().is_empty());
}

/// Half an hour to decide unless the policy says otherwise; a call is held for seconds and then told to come again.
pub async fn time_to_decide() {
    let app = usual().start().await;
    let request = app.ask(&alice("plain:x")).await.pending();
    let view = app.stands(&request).await;
    let at =
        |name: &str| view[name].as_str().expect("a time").parse::<chrono::DateTime<chrono::Utc>>().expect("a time");
    assert_eq!((at("decide_by") - at("opened_at")).num_minutes(), 30);
}

/// An approval is for one client, subject, actor, audience and key; anything else is another request.
pub async fn bound_to_what_was_asked() {
    let app = app().await;
    granted(&app, &alice("plain:x"), DESK).await;
    for other in [
        json!({ "client_id": "other-cli" }),
        json!({ "subject": "carol@example.com" }),
        json!({ "actor": ["agent-7"] }),
        json!({ "audience": ["https://elsewhere.test"] }),
        json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }),
        json!({ "authorization_details": [{ "type": "payment", "amount": 5 }] }),
    ] {
        let answer = app.ask(&but(alice("plain:x"), other.clone())).await;
        assert_eq!(answer.status, 202, "{other}: {}", answer.text);
    }
    app.ask(&alice("plain:x")).await.granted();
}

/// One use is one use.
pub async fn a_single_use() {
    let app = app().await;
    let body = alice("vault:open");
    app.ask_as("call-1", &body).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask_as("call-2", &body).await.granted();
    app.ask_as("call-2", &body).await.granted();
    assert_ne!(app.ask_as("call-3", &body).await.status, 200, "used up");
}

/// What is allowed is issued at once, and the rest waits for people.
pub async fn allowed_now_the_rest_later() {
    let app = crate::support::stage(&format!("partial = \"issue\"\n{}", policy())).start().await;
    let both = alice("ledger:read ledger:write");
    assert_eq!(app.ask(&both).await.granted()["scope"], "ledger:read");
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    assert_eq!(app.ask(&both).await.granted()["scope"], "ledger:read ledger:write");
}

/// What was revoked or denied is refused for a while, without asking anybody again.
pub async fn a_denial_cools_down() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    app.deny_with("U0BOB", &app.card(DESK).await, "No.").await;
    for _ in 0..3 {
        assert!(app.ask(&alice("plain:x")).await.denied().contains("denied"));
    }
    assert_eq!(app.cards(DESK).await.len(), 1);
    assert_eq!(app.operator_sees("/v1/cooldowns").await["cooldowns"].as_array().map(Vec::len), Some(1));
}
